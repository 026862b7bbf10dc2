// The servers for sideBySideUsers.integration.test.ts: oidc-provider, which others wrote, and the fake. Each has a web
// app, another web app and a native app, and makes codes without a person.
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Context, Effect, Layer, Redacted } from "effect"
import type Provider from "oidc-provider"
import { startOidcProvider } from "./authorizationServers.ts"
import * as s from "./signingIn.ts"

export interface Client {
  readonly client_id: string
  readonly client_secret?: string
}

export interface CodeOptions {
  readonly scope?: string
  readonly withoutChallenge?: boolean
}

export class SignInServer extends Context.Service<
  SignInServer,
  {
    readonly authorization: string
    readonly token: string
    readonly userinfo: string
    readonly revocation: string
    readonly endSession: string
    readonly web: Client
    readonly otherWeb: Client
    readonly native: Client
    /** Returns a code of a user who signed in and consented. */
    readonly codeFor: (client: Client, options?: CodeOptions) => Effect.Effect<string>
  }
>()("SignInServer") {}

export const scope = "openid offline_access"

const clientOf = ({ credentials }: FakeIms.App | FakeIms.PublicApp): Client => ({
  client_id: credentials.clientId,
  ...("clientSecret" in credentials ? { client_secret: Redacted.value(credentials.clientSecret) } : {})
})

export const fake: Layer.Layer<SignInServer, unknown> = Layer.effect(
  SignInServer,
  Effect.gen(function* () {
    const context = yield* Effect.context<FakeIms.FakeIms>()
    const { environment, signIn } = yield* FakeIms.FakeIms
    yield* s.addAda
    const codeFor = (client: Client, options: CodeOptions = {}) =>
      Effect.gen(function* () {
        const challenge =
          options.withoutChallenge === true ? { code_challenge: undefined, code_challenge_method: undefined } : {}
        const app = { credentials: { clientId: client.client_id } }
        const url = yield* s.authorizeUrl(app, { scope: options.scope ?? scope, ...challenge })
        return String((yield* Effect.orDie(signIn(url, { email: s.email }))).searchParams.get("code"))
      }).pipe(Effect.provide(context))
    return {
      authorization: environment.authorizationEndpoint,
      token: environment.tokenEndpoint,
      userinfo: environment.userinfoEndpoint,
      revocation: environment.revocationEndpoint,
      endSession: environment.endSessionEndpoint,
      web: clientOf(yield* s.registerUsersApp("web")),
      otherWeb: clientOf(yield* s.registerUsersApp("web")),
      native: clientOf(yield* s.registerUsersApp("native")),
      codeFor
    }
  })
).pipe(Layer.provide(FakeImsServer.layer()))

const web: Client = { client_id: "web-App", client_secret: "fake-secret-a+b/c=" }
const otherWeb: Client = { client_id: "web-Other", client_secret: "fake-secret-o+t/h=" }
const native: Client = { client_id: "native-App" }

const registration = {
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code" as const],
  redirect_uris: [s.callback],
  post_logout_redirect_uris: [s.afterSignOut],
  scope: `${scope} itwin-platform`
}

const makeCode = async (provider: Provider, { client_id }: Client, options: CodeOptions) => {
  const client = await provider.Client.find(client_id)
  if (client === undefined) throw new Error(`no client ${client_id}`)
  const grant = new provider.Grant({ accountId: "ada", clientId: client_id })
  grant.addOIDCScope(options.scope ?? scope)
  const code = new provider.AuthorizationCode({
    accountId: "ada",
    client,
    grantId: await grant.save(),
    gty: "authorization_code",
    redirectUri: s.callback,
    scope: options.scope ?? scope,
    ...(options.withoutChallenge === true
      ? {}
      : { codeChallenge: s.challengeOf(s.verifier), codeChallengeMethod: "S256" })
  })
  return code.save()
}

/** Starts oidc-provider with its defaults, except apps, one user, and rotation of refresh tokens for all apps. */
export const oidcProvider: Layer.Layer<SignInServer> = Layer.effect(
  SignInServer,
  Effect.gen(function* () {
    const { provider, url } = yield* startOidcProvider({
      clients: [
        ...[web, otherWeb].map((client) => ({
          ...registration,
          ...client,
          token_endpoint_auth_method: "client_secret_post" as const
        })),
        { ...registration, ...native, application_type: "native", token_endpoint_auth_method: "none" }
      ],
      findAccount: (_context, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
      rotateRefreshToken: true,
      scopes: ["openid", "offline_access", "itwin-platform"],
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        revocation: { enabled: true }
      }
    })
    return {
      authorization: `${url}/auth`,
      token: `${url}/token`,
      userinfo: `${url}/me`,
      revocation: `${url}/token/revocation`,
      endSession: `${url}/session/end`,
      web,
      otherWeb,
      native,
      codeFor: (client, options = {}) => Effect.promise(() => makeCode(provider, client, options))
    }
  })
)
