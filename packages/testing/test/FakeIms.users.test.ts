// Users of the fake in process, where time is the test's clock.
import { assert, describe, it } from "@effect/vitest"
import { AuthorizationCode, Environment, Scopes } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { makeBrowser } from "./browser.ts"
import { getMe } from "./contract.ts"
import * as s from "./signingIn.ts"

describe("users of FakeIms in process", () => {
  it.effect.each<readonly [string, Environment.Environment]>([
    ["production", Environment.production],
    [
      "a gateway with paths",
      Environment.custom({ tokenEndpoint: "https://a.example/auth/token", apiBaseUrl: "https://b.example/itwin/" })
    ]
  ])("signs a user in to a program that uses core: %s", ([_name, environment]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { id } = yield* s.addAda
      const { credentials } = yield* s.registerUsersApp("web")
      const { transaction, url } = yield* AuthorizationCode.start({
        clientId: credentials.clientId,
        redirectUri: s.callback,
        scopes: Scopes.make(`${s.allScopes} offline_access`)
      })
      const { searchParams } = yield* fake.signIn(url, { email: s.email })
      const signedIn = yield* AuthorizationCode.redeem(searchParams, transaction, credentials)
      assert.deepInclude(signedIn.claims, { subject: id, email: s.email, givenName: "Ada" })
      assert.isDefined(signedIn.refreshToken)
      assert.strictEqual((yield* getMe(`Bearer ${Redacted.value(signedIn.accessToken.value)}`)).body.user.id, id)
      const denied = yield* fake.signIn(url, { email: s.email, deny: true })
      const error = yield* Effect.flip(AuthorizationCode.redeem(denied.searchParams, transaction, credentials))
      assert.strictEqual(error.reason._tag, "Denied")
    }).pipe(Effect.provide(FakeIms.layerTest({ environment })))
  )

  it.effect("keeps the address of the app as it was registered", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* s.addAda
      const redirectUris = ["com.example.app:/callback", "https://a.example/x?tenant=1&b=%2F"]
      const app = yield* fake.registerApp({ name: "Native", type: "native", redirectUris })
      for (const redirectUri of redirectUris) {
        const { href } = yield* fake.signIn(yield* s.authorizeUrl(app, { redirect_uri: redirectUri }))
        assert.isTrue(href.startsWith(`${redirectUri}${redirectUri.includes("?") ? "&" : "?"}code=fake-code-`), href)
      }
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("rejects a code from the moment when its life has passed", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const [inTime, late] = [yield* s.codeFor(app), yield* s.codeFor(app)]
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual((yield* s.redeem(app, inTime)).status, 200)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* s.redeem(app, late)).body.error, "invalid_grant")
      assert.strictEqual((yield* fake.tokenRequests).at(-1)?.explanation, "The code has expired.")
      yield* fake.setProfile({ codeLifeSeconds: 1 })
      const short = yield* s.codeFor(app)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* s.redeem(app, short)).body.error, "invalid_grant")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("ends the sign-in when a code comes again long after it was used", () =>
    Effect.gen(function* () {
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const code = yield* s.codeFor(app)
      const { body } = yield* s.redeem(app, code)
      yield* TestClock.adjust("50 minutes")
      assert.strictEqual((yield* getMe(`Bearer ${body.access_token}`)).status, 200)
      yield* s.redeem(app, code)
      assert.strictEqual((yield* getMe(`Bearer ${body.access_token}`)).status, 401)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("accepts a replaced refresh token during the grace, and ends the sign-in after it", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const { body } = yield* s.redeem(app, yield* s.codeFor(app))
      // The answer is lost, but the token is replaced.
      yield* fake.script("POST /connect/token", Fault.once(Fault.resetAmidBody))
      assert.isTrue((yield* Effect.exit(s.refresh(app, body.refresh_token)))._tag === "Failure")
      yield* TestClock.adjust("29 seconds")
      const again = yield* s.refresh(app, body.refresh_token)
      assert.strictEqual(again.status, 200)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* s.refresh(app, body.refresh_token)).body.error, "invalid_grant")
      assert.match((yield* fake.tokenRequests).at(-1)?.explanation ?? "", /refresh token was replaced before/)
      assert.strictEqual((yield* s.refresh(app, again.body.refresh_token)).body.error, "invalid_grant")
      assert.match((yield* fake.tokenRequests).at(-1)?.explanation ?? "", /replaced refresh token was used/)
    }).pipe(Effect.provide(FakeIms.layerTest({ profile: { refreshTokenGraceSeconds: 30 } })))
  )

  it.effect("returns no new refresh token without rotation, and rejects one whose life has passed", () =>
    Effect.gen(function* () {
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const { body } = yield* s.redeem(app, yield* s.codeFor(app))
      for (let i = 0; i < 2; i++) {
        const answer = yield* s.refresh(app, body.refresh_token)
        assert.strictEqual(answer.status, 200)
        assert.notProperty(answer.body, "refresh_token")
      }
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* s.refresh(app, body.refresh_token)).body.error, "invalid_grant")
    }).pipe(
      Effect.provide(FakeIms.layerTest({ profile: { refreshTokenRotation: false, refreshTokenLifeSeconds: 60 } }))
    )
  )

  it.effect("writes when the user signed in into each id token", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_800_000_000_000)
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const { body } = yield* s.redeem(app, yield* s.codeFor(app))
      yield* TestClock.adjust("10 minutes")
      const refreshed = yield* s.refresh(app, body.refresh_token)
      const claims = { auth_time: 1_800_000_000, iss: "https://ims.bentley.com", aud: app.credentials.clientId }
      assert.deepInclude(s.claimsIn(body.id_token), { ...claims, iat: 1_800_000_000, exp: 1_800_003_600 })
      assert.deepInclude(s.claimsIn(refreshed.body.id_token), { ...claims, iat: 1_800_000_600, exp: 1_800_004_200 })
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("asks a person to sign in again when the session is older than max_age, or than a day", () =>
    Effect.gen(function* () {
      const browser = makeBrowser()
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const url = yield* s.authorizeUrl(app, { max_age: "60" })
      const consent = yield* browser.submit(yield* browser.open(url), { email: s.email })
      yield* browser.submit(consent, { decision: "allow" })
      yield* TestClock.adjust("60 seconds")
      assert.isTrue((yield* browser.open(url)).location?.searchParams.has("code"))
      yield* TestClock.adjust("1 second")
      assert.include((yield* browser.open(url)).html, "<h1>Sign in</h1>")
      const plain = yield* s.authorizeUrl(app)
      assert.isTrue((yield* browser.open(plain)).location?.searchParams.has("code"))
      yield* TestClock.adjust("1 day")
      assert.include((yield* browser.open(plain)).html, "<h1>Sign in</h1>")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("makes the same users, codes and tokens for the same seed and clock", () => {
    const story = Effect.gen(function* () {
      const ada = yield* s.addAda
      const app = yield* s.registerUsersApp("native")
      const code = yield* s.codeFor(app)
      return [ada, app.credentials.clientId, code, (yield* s.redeem(app, code)).body]
    })
    return Effect.gen(function* () {
      const first = yield* Effect.provide(story, FakeIms.layerTest())
      assert.deepStrictEqual(yield* Effect.provide(story, FakeIms.layerTest()), first)
      assert.notDeepEqual(yield* Effect.provide(story, FakeIms.layerTest({ seed: "other" })), first)
    })
  })

  it.effect("forgets users and their sign-ins when it is reset", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* s.addAda
      const register = s.registerUsersApp("web", {
        clientId: "web-fixed",
        clientSecret: Redacted.make("fake-secret-a+b/c=")
      })
      const app = yield* register
      const { body } = yield* s.redeem(app, yield* s.codeFor(app))
      const code = yield* s.codeFor(app)
      yield* fake.reset
      assert.deepStrictEqual(yield* fake.users, [])
      yield* register
      assert.strictEqual((yield* s.refresh(app, body.refresh_token)).body.error, "invalid_grant")
      assert.strictEqual((yield* s.redeem(app, code)).body.error, "invalid_grant")
      assert.deepStrictEqual(
        (yield* fake.tokenRequests).map(({ explanation }) => explanation),
        ["The refresh token is unknown or has expired.", "The code is unknown."]
      )
      assert.strictEqual((yield* getMe(`Bearer ${body.access_token}`)).status, 401)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("lists in its metadata what it serves to users", () =>
    Effect.gen(function* () {
      const app = yield* s.registerUsersApp("web")
      const response = yield* HttpClient.get("https://ims.bentley.com/.well-known/openid-configuration")
      assert.deepInclude(yield* response.json, {
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        code_challenge_methods_supported: ["S256"],
        grant_types_supported: ["client_credentials", "authorization_code", "refresh_token"],
        token_endpoint_auth_methods_supported: ["client_secret_post", "client_secret_basic", "none"],
        introspection_endpoint_auth_methods_supported: ["client_secret_post", "client_secret_basic"],
        authorization_response_iss_parameter_supported: true,
        scopes_supported: [...app.scopes]
      })
    }).pipe(Effect.provide(FakeIms.layerTest({ app: { name: "Service", scopes: [] } })))
  )

  it.effect("issues a token with the claims of a script to a user too", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* s.addAda
      const app = yield* s.registerUsersApp("web", { response: { omit: ["id_token"] } })
      yield* fake.script("POST /connect/token", Fault.once(Fault.claims({ aud: ["elsewhere"] })))
      const { body } = yield* s.redeem(app, yield* s.codeFor(app))
      assert.deepStrictEqual(s.claimsIn(body.access_token).aud, ["elsewhere"])
      assert.notProperty(body, "id_token")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})
