// Runs the command in this process, against the fake in memory, and returns what it prints.
import { FakeIms } from "@effect-itwin/testing"
import { ConfigProvider, type Context, Effect, FileSystem, Layer, PlatformError, Redacted, Sink, Stdio } from "effect"
import type { HttpClient } from "effect/http"
import { run } from "../src/internal/command.ts"
import { Runtime } from "../src/internal/proxy.ts"

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

interface World {
  /** Variables in addition to those of the app; undefined unsets one. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly files?: Readonly<Record<string, string>>
  readonly terminals?: ReadonlyArray<"stdout" | "stderr">
  /** Does not accept output on stdout. */
  readonly isClosed?: boolean
  readonly runtime?: Partial<Context.Service.Shape<typeof Runtime>>
  /** Dies with this when a file is read. */
  readonly defect?: unknown
}

export const secretOf = (app: FakeIms.App): string => Redacted.value(app.credentials.clientSecret)

const missing = PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFileString" })

/** Runs `itwin-auth` with the variables of the app. */
export const itwinAuth = (app: FakeIms.App | undefined, args: ReadonlyArray<string>, world: World = {}) =>
  Effect.gen(function* () {
    const { env = {}, files = {}, isClosed = false, runtime = {}, terminals = [] } = world
    const written = { stdout: "", stderr: "" }
    const decoder = new TextDecoder()
    const write = (name: "stdout" | "stderr") => (chunk: string | Uint8Array) =>
      name === "stdout" && isClosed
        ? Effect.fail(PlatformError.systemError({ _tag: "WriteZero", module: "Stdio", method: name }))
        : Effect.sync(() => {
            written[name] += typeof chunk === "string" ? chunk : decoder.decode(chunk)
          })
    const stream = (name: "stdout" | "stderr") => () => Sink.forEach(write(name))
    const own =
      app === undefined ? {} : { ITWIN_CLIENT_ID: app.credentials.clientId, ITWIN_CLIENT_SECRET: secretOf(app) }
    const variables = Object.fromEntries(
      Object.entries({ ...own, ...env }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
    )
    const layer = Layer.mergeAll(
      Stdio.layerTest({
        stdoutIsTerminal: Effect.succeed(terminals.includes("stdout")),
        stderrIsTerminal: Effect.succeed(terminals.includes("stderr")),
        stdout: stream("stdout"),
        stderr: stream("stderr")
      }),
      FileSystem.layerNoop({
        readFileString: (path) => {
          if (world.defect !== undefined) return Effect.die(world.defect)
          return files[path] === undefined ? Effect.fail(missing) : Effect.succeed(files[path])
        }
      }),
      Layer.succeed(Runtime, {
        version: "26.10.0",
        setGlobalProxyFromEnv: () => {},
        isStartedWithProxy: false,
        ...runtime
      })
    )
    const code = yield* run(args).pipe(
      Effect.provide(layer),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables)))
    )
    return { code, ...written } satisfies Outcome
  })

/** Registers an app at a fake of its own. */
export const withApp = <A, E>(
  use: (
    app: FakeIms.App,
    fake: FakeIms.FakeIms["Service"]
  ) => Effect.Effect<A, E, FakeIms.FakeIms | HttpClient.HttpClient>,
  scopes?: ReadonlyArray<string>
) =>
  Effect.gen(function* () {
    const fake = yield* FakeIms.FakeIms
    return yield* use(yield* fake.registerApp({ name: "Mine", scopes }), fake)
  }).pipe(Effect.provide(FakeIms.layerTest()))
