// `fake-ims`: its flags, and what it prints.
import type { ConfigError } from "effect/Config"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import { FakeIms } from "../FakeIms.ts"
import * as FakeImsServer from "../FakeImsServer.ts"
import { parse, type Settings, type SettingsError, setUp } from "./settings.ts"

const flags = {
  host: Flag.String("host").pipe(Flag.withDescription("Address to listen on"), Flag.withDefault("127.0.0.1")),
  port: Flag.Int("port").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))),
    Flag.withDescription("Port to listen on; 0 takes a free one"),
    Flag.withDefault(0)
  ),
  config: Flag.String("config").pipe(
    Flag.withMetavar("file.json"),
    Flag.withDescription("Apps, iTwins, script and more"),
    Flag.optional
  ),
  seed: Flag.String("seed").pipe(Flag.withDescription("Makes the same ids and secrets each time"), Flag.optional),
  tokenLife: Flag.Int("token-life").pipe(
    Flag.withMetavar("seconds"),
    Flag.withSchema(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))),
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
  allowRemote: Flag.Boolean("allow-remote").pipe(
    Flag.withDescription("Allows a --host that other machines can reach"),
    Flag.withDefault(false)
  ),
  publicHost: Flag.String("public-host").pipe(
    Flag.withDescription("The name by which other machines reach it"),
    Flag.optional
  ),
  adminToken: Flag.Redacted("admin-token").pipe(
    Flag.withDescription("Bearer token that /__admin asks for; better set as FAKE_IMS_ADMIN_TOKEN"),
    Flag.optional
  )
}

const stop = (userMessage: string) => new CliError.UserError({ cause: userMessage, userMessage })

const readText = (flag: string, path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(path)).pipe(
    Effect.mapError((error: PlatformError) =>
      stop(
        `${flag} ${path} can't be read: ${error.reason._tag === "NotFound" ? "there is no such file" : error.message}`
      )
    )
  )

const readSettings = Effect.fnUntraced(function* (path: Option.Option<string>) {
  if (Option.isNone(path)) return {} satisfies Settings
  return yield* parse(yield* readText("--config", path.value)).pipe(inFile(path))
})

/** Says which file the settings came from. */
const inFile = (path: Option.Option<string>) =>
  Effect.mapError((error: SettingsError) =>
    stop(`${Option.getOrElse(path, () => "The settings")} can't be used:\n${error.message}`)
  )

const readTls = Effect.fnUntraced(function* (cert: Option.Option<string>, key: Option.Option<string>) {
  if (Option.isNone(cert) && Option.isNone(key)) return undefined
  if (Option.isNone(cert) || Option.isNone(key)) return yield* stop("--tls-cert and --tls-key belong together.")
  return { cert: yield* readText("--tls-cert", cert.value), key: yield* readText("--tls-key", key.value) }
})

const readToken = Effect.fnUntraced(function* (flag: Option.Option<Redacted.Redacted>) {
  const variable = Config.option(Config.Redacted("FAKE_IMS_ADMIN_TOKEN")).pipe(
    Effect.mapError((error: ConfigError) => stop(error.message))
  )
  const token = Option.getOrUndefined(Option.isSome(flag) ? flag : yield* variable)
  return token !== undefined && Redacted.value(token).trim() === ""
    ? yield* stop("The admin token is empty. Set another, or none.")
    : token
})

const ready = (fake: FakeIms["Service"], settings: Settings) => ({
  ready: true,
  url: fake.environment.apiBaseUrl,
  tokenEndpoint: fake.environment.tokenEndpoint,
  apiBaseUrl: fake.environment.apiBaseUrl,
  apps: (settings.apps ?? []).map(({ name, clientId, clientSecret }) => ({ name, clientId, clientSecret }))
})

/** Writes a line that a shell takes as it is; in single quotes only a single quote is special. */
const exported = (name: string, value = ""): string => `export ${name}='${value.replaceAll("'", "'\\''")}'`

/** What a terminal shows: lines to paste into another one, so that a program there uses this fake. */
export const banner = ({ url, tokenEndpoint, apiBaseUrl, apps }: ReturnType<typeof ready>): string =>
  [
    `fake-ims listens on ${url} (admin API: ${url}/__admin). Ctrl+C stops it.`,
    "",
    ...(apps[0] === undefined ? [] : [`# ${apps[0].name}`]),
    exported("ITWIN_TOKEN_ENDPOINT", tokenEndpoint),
    exported("ITWIN_API_URL", apiBaseUrl),
    ...(apps[0] === undefined
      ? []
      : [exported("ITWIN_CLIENT_ID", apps[0].clientId), exported("ITWIN_CLIENT_SECRET", apps[0].clientSecret)]),
    ...apps.slice(1).flatMap(({ name, clientId, clientSecret }) => ["", `# ${name}`, `${clientId} ${clientSecret}`])
  ].join("\n")

const serve = Effect.fnUntraced(function* (options: Command.Command.Config.Infer<typeof flags>) {
  const settings = yield* readSettings(options.config)
  let started = settings
  const tokenLife = Option.getOrUndefined(options.tokenLife) ?? settings.tokenLife
  const context = yield* Layer.build(
    FakeImsServer.layer({
      host: options.host,
      port: options.port,
      allowRemote: options.allowRemote,
      publicHost: Option.getOrUndefined(options.publicHost),
      tls: yield* readTls(options.tlsCert, options.tlsKey),
      seed: Option.getOrUndefined(options.seed) ?? settings.seed,
      tokenLife: tokenLife === undefined ? undefined : Duration.seconds(tokenLife),
      algorithm: settings.algorithm,
      profile: settings.profile,
      admin: {
        token: yield* readToken(options.adminToken),
        onReset: (fake) => Effect.suspend(() => Effect.orDie(setUp(fake, started)))
      }
    })
  ).pipe(
    Effect.mapError(({ cause }) =>
      stop(cause instanceof Error ? cause.message : `It can't listen on ${options.host} port ${options.port}.`)
    )
  )
  yield* Effect.gen(function* () {
    const fake = yield* FakeIms
    started = yield* setUp(fake, settings).pipe(inFile(options.config))
    const { stdoutIsTerminal } = yield* Stdio.Stdio
    const facts = ready(fake, started)
    yield* Console.log((yield* stdoutIsTerminal) ? banner(facts) : JSON.stringify(facts))
    return yield* Effect.never
  }).pipe(Effect.provideContext(context))
}, Effect.scoped)

const command = Command.make("fake-ims", flags, serve).pipe(
  Command.withDescription("A fake IMS and a fake iTwin Platform on a loopback socket, for tests")
)

const Package = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** Runs until it is interrupted. */
export const main = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = yield* path.fromFileUrl(new URL("../../package.json", import.meta.url))
  const { version } = yield* Effect.flatMap(fs.readFileString(file), Schema.decodeEffect(Package))
  yield* Command.run(command, { version })
})
