// `itwin-auth whoami`: asks the platform to whom the token belongs.
import { TokenCache } from "@effect-itwin/core/TokenCache"
import * as Users from "@effect-itwin/core/Users"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { print, visible } from "./output.ts"
import { useProxy } from "./proxy.ts"
import { appLayer, environmentOf, providerLayer, type Shared, scope, scopesOf } from "./settings.ts"
import { waiting } from "./spinner.ts"

export const flags = { scope }

/** A service app's `displayName` is its e-mail, and its `givenName` the name of the app. */
export const nameOf = ({ displayName, givenName, surname }: Users.User): string =>
  [givenName, surname].filter((part) => part).join(" ") || displayName || ""

export const run = Effect.fnUntraced(function* (shared: Shared, options: { readonly scope: ReadonlyArray<string> }) {
  const scopes = yield* scopesOf(options.scope)
  const environment = yield* environmentOf(shared)
  yield* useProxy
  const { clientId, me } = yield* Effect.gen(function* () {
    const me = yield* Users.me
    const { clientId } = yield* (yield* TokenCache).get()
    return { clientId, me }
  }).pipe(
    Effect.provide(appLayer(shared, environment, scopes).pipe(Layer.provide(providerLayer(shared)))),
    waiting("Asking the platform")
  )
  if (shared.json) {
    const { createdDateTime: _, ...user } = me
    yield* print(JSON.stringify({ ...user, clientId, environment: environment.name }))
    return
  }
  const rows = [
    ["name", nameOf(me)],
    ["e-mail", me.email],
    ["user id", me.id],
    ["client id", clientId],
    ["environment", environment.name]
  ]
  for (const [label = "", value] of rows) {
    if (value) yield* print(`${label.padEnd(13)}${visible(value)}`)
  }
})
