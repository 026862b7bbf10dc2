// The least that answers as a token endpoint, in a process of its own, so that it takes no time from what is measured.
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Server {
  readonly url: string
  /** How many token requests the fake has seen. */
  readonly count: () => Promise<number>
  readonly stop: () => void
}

/** Starts the fake on 127.0.0.1, or a server that does nothing but answer. */
export const start = (
  script: "bareServer.ts" | "fakeServer.ts"
): Promise<Server & { readonly clientId?: string; readonly clientSecret?: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fileURLToPath(new URL(script, import.meta.url))], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    child.once("exit", (code) => reject(new Error(`${script} ended with ${code}`)))
    const line = () => new Promise<string>((found) => child.stdout.once("data", (data) => found(String(data))))
    const count = async () => {
      const answer = line()
      child.stdin.write("?")
      return Number(await answer)
    }
    line().then((ready) => resolve({ ...JSON.parse(ready), count, stop: () => child.kill() }))
  })
