// Builds the controls of the fake IMS: apps, secrets, tokens and keys.
import { AccessToken } from "@effect-itwin/core/AccessToken"
import * as Scopes from "@effect-itwin/core/Scopes"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { App, FakeIms } from "../../FakeIms.ts"
import { FakeError } from "../engine/fakeError.ts"
import { makeKey } from "../engine/jwt.ts"
import * as clients from "./clients.ts"
import { type Ims, now, wholeSeconds } from "./state.ts"
import { checkToken, issueToken } from "./tokens.ts"

const decodeApp = Schema.decodeEffect(
  Schema.Struct({
    name: clients.AppName,
    clientId: Schema.UndefinedOr(Schema.NonEmptyString),
    clientSecret: Schema.UndefinedOr(clients.FakeSecret)
  })
)

const millis = (input: Duration.Input | undefined): number => Duration.toMillis(Duration.fromInputUnsafe(input ?? 0))

const appView = (app: clients.Application): App => ({
  name: app.name,
  scopes: app.scopes,
  enabled: app.isEnabled,
  credentials: clients.credentialsOf(app)
})

/** Returns the item with this id. An unknown id is a mistake of the test. */
export const find = <A>(items: ReadonlyMap<string, A>, what: string, id: string): A => {
  const found = items.get(id)
  if (found === undefined) throw new FakeError({ message: `The fake has no ${what} ${id}.` })
  return found
}

const findDefault = ({ apps }: Ims): clients.Application => {
  const [app] = apps.values()
  if (app === undefined) throw new FakeError({ message: "The fake has no app. Register one first." })
  return app
}

type Controls = Pick<
  FakeIms["Service"],
  | "apps"
  | "registerApp"
  | "regenerateSecret"
  | "revokeSecret"
  | "issueToken"
  | "revokeToken"
  | "revokeAllTokens"
  | "disableApp"
  | "enableApp"
  | "deleteApp"
  | "rotateKeys"
  | "profile"
  | "setProfile"
>

export const makeImsControls = (ims: Ims): Controls => {
  const withApp = <A>(clientId: string, f: (app: clients.Application) => A): Effect.Effect<A> =>
    Effect.sync(() => f(find(ims.apps, "app", clientId)))

  return {
    apps: Effect.sync(() => [...ims.apps.values()].map(appView)),
    registerApp: (registration) =>
      Effect.map(
        decodeApp({
          name: registration.name,
          clientId: registration.clientId,
          clientSecret: registration.clientSecret && Redacted.value(registration.clientSecret)
        }),
        (given) =>
          appView(
            clients.register(ims, {
              ...given,
              scopes: registration.scopes ?? ["itwin-platform"],
              tokenLifeSeconds: registration.tokenLife === undefined ? undefined : wholeSeconds(registration.tokenLife),
              claims: registration.claims ?? {},
              response: registration.response ?? {},
              identityDelay: millis(registration.identityDelay)
            })
          )
      ),
    regenerateSecret: (clientId, options) =>
      withApp(clientId, (app) => {
        clients.regenerateSecret(ims, app, millis(options?.overlap))
        return appView(app)
      }),
    revokeSecret: (clientId, secret) =>
      withApp(clientId, (app) => {
        if (clients.revokeSecret(ims, app, typeof secret === "number" ? secret : Redacted.value(secret))) return
        const which = typeof secret === "number" ? `secret number ${secret}` : "this secret"
        throw new FakeError({ message: `The app ${clientId} never had ${which}.` })
      }),
    issueToken: ({ claims = {}, clientId, expiresIn, scopes } = {}) =>
      Effect.sync(() => {
        const app = clientId === undefined ? findDefault(ims) : find(ims.apps, "app", clientId)
        const granted = scopes ?? [...app.scopes]
        const issuedAt = now(ims)
        const life = expiresIn === undefined ? undefined : wholeSeconds(expiresIn)
        const { expiresAt, token } = issueToken(ims, app, { scopes: granted, life, claims })
        const scope = Scopes.make(granted.join(" "))
        return new AccessToken({
          value: Redacted.make(token),
          tokenType: "Bearer",
          scopes: scope,
          requestedScopes: scope,
          clientId: app.clientId,
          issuedAt: DateTime.makeUnsafe(issuedAt),
          expiresAt: DateTime.makeUnsafe(expiresAt)
        })
      }),
    revokeToken: (token) =>
      Effect.sync(() => {
        const checked = checkToken(ims, Redacted.value(token.value))
        if ("app" in checked) ims.issued.revoke(checked.jti)
      }),
    revokeAllTokens: (clientId) => withApp(clientId, () => ims.issued.revokeAll(clientId)),
    disableApp: (clientId) =>
      withApp(clientId, (app) => {
        app.isEnabled = false
      }),
    enableApp: (clientId) =>
      withApp(clientId, (app) => {
        app.isEnabled = true
      }),
    deleteApp: (clientId) => withApp(clientId, () => void ims.apps.delete(clientId)),
    rotateKeys: Effect.sync(() => void ims.keys.unshift(makeKey(ims.algorithm, ims.entropy))),
    profile: Effect.sync(() => ims.profile),
    setProfile: (changes) =>
      Effect.sync(() => {
        ims.profile = { ...ims.profile, ...changes }
      })
  }
}
