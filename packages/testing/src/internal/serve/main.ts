// Runs the command as the program of a Node process: services, log, signals and exit codes.
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Path from "effect/Path"
import { ChildProcessSpawner, make as makeSpawner } from "effect/process/ChildProcessSpawner"
import * as Runtime from "effect/Runtime"
import * as Stdio from "effect/Stdio"
import * as Terminal from "effect/Terminal"
import { command } from "./command.ts"
import { version } from "./version.ts"

/** Prints a wrong invocation on stderr only, without the complete help, because programs read stdout. */
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.flatMap(CliOutput.Formatter, ({ formatErrors }) =>
          Console.error(`${formatErrors(event.errors).trim()}\n\n"fake-ims --help" lists the options.`)
        )
      : CliOutput.defaultPresenter.present(event)
}

/** Writes one line for each entry, and more for a cause. */
const logger = Logger.withConsoleError(
  Logger.make(({ cause, date, logLevel, message }) => {
    const text = [message].flat().map(String).join(" ")
    const line = `${date.toISOString()} ${logLevel.toUpperCase()} ${text}`
    return cause.reasons.length === 0 ? line : `${line}\n${Cause.pretty(cause)}`
  })
)

const unavailable = (what: string) => Effect.die(new Error(`fake-ims has no ${what}.`))

/** Provides what `effect/cli` requires. `fake-ims` does not prompt, and none of its flags is a file for `effect/cli`. */
const services = Layer.mergeAll(
  FileSystem.layerNoop({}),
  Path.layer,
  Layer.succeed(
    ChildProcessSpawner,
    makeSpawner(() => unavailable("child processes"))
  ),
  Layer.succeed(
    Terminal.Terminal,
    Terminal.make({
      columns: Effect.sync(() => process.stdout.columns ?? 80),
      rows: Effect.sync(() => process.stdout.rows ?? 24),
      size: unavailable("prompts"),
      readInput: unavailable("prompts"),
      readLine: unavailable("prompts"),
      display: Console.log
    })
  ),
  Stdio.layerTest({
    args: Effect.sync(() => process.argv.slice(2)),
    stdoutIsTerminal: Effect.sync(() => process.stdout.isTTY === true),
    stderrIsTerminal: Effect.sync(() => process.stderr.isTTY === true)
  })
)

const program = Command.run(command, { version }).pipe(
  Effect.provide([
    services,
    Logger.layer([logger]),
    CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel] }),
    CliOutput.layerPresenter(presenter)
  ])
)

/** Returns 0 after a signal, the normal end of the command; 2 for a wrong invocation; 1 for any other failure. */
const exitCodeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return 0
  const error = Cause.squash(exit.cause)
  const isUsage = CliError.isCliError(error) && error._tag === "ShowHelp"
  return isUsage && error.errors.length > 0 ? 2 : Runtime.getErrorExitCode(error)
}

const signals = ["SIGHUP", "SIGINT", "SIGTERM"] as const

const run = Runtime.makeRunMain(({ fiber, teardown }) => {
  const interrupt = () => fiber.interruptUnsafe()
  for (const signal of signals) process.on(signal, interrupt)
  // A program that reads the output may end first. That must not end the fake.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})
  fiber.addObserver((exit) =>
    teardown(exit, (code) => {
      for (const signal of signals) process.off(signal, interrupt)
      // Nothing is left to wait for, and what was written is flushed first.
      process.exitCode = code
    })
  )
})

/** Runs `fake-ims` until a signal ends it. */
export const main = (): void => run(program, { teardown: (exit, onExit) => onExit(exitCodeOf(exit)) })
