// Runs the command in this process: arguments, signals, exit codes, and the services of Node.

import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import { run } from "./command.ts"
import { layer } from "./node.ts"
import { describeDefect } from "./report.ts"

const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/** Ends the process once both streams are written. Connections that an SDK keeps open don't delay the end. */
const exit = (code: number) => process.stdout.write("", () => process.stderr.write("", () => process.exit(code)))

// A pipe that its reader closed is reported by the write that fails.
for (const stream of [process.stdout, process.stderr]) stream.on("error", constVoid)

// What code outside of Effect throws, for example in a timer of an SDK. Its message may hold a secret.
process.on("uncaughtException", (error) => {
  process.stderr.write(`itwin-auth: ${describeDefect(error)}\n`)
  process.exit(1)
})

const fiber = Effect.runFork(Effect.provide(run(process.argv.slice(2)), layer))

let code: number | undefined
for (const [signal, signalCode] of Object.entries(signals)) {
  // Once: the second signal ends the process at once.
  process.once(signal, () => {
    code = signalCode
    fiber.interruptUnsafe()
  })
}

fiber.addObserver((outcome) => {
  if (Exit.isSuccess(outcome)) return exit(code ?? outcome.value)
  if (!Cause.hasInterruptsOnly(outcome.cause)) {
    process.stderr.write(`itwin-auth: ${describeDefect(Cause.squash(outcome.cause))}\n`)
  }
  return exit(code ?? 1)
})
