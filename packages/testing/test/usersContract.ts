// The contract of the fake for users who sign in. It runs in process, over a socket, and with the admin API.
import { assert, type it as unit } from "@effect/vitest"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, type Layer } from "effect"
import type { HttpClient } from "effect/http"
import { makeBrowser } from "./browser.ts"
import { getMe } from "./contract.ts"
import * as s from "./signingIn.ts"

export const usersContract = (
  test: typeof unit.effect | typeof unit.live,
  layer: Layer.Layer<FakeIms.FakeIms | HttpClient.HttpClient, unknown>
) => {
  for (const type of ["web", "native", "spa"] as const) {
    const scope = type === "spa" ? s.allScopes : `${s.allScopes} offline_access`

    test(`signs a user in to a ${type} app, and serves the APIs as that user`, () =>
      Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        const ada = yield* s.addAda
        const app = yield* s.registerUsersApp(type)
        const location = yield* fake.signIn(yield* s.authorizeUrl(app, { scope, nonce: "n-1" }), { email: s.email })
        assert.strictEqual(location.href.split("?")[0], s.callback)
        assert.strictEqual(location.searchParams.get("state"), "state-1")
        assert.strictEqual(location.searchParams.get("iss"), new URL(fake.environment.tokenEndpoint).origin)
        const { body, headers, status } = yield* s.redeem(app, String(location.searchParams.get("code")))
        assert.strictEqual(status, 200, JSON.stringify(body))
        assert.strictEqual(headers["cache-control"], "no-store")
        assert.deepInclude(body, { token_type: "Bearer", expires_in: 3600 })
        assert.strictEqual(typeof body.refresh_token, type === "spa" ? "undefined" : "string")
        const person = { sub: ada.id, email: s.email, given_name: "Ada", family_name: "Lovelace" }
        const { clientId } = app.credentials
        assert.deepInclude(s.claimsIn(body.access_token), { ...person, client_id: clientId, scope: scope.split(" ") })
        assert.deepInclude(s.claimsIn(body.id_token), { ...person, aud: clientId, nonce: "n-1" })
        const me = yield* getMe(`Bearer ${body.access_token}`)
        assert.strictEqual(me.status, 200)
        const { createdDateTime, ...user } = me.body.user
        assert.deepStrictEqual(user, ada)
        assert.match(createdDateTime, /\.\d{7}Z$/)
        const info = yield* s.userInfo(`Bearer ${body.access_token}`)
        assert.deepInclude(info.body, { ...person, organization: "Engines" })
      }).pipe(Effect.provide(layer)))
  }

  test("exchanges a code once, and ends the sign-in when it comes again", () =>
    Effect.gen(function* () {
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const code = yield* s.codeFor(app)
      const first = yield* s.redeem(app, code)
      assert.strictEqual((yield* getMe(`Bearer ${first.body.access_token}`)).status, 200)
      const again = yield* s.redeem(app, code)
      assert.deepInclude(again, { status: 400 })
      assert.strictEqual(again.body.error, "invalid_grant")
      assert.strictEqual((yield* getMe(`Bearer ${first.body.access_token}`)).status, 401)
      assert.strictEqual((yield* s.refresh(app, first.body.refresh_token)).body.error, "invalid_grant")
    }).pipe(Effect.provide(layer)))

  test("replaces a refresh token, and ends the sign-in when the old one comes again", () =>
    Effect.gen(function* () {
      yield* s.addAda
      const app = yield* s.registerUsersApp("native")
      const first = yield* s.redeem(app, yield* s.codeFor(app))
      const second = yield* s.refresh(app, first.body.refresh_token)
      assert.strictEqual(second.status, 200)
      assert.notStrictEqual(second.body.refresh_token, first.body.refresh_token)
      assert.strictEqual((yield* getMe(`Bearer ${second.body.access_token}`)).status, 200)
      assert.notProperty(s.claimsIn(second.body.id_token), "nonce")
      const third = yield* s.refresh(app, second.body.refresh_token)
      assert.strictEqual(third.status, 200)
      assert.strictEqual((yield* s.refresh(app, first.body.refresh_token)).body.error, "invalid_grant")
      assert.strictEqual((yield* s.refresh(app, third.body.refresh_token)).body.error, "invalid_grant")
      assert.strictEqual((yield* getMe(`Bearer ${third.body.access_token}`)).status, 401)
    }).pipe(Effect.provide(layer)))

  test("lets a person sign in, consent and stay signed in until the session ends", () =>
    Effect.gen(function* () {
      const browser = makeBrowser()
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const url = yield* s.authorizeUrl(app)
      const signIn = yield* browser.open(url)
      assert.strictEqual(signIn.status, 200)
      assert.include(signIn.html, "Ada Lovelace")
      const consent = yield* browser.submit(signIn, { email: s.email })
      assert.include(consent.html, "Allow access?")
      assert.include(consent.html, "offline_access")
      const allowed = yield* browser.submit(consent, { decision: "allow" })
      assert.strictEqual(allowed.status, 303)
      assert.strictEqual(allowed.location?.searchParams.get("state"), "state-1")
      const { body } = yield* s.redeem(app, String(allowed.location?.searchParams.get("code")))
      assert.strictEqual((yield* getMe(`Bearer ${body.access_token}`)).body.user.email, s.email)

      const again = yield* browser.open(url)
      assert.strictEqual(again.status, 302)
      assert.isTrue(again.location?.searchParams.has("code"))
      const end = new URL("/connect/endsession", url)
      end.search = new URLSearchParams({
        id_token_hint: String(body.id_token),
        post_logout_redirect_uri: s.afterSignOut,
        state: "bye-1"
      }).toString()
      const ended = yield* browser.open(end)
      assert.strictEqual(ended.location?.href, `${s.afterSignOut}?state=bye-1`)
      assert.deepStrictEqual(browser.cookies(), {})
      assert.include((yield* browser.open(url)).html, "<h1>Sign in</h1>")
    }).pipe(Effect.provide(layer)))
}
