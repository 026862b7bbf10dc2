// The command `fake-ims`: its options, and what it runs.
import { readFile } from "node:fs/promises"
import * as Clock from "effect/Clock"
import type { ConfigError } from "effect/Config"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stdio from "effect/Stdio"
import { FakeIms } from "../../FakeIms.ts"
import * as FakeImsServer from "../../FakeImsServer.ts"
import { FakeKeyVault } from "../../FakeKeyVault.ts"
import * as FakeKeyVaultServer from "../../FakeKeyVaultServer.ts"
import { makeAdjustableClock } from "../engine/clock.ts"
import { startedRsaKey } from "../engine/rsaKey.ts"
import { banner, clearReadyFile, factsOf, vaultFacts, writeReadyFile } from "./facts.ts"
import { whyNotPublicUrl } from "./hosts.ts"
import { RequestLog } from "./requestLog.ts"
import { parse, type Settings, type SettingsError, setUp } from "./settings.ts"

/** Reads an integer within the limits. `effect/cli` would describe a wrong one in terms of its schema. */
const integerOf = (name: string, metavar: string, minimum: number, maximum: number) =>
  Flag.String(name).pipe(
    Flag.filterMap(
      (text) => {
        const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
        return number >= minimum && number <= maximum ? Option.some(number) : Option.none()
      },
      () => `an integer from ${minimum} to ${maximum}`
    ),
    Flag.withMetavar(metavar)
  )

const portOf = (name: string, description: string) =>
  integerOf(name, "port", 0, 65_535).pipe(Flag.withDescription(description), Flag.optional)

const flags = {
  host: Flag.String("host").pipe(
    Flag.withMetavar("address"),
    Flag.withDescription("Address to listen on; by default 127.0.0.1 and ::1, so that localhost reaches it too"),
    Flag.optional
  ),
  port: portOf("port", "Port to listen on; a free one by default"),
  publicUrl: Flag.String("public-url").pipe(
    Flag.withMetavar("url"),
    Flag.withDescription("URL by which others reach it; the issuer and all other URLs begin with it"),
    Flag.optional
  ),
  config: Flag.String("config").pipe(
    Flag.withMetavar("file.json"),
    Flag.withDescription("Apps with given ids and secrets, iTwins, faults and more"),
    Flag.optional
  ),
  readyFile: Flag.String("ready-file").pipe(
    Flag.withMetavar("file.json"),
    Flag.withDescription("Writes URLs and apps to this file when it is ready, and removes the file at the end"),
    Flag.optional
  ),
  seed: Flag.String("seed").pipe(
    Flag.withMetavar("text"),
    Flag.withDescription("Makes the same ids and secrets each time"),
    Flag.optional
  ),
  tokenLife: integerOf("token-life", "seconds", 1, 999_999_999).pipe(
    Flag.withDescription("Life of the tokens; 3600 by default"),
    Flag.optional
  ),
  tlsCert: Flag.String("tls-cert").pipe(
    Flag.withMetavar("file.pem"),
    Flag.withDescription("Serves https with this certificate"),
    Flag.optional
  ),
  tlsKey: Flag.String("tls-key").pipe(
    Flag.withMetavar("file.pem"),
    Flag.withDescription("The certificate's private key"),
    Flag.optional
  ),
  vault: Flag.Boolean("vault").pipe(
    Flag.withDescription("Also serves a fake Azure Key Vault, on loopback by https"),
    Flag.withDefault(false)
  ),
  vaultPort: portOf("vault-port", "Port of the vault; a free one by default"),
  allowRemote: Flag.Boolean("allow-remote").pipe(
    Flag.withDescription("Allows a --host or --public-url that other machines can reach"),
    Flag.withDefault(false)
  ),
  open: Flag.Boolean("open").pipe(
    Flag.withDescription("Opens the page, which shows the flow step by step, in the browser; on a terminal only"),
    Flag.withDefault(false)
  ),
  adminToken: Flag.Redacted("admin-token").pipe(
    Flag.withMetavar("token"),
    Flag.withDescription(
      "Bearer token that /__admin requires. Prefer the variable FAKE_IMS_ADMIN_TOKEN, which other users can't see"
    ),
    Flag.optional
  )
}

type Options = Command.Command.Config.Infer<typeof flags>

const stop = (userMessage: string) => new CliError.UserError({ cause: userMessage, userMessage })

/** Returns why a file can't be read or written. Node's message repeats the path. */
const reasonOf = (cause: unknown): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "unknown"
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "the file or its folder does not exist",
    EACCES: "this user lacks the permission",
    EISDIR: "it is a folder"
  }
  return reasons[code] ?? `the system reports ${code}`
}

const readText = (flag: string, path: string) =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => stop(`${flag} ${path} can't be read: ${reasonOf(cause)}.`)
  })

/** Says which file the settings came from. */
const inFile = (path: Option.Option<string>) =>
  Effect.mapError((error: SettingsError) =>
    stop(`${Option.getOrElse(path, () => "The settings")} can't be used:\n${error.message}`)
  )

const readSettings = Effect.fnUntraced(function* (path: Option.Option<string>) {
  if (Option.isNone(path)) return {} satisfies Settings
  return yield* parse(yield* readText("--config", path.value)).pipe(inFile(path))
})

const readTls = Effect.fnUntraced(function* (cert: Option.Option<string>, key: Option.Option<string>) {
  if (Option.isNone(cert) && Option.isNone(key)) return undefined
  if (Option.isNone(cert) || Option.isNone(key))
    return yield* stop("--tls-cert and --tls-key belong together. Give both, or neither.")
  return { cert: yield* readText("--tls-cert", cert.value), key: yield* readText("--tls-key", key.value) }
})

const readToken = Effect.fnUntraced(function* (flag: Option.Option<Redacted.Redacted>) {
  const variable = Config.option(Config.Redacted("FAKE_IMS_ADMIN_TOKEN")).pipe(
    Effect.mapError((error: ConfigError) => stop(error.message))
  )
  const token = Option.getOrUndefined(Option.isSome(flag) ? flag : yield* variable)
  return token !== undefined && Redacted.value(token).trim() === ""
    ? yield* stop("The admin token is empty. Set one, or leave the option and FAKE_IMS_ADMIN_TOKEN out.")
    : token
})

const started = <A>(layer: Layer.Layer<A, HttpServerError.ServeError>) =>
  Effect.mapError(Layer.build(layer), ({ cause }) =>
    stop(cause instanceof Error ? cause.message : "The server can't start.")
  )

/** A browser that does not open is not a failure of the fake. */
const openPage = Effect.fnUntraced(function* (url: string) {
  const { openInBrowser } = yield* Effect.promise(() => import("./page/open.ts"))
  const problem = yield* openInBrowser(url)
  if (problem !== undefined) yield* Console.error(`\nThe browser did not open: ${problem}. Open ${url} yourself.`)
})

const serve = Effect.fnUntraced(function* (options: Options) {
  const publicUrl = Option.getOrUndefined(options.publicUrl)
  const wrongUrl = publicUrl === undefined ? undefined : whyNotPublicUrl(publicUrl)
  if (wrongUrl !== undefined) return yield* stop(`--public-url: ${wrongUrl}`)
  if (Option.isSome(options.vaultPort) && !options.vault) {
    return yield* stop("--vault-port is the port of the vault, which is served with --vault only. Add --vault.")
  }
  const readyFile = Option.getOrUndefined(options.readyFile)
  if (readyFile !== undefined) yield* clearReadyFile(readyFile)
  const settings = yield* readSettings(options.config)
  const tls = yield* readTls(options.tlsCert, options.tlsKey)
  const seed = Option.getOrUndefined(options.seed) ?? settings.seed
  const tokenLife = Option.getOrUndefined(options.tokenLife) ?? settings.tokenLife

  // Moving it moves the time of both.
  const clock = Layer.succeed(Clock.Clock, makeAdjustableClock(yield* Clock.Clock))
  const vault = options.vault
    ? yield* started(
        Layer.provide(FakeKeyVaultServer.layer({ port: Option.getOrUndefined(options.vaultPort), tls, seed }), clock)
      )
    : undefined
  if (settings.algorithm !== "EdDSA") yield* Effect.promise(startedRsaKey)
  let complete = settings
  const ims = yield* started(
    FakeImsServer.layer({
      host: Option.getOrUndefined(options.host),
      port: Option.getOrUndefined(options.port),
      allowRemote: options.allowRemote,
      publicUrl,
      tls,
      seed,
      tokenLife: tokenLife === undefined ? undefined : Duration.seconds(tokenLife),
      algorithm: settings.algorithm,
      profile: settings.profile,
      admin: {
        token: yield* readToken(options.adminToken),
        vault: vault && Context.get(vault, FakeKeyVault),
        onReset: (fake) => Effect.suspend(() => Effect.orDie(setUp(fake, complete)))
      }
    }).pipe(Layer.provide(clock))
  )

  const fake = Context.get(ims, FakeIms)
  complete = yield* setUp(fake, settings).pipe(inFile(options.config))
  const facts = factsOf(
    fake,
    complete,
    vault && vaultFacts(Context.get(vault, FakeKeyVault), Context.get(vault, FakeKeyVaultServer.Endpoint))
  )
  if (readyFile !== undefined) {
    yield* Effect.mapError(writeReadyFile(readyFile, facts), (cause) =>
      stop(`--ready-file ${readyFile} can't be written: ${reasonOf(cause)}.`)
    )
  }
  const { stdoutIsTerminal } = yield* Stdio.Stdio
  const isTerminal = yield* stdoutIsTerminal
  yield* Console.log(isTerminal ? banner(facts) : JSON.stringify(facts))
  if (options.open && isTerminal) yield* openPage(`${facts.url}/`)
  return yield* Effect.never
})

/** Switches the request log on when `--log-level` is given; otherwise only warnings and errors of the fake are logged. */
const withRequestLog = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(GlobalFlag.LogLevel, (level) => Effect.provideService(effect, RequestLog, Option.isSome(level)))

export const command = Command.make("fake-ims", flags, (options) =>
  serve(options).pipe(Effect.scoped, withRequestLog)
).pipe(
  Command.withDescription(
    "A fake IMS and a fake iTwin Platform for tests, on this machine. Prints the URLs and an app's credentials when it is ready: variables to paste on a terminal, one line of JSON elsewhere. --log-level info logs each request on stderr. Ctrl+C stops it."
  ),
  Command.withExamples([
    { command: "fake-ims", description: "Serve one app on a free port" },
    { command: "fake-ims --open", description: "Show in the browser, step by step, how an app gets its token" },
    {
      command: "fake-ims --port 8080 --config fake.json --ready-file ready.json",
      description: "Serve the apps of a file, for a script that waits for ready.json"
    },
    { command: "fake-ims --vault --log-level info", description: "Also serve a Key Vault, and log each request" }
  ])
)
