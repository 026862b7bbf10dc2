// Runs clients that others wrote through the code flow of the fake on a real socket.
import { assert, describe, layer } from "@effect/vitest"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import * as jose from "jose"
import * as oauth from "oauth4webapi"
import * as openid from "openid-client"
import { makeBrowser } from "./browser.ts"
import { getMe } from "./contract.ts"
import * as s from "./signingIn.ts"

const live = { excludeTestServices: true }

const types = ["web", "native", "spa"] as const

const scopeOf = (type: (typeof types)[number]) => (type === "spa" ? s.allScopes : `${s.allScopes} offline_access`)

type AnyApp = FakeIms.App | FakeIms.PublicApp

const secretOf = ({ credentials }: AnyApp) =>
  "clientSecret" in credentials ? Redacted.value(credentials.clientSecret) : undefined

const issuer = Effect.map(FakeIms.FakeIms, ({ environment }) => new URL(environment.issuer))

/** Signs Ada in on the pages of the fake, and returns where the browser is sent. */
const byHand = Effect.fnUntraced(function* (url: URL, decision: "allow" | "deny" = "allow") {
  const browser = makeBrowser()
  const consent = yield* browser.submit(yield* browser.open(url), { email: s.email })
  const { location } = yield* browser.submit(consent, { decision })
  assert.isDefined(location)
  return { browser, location }
})

const errorOf = (run: () => Promise<unknown>) =>
  Effect.map(Effect.flip(Effect.tryPromise({ try: run, catch: (error) => error })), (error) =>
    error instanceof openid.ResponseBodyError ||
    error instanceof openid.AuthorizationResponseError ||
    error instanceof oauth.ResponseBodyError ||
    error instanceof oauth.AuthorizationResponseError
      ? error.error
      : String(error)
  )

describe("openid-client signs users in", () => {
  const discover = Effect.fnUntraced(function* (app: AnyApp) {
    const [server, secret] = [yield* issuer, secretOf(app)]
    const authentication = secret === undefined ? openid.None() : openid.ClientSecretBasic(secret)
    return yield* Effect.promise(() =>
      openid.discovery(server, app.credentials.clientId, undefined, authentication, {
        execute: [openid.allowInsecureRequests, openid.enableNonRepudiationChecks]
      })
    )
  })

  const prepare = Effect.fnUntraced(function* (app: AnyApp, scope: string) {
    const config = yield* discover(app)
    const checks = {
      pkceCodeVerifier: openid.randomPKCECodeVerifier(),
      expectedState: openid.randomState(),
      expectedNonce: openid.randomNonce()
    }
    const challenge = yield* Effect.promise(() => openid.calculatePKCECodeChallenge(checks.pkceCodeVerifier))
    const url = openid.buildAuthorizationUrl(config, {
      redirect_uri: s.callback,
      scope,
      state: checks.expectedState,
      nonce: checks.expectedNonce,
      code_challenge: challenge,
      code_challenge_method: "S256"
    })
    return { config, checks, url }
  })

  layer(
    FakeImsServer.layer(),
    live
  )((it) => {
    it.effect.each(types)("through the complete flow of a %s app", (type) =>
      Effect.gen(function* () {
        const ada = yield* s.addAda
        const app = yield* s.registerUsersApp(type)
        const { checks, config, url } = yield* prepare(app, scopeOf(type))
        const { browser, location } = yield* byHand(url)
        const tokens = yield* Effect.promise(() =>
          openid.authorizationCodeGrant(config, location, { ...checks, idTokenExpected: true })
        )
        assert.deepInclude(tokens.claims(), { sub: ada.id, email: s.email, aud: app.credentials.clientId })
        const info = yield* Effect.promise(() => openid.fetchUserInfo(config, tokens.access_token, ada.id))
        assert.deepInclude(info, { name: "Ada Lovelace", organization: "Engines" })
        assert.strictEqual((yield* getMe(`Bearer ${tokens.access_token}`)).body.user.id, ada.id)

        const { refresh_token: first = "" } = tokens
        assert.strictEqual(first === "", type === "spa")
        if (type !== "spa") {
          const refreshed = yield* Effect.promise(() => openid.refreshTokenGrant(config, first))
          assert.strictEqual(refreshed.claims()?.sub, ada.id)
          const { refresh_token: second = "" } = refreshed
          yield* Effect.promise(() => openid.tokenRevocation(config, second, { token_type_hint: "refresh_token" }))
          assert.strictEqual(yield* errorOf(() => openid.refreshTokenGrant(config, second)), "invalid_grant")
        }
        const end = openid.buildEndSessionUrl(config, {
          id_token_hint: String(tokens.id_token),
          post_logout_redirect_uri: s.afterSignOut,
          state: "bye"
        })
        assert.strictEqual((yield* browser.open(end)).location?.href, `${s.afterSignOut}?state=bye`)
        assert.include((yield* browser.open(url)).html, "<h1>Sign in</h1>")
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.effect("and finds out that the user denied, and that a code works once", () =>
      Effect.gen(function* () {
        yield* s.addAda
        const app = yield* s.registerUsersApp("web")
        const { checks, config, url } = yield* prepare(app, s.allScopes)
        const denied = yield* byHand(url, "deny")
        const redeem = (at: URL) => openid.authorizationCodeGrant(config, at, checks)
        assert.strictEqual(yield* errorOf(() => redeem(denied.location)), "access_denied")
        const { location } = yield* byHand(url)
        yield* Effect.promise(() => redeem(location))
        assert.strictEqual(yield* errorOf(() => redeem(location)), "invalid_grant")
        const mixedUp = new URL(location)
        mixedUp.searchParams.set("iss", "https://other.example")
        assert.match(yield* errorOf(() => redeem(mixedUp)), /invalid response/)
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )
  })
})

describe("oauth4webapi signs users in", () => {
  const insecure = { [oauth.allowInsecureRequests]: true }

  layer(
    FakeImsServer.layer({ algorithm: "EdDSA" }),
    live
  )((it) => {
    it.effect.each(types)("through the complete flow of a %s app", (type) =>
      Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        const ada = yield* s.addAda
        const app = yield* s.registerUsersApp(type)
        const at = yield* issuer
        const run = <A>(promise: () => Promise<A>) => Effect.promise(promise)
        const server = yield* run(async () =>
          oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, insecure))
        )
        const client: oauth.Client = { client_id: app.credentials.clientId }
        const secret = secretOf(app)
        const authentication = secret === undefined ? oauth.None() : oauth.ClientSecretPost(secret)
        const [verifier, state, nonce] = [
          oauth.generateRandomCodeVerifier(),
          oauth.generateRandomState(),
          oauth.generateRandomNonce()
        ]
        const challenge = yield* run(() => oauth.calculatePKCECodeChallenge(verifier))
        const url = yield* s.authorizeUrl(app, { scope: scopeOf(type), state, nonce, code_challenge: challenge })
        assert.strictEqual(`${url.origin}${url.pathname}`, server.authorization_endpoint)
        const location = yield* fake.signIn(url, { email: s.email })
        const params = oauth.validateAuthResponse(server, client, location, state)
        const redeem = async () => {
          const response = await oauth.authorizationCodeGrantRequest(
            server,
            client,
            authentication,
            params,
            s.callback,
            verifier,
            insecure
          )
          const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
            expectedNonce: nonce,
            requireIdToken: true
          })
          await oauth.validateApplicationLevelSignature(server, response, insecure)
          return tokens
        }
        const tokens = yield* run(redeem)
        assert.strictEqual(oauth.getValidatedIdTokenClaims(tokens)?.sub, ada.id)
        const keys = jose.createRemoteJWKSet(new URL(String(server.jwks_uri)))
        const { payload } = yield* run(() => jose.jwtVerify(tokens.access_token, keys, { issuer: at.origin }))
        assert.deepInclude(payload, { sub: ada.id, email: s.email })
        const info = yield* run(async () =>
          oauth.processUserInfoResponse(
            server,
            client,
            ada.id,
            await oauth.userInfoRequest(server, client, tokens.access_token, insecure)
          )
        )
        assert.strictEqual(info.email, s.email)
        if (tokens.refresh_token !== undefined) {
          const refreshToken = tokens.refresh_token
          const refresh = async () =>
            oauth.processRefreshTokenResponse(
              server,
              client,
              await oauth.refreshTokenGrantRequest(server, client, authentication, refreshToken, insecure)
            )
          const refreshed = yield* run(refresh)
          assert.notStrictEqual(refreshed.refresh_token, refreshToken)
          assert.strictEqual(yield* errorOf(refresh), "invalid_grant")
        }
        yield* run(async () =>
          oauth.processRevocationResponse(
            await oauth.revocationRequest(server, client, authentication, tokens.access_token, insecure)
          )
        )
        assert.strictEqual((yield* getMe(`Bearer ${tokens.access_token}`)).status, 401)
        assert.strictEqual(yield* errorOf(redeem), "invalid_grant")
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )
  })
})
