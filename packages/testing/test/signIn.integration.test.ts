// Signs users in at a server that others wrote: the code flow of core, and what follows a sign-in.
import { assert, describe, layer } from "@effect/vitest"
import {
  AuthorizationCode,
  ClientCredentials,
  Environment,
  RetryPolicy,
  Scopes,
  TokenRequest
} from "@effect-itwin/core"
import { Context, Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import Provider from "oidc-provider"
import { awkwardSecret, listen, signingKey, withoutAdvice } from "./authorizationServers.ts"
import { makeBrowser } from "./followingBrowser.ts"

const scopes = Scopes.make("openid offline_access itwin-platform")
const signedOutUri = "https://app.example.com/signed-out"

const web = new ClientCredentials.ClientCredentials({
  clientId: "web-App",
  clientSecret: Redacted.make(awkwardSecret)
})
const native = new ClientCredentials.PublicClient({ clientId: "native-App" })

const server: Layer.Layer<never> = Layer.effectContext(
  Effect.gen(function* () {
    yield* withoutAdvice
    const { server, url } = yield* listen
    const registered = {
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code" as const],
      post_logout_redirect_uris: [signedOutUri],
      scope: scopes
    }
    const provider = new Provider(url, {
      clients: [
        {
          ...registered,
          client_id: web.clientId,
          client_secret: Redacted.value(web.clientSecret),
          redirect_uris: ["https://app.example.com/sign-in/callback"]
        },
        {
          ...registered,
          client_id: native.clientId,
          application_type: "native",
          token_endpoint_auth_method: "none",
          redirect_uris: ["http://127.0.0.1/callback"]
        }
      ],
      scopes: Scopes.tokens(scopes).slice(),
      jwks: { keys: [signingKey] },
      pkce: { required: () => true },
      rotateRefreshToken: true,
      features: { revocation: { enabled: true }, resourceIndicators: { enabled: false } }
    })
    const failures: Array<Error> = []
    provider.on("server_error", (_context, error) => failures.push(error))
    const handle = provider.callback()
    server.on("request", (request, response) => void handle(request, response))
    // A crash of oidc-provider must not look like a rejection.
    yield* Effect.addFinalizer(() => (failures.length === 0 ? Effect.void : Effect.die(failures[0])))
    return Context.make(
      Environment.Environment,
      Environment.custom({
        tokenEndpoint: `${url}/token`,
        authorizationEndpoint: `${url}/auth`,
        userinfoEndpoint: `${url}/me`,
        revocationEndpoint: `${url}/token/revocation`,
        endSessionEndpoint: `${url}/session/end`,
        apiBaseUrl: url
      })
    )
  })
)

const apps = [
  ["a web app", web, "https://app.example.com/sign-in/callback"],
  // A native app listens at a free port, whatever port is registered (RFC 8252 §7.3).
  ["a native app", native, "http://127.0.0.1:54321/callback"]
] as const

describe.each(apps)("core signs a user of %s in at oidc-provider", (_name, credentials, redirectUri) => {
  const begin = (options?: { readonly prompt: AuthorizationCode.Prompt }) =>
    AuthorizationCode.start({ clientId: credentials.clientId, redirectUri, scopes, prompt: "consent", ...options })

  const makeUser = Effect.map(Environment.Environment, ({ issuer }) => makeBrowser(issuer))

  /** Signs in, consents, and returns the parameters of the callback. */
  const signIn = Effect.fnUntraced(function* (browser: ReturnType<typeof makeBrowser>, url: Redacted.Redacted) {
    const login = yield* browser.visit(Redacted.value(url))
    const consent = yield* browser.submit(login, { login: "ada", password: "any" })
    const end = yield* browser.submit(consent, {})
    assert.isTrue(end.url.startsWith(`${redirectUri}?`), end.url)
    return new URL(end.url).searchParams
  })

  const signedIn = Effect.gen(function* () {
    const browser = yield* makeUser
    const { transaction, url } = yield* begin()
    const query = yield* signIn(browser, url)
    const granted = yield* AuthorizationCode.redeem(query, transaction, credentials)
    return { ...granted, browser, query, transaction }
  })

  const refresh = (refreshToken: Redacted.Redacted | undefined) =>
    TokenRequest.exchange({
      credentials,
      scopes,
      grant: { _tag: "RefreshToken", refreshToken: refreshToken ?? Redacted.make("none") }
    })

  const reasonOf = <A, E extends { readonly reason: { readonly _tag: string } }, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

  layer(Layer.mergeAll(server, FetchHttpClient.layer, RetryPolicy.layer(RetryPolicy.none)), {
    excludeTestServices: true
  })((it) => {
    it.effect("returns access, refresh and id token, and the claims of the user", () =>
      Effect.gen(function* () {
        const { accessToken, claims, idToken, refreshToken } = yield* signedIn
        assert.strictEqual(accessToken.clientId, credentials.clientId)
        assert.strictEqual(accessToken.scopes, scopes)
        assert.strictEqual(claims?.subject, "ada")
        assert.isDefined(refreshToken)
        assert.isDefined(idToken)
      })
    )

    it.effect("rotates the refresh token, and ends the sign-in when an old one is used again", () =>
      Effect.gen(function* () {
        const first = yield* signedIn
        const second = yield* refresh(first.refreshToken)
        const third = yield* refresh(second.refreshToken)
        const values = [first, second, third].map(({ refreshToken }) => refreshToken && Redacted.value(refreshToken))
        assert.strictEqual(new Set(values).size, 3)
        assert.strictEqual(third.accessToken.scopes, scopes)
        assert.strictEqual(yield* reasonOf(refresh(first.refreshToken)), "InvalidGrant")
        assert.strictEqual(yield* reasonOf(refresh(third.refreshToken)), "InvalidGrant")
      })
    )

    it.effect("fails when a code is redeemed again, or with another verifier", () =>
      Effect.gen(function* () {
        const { query, transaction } = yield* signedIn
        assert.strictEqual(yield* reasonOf(AuthorizationCode.redeem(query, transaction, credentials)), "InvalidGrant")
        const browser = yield* makeUser
        const another = yield* begin()
        const fresh = yield* signIn(browser, another.url)
        const mixedUp = new AuthorizationCode.Transaction({
          ...another.transaction,
          codeVerifier: transaction.codeVerifier
        })
        assert.strictEqual(yield* reasonOf(AuthorizationCode.redeem(fresh, mixedUp, credentials)), "InvalidGrant")
      })
    )

    it.effect("revokes the refresh token, and accepts that it is revoked already", () =>
      Effect.gen(function* () {
        const environment = yield* Environment.Environment
        const { refreshToken = Redacted.make("none") } = yield* signedIn
        yield* AuthorizationCode.revoke(environment, credentials, refreshToken, "refresh_token")
        assert.strictEqual(yield* reasonOf(refresh(refreshToken)), "InvalidGrant")
        yield* AuthorizationCode.revoke(environment, credentials, refreshToken, "refresh_token")
      })
    )

    it.effect("ends the session, so that the next sign-in without a page is refused", () =>
      Effect.gen(function* () {
        const environment = yield* Environment.Environment
        const { browser, idToken } = yield* signedIn
        const options = { clientId: credentials.clientId, idToken, postLogoutRedirectUri: signedOutUri, state: "s1" }
        const page = yield* browser.visit(Redacted.value(AuthorizationCode.endSessionUrl(environment, options)))
        const end = yield* browser.submit(page, { logout: "yes" })
        assert.strictEqual(end.url, `${signedOutUri}?state=s1`)

        const { transaction, url } = yield* begin({ prompt: "none" })
        const { searchParams } = new URL((yield* browser.visit(Redacted.value(url))).url)
        const error = yield* Effect.flip(AuthorizationCode.redeem(searchParams, transaction, credentials))
        assert.deepInclude(error.reason, { _tag: "Refused", code: "login_required" })
      })
    )

    it.effect("fails with Denied when the user declines", () =>
      Effect.gen(function* () {
        const browser = yield* makeUser
        const { transaction, url } = yield* begin()
        const login = yield* browser.visit(Redacted.value(url))
        const { searchParams } = new URL((yield* browser.follow(login, /href="([^"]*\/abort)"/)).url)
        assert.strictEqual(yield* reasonOf(AuthorizationCode.redeem(searchParams, transaction, credentials)), "Denied")
      })
    )
  })
})

layer(Layer.mergeAll(server, FetchHttpClient.layer, RetryPolicy.layer(RetryPolicy.none)), {
  excludeTestServices: true
})("core revokes tokens at oidc-provider", (it) => {
  it.effect("fails without showing the secret when the server rejects the client", () =>
    Effect.gen(function* () {
      const environment = yield* Environment.Environment
      const wrong = new ClientCredentials.ClientCredentials({
        clientId: web.clientId,
        clientSecret: Redacted.make("fake-secret-w+r/o=ng")
      })
      const token = Redacted.make("fake-secret-token-a+b/c=")
      const error = yield* Effect.flip(AuthorizationCode.revoke(environment, wrong, token, "refresh_token"))
      assert.strictEqual(error.message, "The endpoint returned the status 401 (invalid_client).")
    })
  )
})
