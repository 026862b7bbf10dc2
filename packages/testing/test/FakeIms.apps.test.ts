// Apps and tokens as a test sees them: through the library, in process, under virtual time.

import { assert, describe, it } from "@effect/vitest"
import { ITwin, Scopes, SecretProvider, TokenCache, Users } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { importJWK, jwtVerify } from "jose"
import { getMe, post, register, secretOf } from "./contract.ts"

const App = ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest({ app: { name: "Mine" } })))

const fake = FakeIms.FakeIms
const cache = TokenCache.TokenCache
const own = Effect.flatMap(SecretProvider.SecretProvider, (provider) => provider.credentials)
const refresh = Effect.flatMap(cache, (cache) => cache.refresh())
const refused = Effect.map(Effect.flip(refresh), (error) => error.reason._tag)
const ask = (app: FakeIms.App, secret = secretOf(app)) =>
  Effect.map(
    post({ grant_type: "client_credentials", client_id: app.credentials.clientId, client_secret: secret }),
    ({ status }) => status
  )

/** Returns the tag of the error of /users/me, or `ok`. */
const me = Users.me.pipe(
  Effect.match({ onSuccess: () => "ok", onFailure: (error) => ("reason" in error ? error.reason._tag : "") })
)

describe("secrets of an app", () => {
  it.effect("returns the new secret and rejects the old one after regenerateSecret", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const old = yield* own
      const app = yield* ims.regenerateSecret(old.clientId)
      assert.notStrictEqual(Redacted.value(old.clientSecret), secretOf(app))
      assert.strictEqual(yield* ask(app), 200)
      assert.strictEqual(yield* ask(app, Redacted.value(old.clientSecret)), 401)
      assert.strictEqual((yield* refresh).tokenType, "Bearer")
    }).pipe(Effect.provide(App))
  )

  it.effect("accepts both secrets until the overlap has passed", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const old = yield* own
      const app = yield* ims.regenerateSecret(old.clientId, { overlap: "1 hour" })
      assert.strictEqual(yield* ask(app, Redacted.value(old.clientSecret)), 200)
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(yield* ask(app, Redacted.value(old.clientSecret)), 200)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* ask(app, Redacted.value(old.clientSecret)), 401)
      assert.strictEqual(yield* ask(app), 200)
    }).pipe(Effect.provide(App))
  )

  it.effect("rejects only the secret that was revoked, and accepts the others", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const old = yield* own
      const app = yield* ims.regenerateSecret(old.clientId, { overlap: "1 hour" })
      yield* ims.revokeSecret(old.clientId, old.clientSecret)
      assert.strictEqual(yield* ask(app, Redacted.value(old.clientSecret)), 401)
      assert.strictEqual(yield* ask(app), 200)
      yield* ims.revokeSecret(old.clientId, app.credentials.clientSecret)
      assert.strictEqual(yield* refused, "InvalidClient")
    }).pipe(Effect.provide(App))
  )
})

describe("apps and their tokens", () => {
  it.effect("rejects a revoked token at the APIs and accepts the next one", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      yield* ims.revokeToken(yield* refresh)
      assert.strictEqual(yield* me, "Unauthorized")
      yield* refresh
      assert.strictEqual(yield* me, "ok")
      yield* ims.revokeAllTokens((yield* own).clientId)
      assert.strictEqual(yield* me, "Unauthorized")
    }).pipe(Effect.provide(App))
  )

  it.effect("rejects a disabled app and its tokens until it is enabled", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const { clientId } = yield* own
      yield* refresh
      yield* ims.disableApp(clientId)
      assert.strictEqual(yield* me, "Unauthorized")
      assert.strictEqual(yield* refused, "InvalidClient")
      yield* ims.enableApp(clientId)
      assert.strictEqual(yield* me, "ok")
      yield* ims.deleteApp(clientId)
      assert.strictEqual(yield* me, "Unauthorized")
      assert.strictEqual(yield* refused, "InvalidClient")
    }).pipe(Effect.provide(App))
  )

  it.effect("returns UserNotFound until the delay of the identity has passed", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* me, "NotFound")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* me, "ok")
    }).pipe(
      Effect.provide(
        ITwin.layerWith({}).pipe(
          Layer.provideMerge(FakeIms.layerTest({ app: { name: "New", identityDelay: "5 minutes" } }))
        )
      )
    )
  )

  it.effect("issues tokens with the life of the app, the fake or the profile", () =>
    Effect.gen(function* () {
      for (const [options, seconds] of [
        [{}, 3600],
        [{ profile: { tokenLifeSeconds: 3599 } }, 3599],
        [{ tokenLife: "10 minutes" }, 600],
        [{ tokenLife: "10 minutes", app: { name: "Short", tokenLife: "1 minute" } }, 60]
      ] as const) {
        const token = yield* Effect.provide(
          refresh,
          TokenCache.layerWith({}).pipe(Layer.provide(FakeIms.layerTest(options)))
        )
        assert.strictEqual((token.expiresAt.epochMilliseconds - token.issuedAt.epochMilliseconds) / 1000, seconds)
      }
    })
  )

  it.effect("rejects a token of an app whose audience is another one", () =>
    Effect.gen(function* () {
      yield* refresh
      assert.strictEqual(yield* me, "Unauthorized")
    }).pipe(
      Effect.provide(
        ITwin.layerWith({}).pipe(
          Layer.provideMerge(FakeIms.layerTest({ app: { name: "Elsewhere", claims: { aud: ["elsewhere"] } } }))
        )
      )
    )
  )

  it.effect("changes claims and fields for one call, and fields for one app", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      yield* ims.script("POST /connect/token", Fault.once(Fault.claims({ aud: ["elsewhere"] })))
      yield* refresh
      assert.strictEqual(yield* me, "Unauthorized")
      yield* refresh
      assert.strictEqual(yield* me, "ok")
      const app = yield* ims.registerApp({
        name: "Odd",
        response: { set: { scope: "users:read", expires_in: "60" }, omit: ["token_type"] }
      })
      const { body } = yield* post({
        grant_type: "client_credentials",
        client_id: app.credentials.clientId,
        client_secret: secretOf(app)
      })
      assert.deepInclude(body, { scope: "users:read", expires_in: "60" })
      assert.notProperty(body, "token_type")
    }).pipe(Effect.provide(App))
  )

  it.effect("follows the profile where the platform is not documented", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const app = yield* ims.registerApp({ name: "Wide", scopes: ["a", "b", "openid"] })
      const form = {
        grant_type: "client_credentials",
        client_id: app.credentials.clientId,
        client_secret: secretOf(app)
      }
      const wrong = yield* post({ ...form, client_secret: "fake-secret-wrong" })
      assert.strictEqual(wrong.status, 400)
      const token = yield* post({ ...form, scope: "b a" })
      assert.strictEqual(token.body.scope, "b a")
      const claims = JSON.parse(atob(String(token.body.access_token).split(".")[1] ?? ""))
      assert.strictEqual(claims.scope, "b a")
      assert.strictEqual((yield* post({ ...form, scope: "openid" })).body.error, "invalid_scope")
      const basic = yield* post(
        { grant_type: "client_credentials" },
        HttpClientRequest.basicAuth(app.credentials.clientId, secretOf(app))
      )
      assert.strictEqual(basic.body.error, "invalid_client")
    }).pipe(
      Effect.provide(
        FakeIms.layerTest({
          profile: { invalidClientStatus: 400, scopeClaim: "string", scopeInResponse: true, clientSecretBasic: false }
        })
      )
    )
  )

  it.effect("signs tokens with Ed25519 in process, and they verify with the published key", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_800_000_000_000)
      const ims = yield* fake
      const first = Redacted.value((yield* refresh).value)
      yield* ims.rotateKeys
      const second = Redacted.value((yield* refresh).value)
      const response = yield* HttpClient.get("https://ims.bentley.com/.well-known/openid-configuration/jwks")
      const { keys } = JSON.parse(yield* response.text)
      assert.strictEqual(keys.length, 2)
      assert.isTrue(keys.every((key: object) => !("d" in key)))
      for (const [jwt, key] of [
        [second, keys[0]],
        [first, keys[1]]
      ]) {
        const verified = yield* Effect.promise(async () =>
          jwtVerify(jwt, await importJWK(key), {
            issuer: "https://ims.bentley.com",
            currentDate: new Date(1_800_000_000_000)
          })
        )
        assert.strictEqual(verified.protectedHeader.alg, "EdDSA")
      }
    }).pipe(Effect.provide(App))
  )

  it.effect("introspects and revokes as RFC 7662 and RFC 7009 demand", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const app = yield* register()
      const other = yield* register()
      const form = (app: FakeIms.App) => ({ client_id: app.credentials.clientId, client_secret: secretOf(app) })
      const call = (path: string, body: Record<string, string>) =>
        Effect.flatMap(
          HttpClient.execute(
            HttpClientRequest.post(`https://ims.bentley.com/connect/${path}`).pipe(
              HttpClientRequest.bodyUrlParams(body)
            )
          ),
          (response) => Effect.map(response.text, (text) => ({ status: response.status, body: JSON.parse(text) }))
        )
      const { body } = yield* post({ ...form(app), grant_type: "client_credentials" })
      const token = String(body.access_token)
      const active = yield* call("introspect", { ...form(other), token })
      assert.deepInclude(active.body, { active: true, client_id: app.credentials.clientId, scope: "itwin-platform" })
      assert.deepStrictEqual((yield* call("introspect", { ...form(other), token: "x" })).body, { active: false })
      assert.strictEqual(
        (yield* call("introspect", { token, ...form(app), client_secret: "fake-secret-x" })).status,
        401
      )
      assert.strictEqual((yield* call("introspect", form(app))).body.error, "invalid_request")
      // Only its own app can revoke a token (RFC 7009 §2.1).
      assert.strictEqual((yield* call("revocation", { ...form(other), token })).status, 400)
      assert.isTrue((yield* call("introspect", { ...form(app), token })).body.active)
      assert.strictEqual((yield* call("revocation", { ...form(app), token })).status, 200)
      assert.deepStrictEqual((yield* call("introspect", { ...form(app), token })).body, { active: false })
      assert.notInclude(JSON.stringify(yield* ims.journal), token)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})

describe("tokens that a test issues", () => {
  it.effect(
    "issues tokens by issueToken that the APIs accept and the published keys verify, also after a rotation",
    () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1_800_000_000_000)
        const ims = yield* fake
        yield* ims.rotateKeys
        const token = yield* ims.issueToken()
        assert.strictEqual(token.scopes, Scopes.itwinPlatform)
        assert.strictEqual(token.clientId, (yield* own).clientId)
        assert.strictEqual(token.expiresAt.epochMilliseconds - token.issuedAt.epochMilliseconds, 3_600_000)
        assert.strictEqual((yield* getMe(Redacted.value(token.authorizationHeader))).status, 200)
        const response = yield* HttpClient.get("https://ims.bentley.com/.well-known/openid-configuration/jwks")
        const { keys } = JSON.parse(yield* response.text)
        const { payload } = yield* Effect.promise(async () =>
          jwtVerify(Redacted.value(token.value), await importJWK(keys[0]), {
            issuer: "https://ims.bentley.com",
            audience: "bentley-api-management",
            currentDate: new Date(1_800_000_000_000)
          })
        )
        assert.strictEqual(payload.sub, token.clientId)
        yield* ims.assertTokenRequests(0)
        yield* ims.revokeToken(token)
        assert.strictEqual((yield* getMe(Redacted.value(token.authorizationHeader))).status, 401)
      }).pipe(Effect.provide(App))
  )

  it.effect("issues a token by issueToken with the given claims, scopes and life", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const app = yield* ims.registerApp({ name: "Other", scopes: ["users:read", "itwins:read"] })
      const { clientId } = app.credentials
      const token = yield* ims.issueToken({
        clientId,
        claims: { sub: "user-1", email: "a@example.com" },
        scopes: ["itwins:read"],
        expiresIn: "5 minutes"
      })
      const claims = JSON.parse(atob(Redacted.value(token.value).split(".")[1] ?? ""))
      assert.deepInclude(claims, { client_id: clientId, sub: "user-1", email: "a@example.com", scope: ["itwins:read"] })
      assert.strictEqual(claims.exp - claims.iat, 300)
      assert.strictEqual(token.scopes, Scopes.make("itwins:read"))
      const header = Redacted.value(token.authorizationHeader)
      assert.strictEqual((yield* getMe(header)).status, 403)
      yield* TestClock.adjust("5 minutes")
      assert.include((yield* getMe(header)).body.error.details[0].message, "expired")
      const expired = yield* ims.issueToken({ clientId, claims: { exp: 1 } })
      assert.strictEqual(expired.expiresAt.epochMilliseconds, 1000)
    }).pipe(Effect.provide(App))
  )

  it.effect("dies when issueToken names an unknown client, and forgets the issued tokens at a reset", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      assert.include(String(yield* Effect.exit(ims.issueToken({ clientId: "service-x" }))), "no app service-x")
      const { credentials } = yield* ims.registerApp({ name: "Same", clientId: "service-same" })
      const token = yield* ims.issueToken({ clientId: credentials.clientId })
      yield* ims.reset
      assert.include(String(yield* Effect.exit(ims.issueToken())), "Register one first")
      yield* ims.registerApp({ name: "Same", clientId: "service-same" })
      const { body, status } = yield* getMe(Redacted.value(token.authorizationHeader))
      assert.strictEqual(status, 401)
      assert.include(body.error.details[0].message, "before the last reset")
    }).pipe(Effect.provide(App))
  )
})
