// `itwin-auth`: its commands, and how an invocation ends.
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type { HttpClient } from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Path from "effect/Path"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as References from "effect/References"
import type * as Stdio from "effect/Stdio"
import * as Terminal from "effect/Terminal"
import packageJson from "../../package.json" with { type: "json" }
import * as doctor from "./doctor.ts"
import { presenter } from "./presenter.ts"
import { reported } from "./report.ts"
import * as settings from "./settings.ts"
import * as token from "./token.ts"
import * as whoami from "./whoami.ts"

const root = Command.make("itwin-auth").pipe(
  Command.withSharedFlags(settings.flags),
  Command.withDescription("Access tokens for service applications of the iTwin Platform")
)

const commands = root.pipe(
  Command.withSubcommands([
    Command.make("token", token.flags, (options) =>
      reported(Effect.flatMap(root, (shared) => token.run(shared, options)))
    ).pipe(
      Command.withDescription("Prints an access token"),
      Command.withExamples([
        {
          command: 'itwin-auth token --format header | curl -H @- "https://api.bentley.com/users/me"',
          description: "Call an API; the token is in no argument"
        }
      ])
    ),
    Command.make("whoami", whoami.flags, (options) =>
      reported(Effect.flatMap(root, (shared) => whoami.run(shared, options)))
    ).pipe(Command.withDescription("Prints the app that the credentials belong to")),
    Command.make("doctor", doctor.flags, (options) =>
      reported(Effect.flatMap(root, (shared) => doctor.run(shared, options)))
    ).pipe(Command.withDescription("Finds out why there is no token, or why an API rejects it"))
  ])
)

// Only prompts and file arguments need these, and there are none.
const unused = Layer.mergeAll(
  Path.layer,
  Layer.succeed(
    Terminal.Terminal,
    Terminal.make({
      columns: Effect.succeed(80),
      rows: Effect.succeed(24),
      size: Effect.die("unused"),
      readInput: Effect.die("unused"),
      readLine: Effect.die("unused"),
      display: () => Effect.void
    })
  ),
  Layer.mock(ChildProcessSpawner, {})
)

/** The log is for people who look for a fault. It goes to stderr, one line each. */
const logger = Layer.merge(
  Logger.layer([Logger.withConsoleError(Logger.formatSimple)]),
  Layer.succeed(References.MinimumLogLevel, "Warn")
)

const layer = Layer.mergeAll(
  unused,
  logger,
  TerminalCapabilities.layer,
  CliConfig.layer({
    // Without the wizard, which needs a terminal.
    builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]
  }),
  Layer.unwrap(Effect.map(presenter, CliOutput.layerPresenter)).pipe(Layer.provide(TerminalCapabilities.layer))
)

/** Runs the command, and returns the exit code. Fails only if it is interrupted, or by a defect of effect/cli. */
export const run = (
  args: ReadonlyArray<string>
): Effect.Effect<number, never, FileSystem.FileSystem | HttpClient | Stdio.Stdio> =>
  Command.runWith(commands, { version: packageJson.version })(args).pipe(
    Effect.as(0),
    Effect.catchTag("Ended", ({ code }) => Effect.succeed(code)),
    // The rest are errors of the invocation, which the presenter printed.
    Effect.orElseSucceed(() => 2),
    Effect.provide(layer)
  )
