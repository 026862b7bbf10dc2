// `itwin-auth token`: prints an access token.
import type { AccessToken } from "@effect-itwin/core/AccessToken"
import { TokenCache } from "@effect-itwin/core/TokenCache"
import * as Clock from "effect/Clock"
import * as Flag from "effect/cli/Flag"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stdio from "effect/Stdio"
import { print, say } from "./output.ts"
import { useProxy, variable } from "./proxy.ts"
import { UsageError } from "./report.ts"
import { appLayer, environmentOf, providerLayer, type Shared, scope, scopesOf } from "./settings.ts"
import { waiting } from "./spinner.ts"

export const flags = {
  format: Flag.Literals("format", ["raw", "header", "json"]).pipe(
    Flag.withDescription("raw: the token (the default); header: a header for curl -H @file; json: with its expiry"),
    Flag.optional
  ),
  scope
}

interface Options {
  readonly format: Option.Option<"raw" | "header" | "json">
  readonly scope: ReadonlyArray<string>
}

const formatOf = ({ format }: Options, { json }: Shared) => {
  if (!json) return Effect.succeed(Option.getOrElse(format, () => "raw" as const))
  return Option.isNone(format) || format.value === "json"
    ? Effect.succeed("json" as const)
    : Effect.fail(new UsageError({ message: `--json and --format ${format.value} contradict each other. Remove one.` }))
}

/** The names of RFC 6749 §5.1, and when the token expires. */
const toJson = (token: AccessToken, now: number): string =>
  JSON.stringify({
    access_token: Redacted.value(token.value),
    token_type: token.tokenType,
    expires_in: Math.floor((DateTime.toEpochMillis(token.expiresAt) - now) / 1000),
    expires_at: DateTime.formatIso(token.expiresAt),
    scope: token.scopes,
    client_id: token.clientId
  })

const textOf = (format: "raw" | "header" | "json", token: AccessToken, now: number): string => {
  if (format === "json") return toJson(token, now)
  return format === "raw" ? Redacted.value(token.value) : `Authorization: ${Redacted.value(token.authorizationHeader)}`
}

export const run = Effect.fnUntraced(function* (shared: Shared, options: Options) {
  const format = yield* formatOf(options, shared)
  const scopes = yield* scopesOf(options.scope)
  const environment = yield* environmentOf(shared)
  yield* useProxy
  const token = yield* Effect.flatMap(TokenCache, (cache) => cache.get()).pipe(
    Effect.provide(appLayer(shared, environment, scopes).pipe(Layer.provide(providerLayer(shared)))),
    waiting("Requesting a token")
  )
  const { stdoutIsTerminal } = yield* Stdio.Stdio
  if ((yield* variable("GITHUB_ACTIONS")) === "true") yield* say(`::add-mask::${Redacted.value(token.value)}`)
  if (yield* stdoutIsTerminal) {
    yield* say("itwin-auth: The token is shown on a terminal. Do not copy it into a chat, a ticket or a log.")
  }
  yield* print(textOf(format, token, yield* Clock.currentTimeMillis))
})
