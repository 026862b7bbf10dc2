import { spawn } from "node:child_process"
import { Effect } from "effect"

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program under this Node, with these variables and no other ITWIN_ ones, to its end. */
export const run = (args: ReadonlyArray<string>, variables: Record<string, string> = {}): Effect.Effect<Outcome> =>
  Effect.callback((resume) => {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("ITWIN_"))
    const child = spawn(process.execPath, args, { env: { ...Object.fromEntries(inherited), ...variables } })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (chunk) => {
      stdout += chunk
    })
    child.stderr.on("data", (chunk) => {
      stderr += chunk
    })
    child.on("close", (code) => resume(Effect.succeed({ code, stdout, stderr })))
    return Effect.sync(() => child.kill())
  })
