import { type ChildProcess, spawn as spawnChild } from "node:child_process"
import { createInterface } from "node:readline"
import { Effect, type Scope } from "effect"

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts a program under this Node, with these variables and no other ITWIN_ ones. */
const spawn = (args: ReadonlyArray<string>, variables: Record<string, string>) => {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("ITWIN_"))
  const child = spawnChild(process.execPath, args, { env: { ...Object.fromEntries(inherited), ...variables } })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (chunk) => {
    stdout += chunk
  })
  child.stderr.on("data", (chunk) => {
    stderr += chunk
  })
  const outcome = new Promise<Outcome>((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })))
  return { child, outcome }
}

/** Runs a program to its end. */
export const run = (args: ReadonlyArray<string>, variables: Record<string, string> = {}): Effect.Effect<Outcome> =>
  Effect.callback((resume) => {
    const { child, outcome } = spawn(args, variables)
    outcome.then((outcome) => resume(Effect.succeed(outcome)))
    return Effect.sync(() => child.kill())
  })

export interface Server {
  /** Where it says that it listens. */
  readonly url: string
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** What it left, once it has ended. */
  readonly outcome: Effect.Effect<Outcome>
}

const listening = /Listening on (http:\/\/[^\s"]+)/

const urlOf = (child: ChildProcess, outcome: Promise<Outcome>, pattern: RegExp) =>
  new Promise<string>((resolve, reject) => {
    if (child.stdout !== null) {
      createInterface(child.stdout).on("line", (line) => {
        const url = pattern.exec(line)?.[1]
        if (url !== undefined) resolve(url)
      })
    }
    outcome.then(({ stderr, stdout }) => reject(new Error(`It ended before it listened:\n${stdout}${stderr}`)))
  })

/** Starts a server, and waits until it logs "Listening on …". It is killed when the scope closes. */
export const start = (
  args: ReadonlyArray<string>,
  variables: Record<string, string>,
  pattern: RegExp = listening
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { child, outcome } = spawn(args, variables)
    yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
    return {
      url: yield* Effect.promise(() => urlOf(child, outcome, pattern)),
      kill: (signal) => Effect.sync(() => child.kill(signal)),
      outcome: Effect.promise(() => outcome)
    }
  })
