// `itwin-auth doctor`: walks from the variables to an iTwin, and stops at the first step that fails.

import { permissions } from "@effect-itwin/core/AccessControl"
import type { AccessToken } from "@effect-itwin/core/AccessToken"
import type { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import * as ITwinApiError from "@effect-itwin/core/ITwinApiError"
import { ITwinHttpClient } from "@effect-itwin/core/ITwinHttpClient"
import * as Scopes from "@effect-itwin/core/Scopes"
import { layerStatic } from "@effect-itwin/core/SecretProvider"
import { TokenCache } from "@effect-itwin/core/TokenCache"
import * as Users from "@effect-itwin/core/Users"
import * as Clock from "effect/Clock"
import * as Flag from "effect/cli/Flag"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { describeCredentials, readCredentials } from "./doctor/backend.ts"
import { clockStep } from "./doctor/clock.ts"
import { networkStep } from "./doctor/network.ts"
import { shown } from "./doctor/shown.ts"
import { makeWalk, type Problem } from "./doctor/walk.ts"
import { UsageError } from "./report.ts"
import { appLayer, environmentOf, type Shared, scope, scopesOf } from "./settings.ts"
import { nameOf } from "./whoami.ts"

export const flags = {
  itwin: Flag.String("itwin").pipe(
    Flag.withMetavar("id"),
    Flag.withDescription("Also lists what the app may do on this iTwin"),
    Flag.optional
  ),
  scope
}

interface Options {
  readonly itwin: Option.Option<string>
  readonly scope: ReadonlyArray<string>
}

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const iTwinOf = ({ itwin }: Options) =>
  Option.isNone(itwin) || guid.test(itwin.value)
    ? Effect.succeed(Option.getOrUndefined(itwin))
    : Effect.fail(
        new UsageError({ message: "The value of --itwin is not an iTwin's id. An id has 36 characters, like a GUID." })
      )

const decodeUser = ITwinApiError.schemaBodyJson(Schema.Struct({ user: Users.User }))

/** Asks who the app is, with the `Date` of the response and the time before and after. */
const callApi = Effect.gen(function* () {
  const client = yield* ITwinHttpClient
  const sentAt = yield* Clock.currentTimeMillis
  const response = yield* client.get("/users/me", {
    headers: { accept: "application/vnd.bentley.itwin-platform.v1+json" }
  })
  const receivedAt = yield* Clock.currentTimeMillis
  return { user: (yield* decodeUser(response)).user, exchange: { date: response.headers.date, sentAt, receivedAt } }
})

const describeToken = ({ expiresAt, tokenType }: AccessToken, now: number): string =>
  `${tokenType} token, expires in ${shown(DateTime.toEpochMillis(expiresAt) - now)}`

const scopesProblem = (token: AccessToken): Problem | undefined => {
  const granted = new Set(Scopes.tokens(token.scopes))
  const missing = Scopes.tokens(token.requestedScopes).filter((scope) => !granted.has(scope))
  return missing.length === 0
    ? undefined
    : {
        message: `IMS did not grant ${missing.join(" ")}`,
        advice: "Add the scope to the app under My Apps."
      }
}

const invitation = ({ clientEmail }: ClientCredentials): string =>
  `Invite ${clientEmail} to the iTwin with a role that has the permissions that the app needs.`

export const run = Effect.fnUntraced(function* (shared: Shared, options: Options) {
  const scopes = yield* scopesOf(options.scope)
  const iTwin = yield* iTwinOf(options)
  const walk = yield* makeWalk(shared.json)

  yield* Effect.gen(function* () {
    const environment = yield* walk.step("platform", environmentOf(shared), ({ apiBaseUrl, name, tokenEndpoint }) => ({
      message: `${name}: token endpoint ${tokenEndpoint}, API ${apiBaseUrl}`
    }))
    yield* walk.step("network", networkStep, (found) => found)
    const { credentials } = yield* walk.step("credentials", readCredentials(shared), (found) => ({
      message: describeCredentials(found)
    }))
    yield* Effect.gen(function* () {
      const token = yield* walk.step(
        "token",
        Effect.flatMap(TokenCache, (cache) => cache.get()),
        (token, now) => ({ message: describeToken(token, now) }),
        // IMS knows the app, but not the scope.
        (error) => (error._tag === "TokenError" && error.reason._tag === "InvalidScope" ? "scopes" : "token")
      )
      yield* walk.check("scopes", Scopes.format(token.scopes), scopesProblem(token))
      const { exchange } = yield* walk.step("API", callApi, ({ user }) => ({
        message: `GET /users/me returned ${nameOf(user) || user.id}`
      }))
      yield* clockStep(walk, exchange)
      if (iTwin === undefined) return
      const held = yield* walk.step(
        "iTwin",
        permissions(iTwin).pipe(
          Effect.catchReason("ITwinApiError", "NotFound", () => Effect.succeed(undefined)),
          Effect.catchReason("ITwinApiError", "Forbidden", () => Effect.succeed(undefined))
        ),
        (held) => {
          if (held === undefined) {
            return {
              isProblem: true,
              message: "the iTwin does not exist, or the app is not a member of it",
              advice: `Check the id. ${invitation(credentials)}`
            }
          }
          return held.length === 0
            ? { isProblem: true, message: "the app holds no permission on the iTwin", advice: invitation(credentials) }
            : { message: `the app holds ${held.toSorted().join(", ")}` }
        }
      )
      return held
    }).pipe(Effect.provide(appLayer(shared, environment, scopes).pipe(Layer.provide(layerStatic(credentials)))))
  }).pipe(walk.finish)
})
