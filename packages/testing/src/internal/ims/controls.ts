// Builds the controls of the fake IMS: apps, secrets, tokens and keys.
import { AccessToken } from "@effect-itwin/core/AccessToken"
import { PublicClient } from "@effect-itwin/core/ClientCredentials"
import * as Scopes from "@effect-itwin/core/Scopes"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type {
  AnyApp,
  App,
  ConfidentialRegistration,
  FakeIms,
  PublicApp,
  PublicRegistration,
  Registration
} from "../../FakeIms.ts"
import { FakeError } from "../engine/fakeError.ts"
import { makeKey } from "../engine/jwt.ts"
import { appTypes, defaultScopes, fitsType, nameOf } from "./appTypes.ts"
import * as clients from "./clients.ts"
import { type Ims, now, wholeSeconds } from "./state.ts"
import { checkToken, issueToken, revokeToken } from "./tokens.ts"

const decodeApp = Schema.decodeEffect(
  Schema.Struct({
    name: clients.AppName,
    type: Schema.Literals(appTypes),
    scopes: Schema.Array(Schema.String),
    redirectUris: Schema.Array(Schema.String),
    postLogoutRedirectUris: Schema.Array(Schema.String),
    clientId: Schema.UndefinedOr(Schema.NonEmptyString),
    clientSecret: Schema.UndefinedOr(clients.FakeSecret)
  }).check(fitsType),
  { errors: "all" }
)

const millis = (input: Duration.Input | undefined): number => Duration.toMillis(Duration.fromInputUnsafe(input ?? 0))

const commonView = ({
  isEnabled,
  name,
  postLogoutRedirectUris,
  redirectUris,
  scopes
}: clients.Application): AnyApp => ({
  name,
  scopes,
  redirectUris,
  postLogoutRedirectUris,
  enabled: isEnabled
})

const confidentialView = (app: clients.Application, type: App["type"]): App => ({
  ...commonView(app),
  type,
  credentials: clients.credentialsOf(app)
})

const appView = (app: clients.Application): App | PublicApp => {
  const { clientId, type } = app
  return type === "service" || type === "web"
    ? confidentialView(app, type)
    : { ...commonView(app), type, credentials: new PublicClient({ clientId }) }
}

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
  const register = (registration: Registration): Effect.Effect<clients.Application, Schema.SchemaError> => {
    const { claims, clientSecret, identityDelay, response, tokenLife, type = "service" } = registration
    const given = decodeApp({
      name: registration.name,
      type,
      scopes: registration.scopes ?? defaultScopes(type),
      redirectUris: registration.redirectUris ?? [],
      postLogoutRedirectUris: registration.postLogoutRedirectUris ?? [],
      clientId: registration.clientId,
      clientSecret: clientSecret && Redacted.value(clientSecret)
    })
    return Effect.map(given, (given) =>
      clients.register(ims, {
        ...given,
        tokenLifeSeconds: tokenLife === undefined ? undefined : wholeSeconds(tokenLife),
        claims: claims ?? {},
        response: response ?? {},
        identityDelay: millis(identityDelay)
      })
    )
  }

  function registerApp(registration: ConfidentialRegistration): Effect.Effect<App, Schema.SchemaError>
  function registerApp(registration: PublicRegistration): Effect.Effect<PublicApp, Schema.SchemaError>
  function registerApp(registration: Registration): Effect.Effect<App | PublicApp, Schema.SchemaError>
  function registerApp(registration: Registration): Effect.Effect<App | PublicApp, Schema.SchemaError> {
    return Effect.map(register(registration), appView)
  }

  const withApp = <A>(clientId: string, f: (app: clients.Application) => A): Effect.Effect<A> =>
    Effect.sync(() => f(find(ims.apps, "app", clientId)))

  return {
    apps: Effect.sync(() => [...ims.apps.values()].map(appView)),
    registerApp,
    regenerateSecret: (clientId, options) =>
      withApp(clientId, (app) => {
        const { type } = app
        if (type !== "service" && type !== "web") {
          throw new FakeError({ message: `The app ${clientId} is a ${nameOf[type]}, which has no secret.` })
        }
        clients.regenerateSecret(ims, app, millis(options?.overlap))
        return confidentialView(app, type)
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
        if ("app" in checked) revokeToken(ims, checked.jti)
      }),
    revokeAllTokens: (clientId) =>
      withApp(clientId, () => {
        for (const token of ims.issued.values()) if (token.clientId === clientId) token.isRevoked = true
      }),
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
