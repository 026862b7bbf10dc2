// A minimal token endpoint in its own process, so that it does not use the time of what is measured.
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Server {
  readonly url: string
  /** Returns the number of token requests at the fake. */
  readonly count: () => Promise<number>
  readonly stop: () => void
}

/** Starts the fake on 127.0.0.1, or the minimal server. */
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
