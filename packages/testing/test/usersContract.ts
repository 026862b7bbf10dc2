// The contract of the fake for users who sign in. It runs in process, over a socket, and with the admin API.
import { assert, type it as unit } from "@effect/vitest"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, type Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { explain } from "../src/internal/engine/explain.ts"
import { makeBrowser, type Page } from "./browser.ts"
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
      const cookies = browser.cookies()
      const ended = yield* browser.open(end)
      assert.strictEqual(ended.location?.href, `${s.afterSignOut}?state=bye-1`)
      assert.deepStrictEqual(browser.cookies(), {})
      assert.include((yield* browser.open(url)).html, "<h1>Sign in</h1>")
      // A copy of the cookie is worth nothing either.
      const cookie = Object.entries(cookies).map(([name, value]) => `${name}=${value}`)
      assert.include((yield* browser.open(url, { cookie: cookie.join("; ") })).html, "<h1>Sign in</h1>")
    }).pipe(Effect.provide(layer)))

  test("registers only what an app of its type can have", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const name = "Contract"
      const redirectUris = [s.callback]
      const refused: ReadonlyArray<readonly [FakeIms.Registration, RegExp]> = [
        [{ name, redirectUris }, /redirectUris: .*service app signs no users in/],
        [{ name, postLogoutRedirectUris: redirectUris }, /postLogoutRedirectUris: .*service app/],
        [{ name, type: "web" }, /redirectUris: Expected at least one/],
        [{ name, type: "web", redirectUris: ["/callback"] }, /redirectUris\[0\]: Expected an absolute URL/],
        [{ name, type: "web", redirectUris: [s.callback, "https://a.example/#x"] }, /redirectUris\[1\]: .*fragment/],
        [{ name, type: "web", redirectUris: ["http://a.example/"] }, /redirectUris\[0\]: .*http on loopback/],
        [{ name, type: "spa", redirectUris: ["com.example.app:/x"] }, /redirectUris\[0\]: Expected https/],
        [{ name, type: "native", redirectUris: ["javascript:alert(1)"] }, /redirectUris\[0\]: .*program's own/],
        [{ name, type: "native", redirectUris: ["http://127.0.0.1.example/"] }, /redirectUris\[0\]/],
        [{ name, type: "native", redirectUris: ["https://a:b@a.example/"] }, /redirectUris\[0\]: .*user info/],
        [
          { name, type: "native", redirectUris, clientSecret: Redacted.make("fake-secret-x") },
          /clientSecret: .*native app has no secret/
        ],
        [{ name, type: "spa", redirectUris, scopes: ["offline_access"] }, /scopes: .*gets no refresh token/],
        [{ name, type: "web", redirectUris, postLogoutRedirectUris: ["x"] }, /postLogoutRedirectUris\[0\]/]
      ]
      const before = (yield* fake.apps).length
      for (const [registration, why] of refused) {
        const error = yield* Effect.flip(fake.registerApp(registration))
        assert.match(explain(error), why)
      }
      assert.lengthOf(yield* fake.apps, before)
      const native = yield* fake.registerApp({
        name,
        type: "native",
        redirectUris: ["com.example.app:/callback", "http://localhost:3000/", "http://[::1]/", "https://a.example/?x=1"]
      })
      assert.match(native.credentials.clientId, /^native-/)
      assert.notProperty(native.credentials, "clientSecret")
      assert.deepStrictEqual([...native.scopes].toSorted(), [...`${s.allScopes} offline_access`.split(" ")].toSorted())
      assert.deepStrictEqual((yield* fake.apps).at(-1), native)
      const exit = yield* Effect.exit(fake.regenerateSecret(native.credentials.clientId))
      assert.include(String(exit), "native app, which has no secret")
    }).pipe(Effect.provide(layer)))

  test("shows an error, and redirects nowhere, when client or redirect address are not right", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser()
      const user = yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const service = yield* fake.registerApp({ name: "Service" })
      const disabled = yield* s.registerUsersApp("web")
      yield* fake.disableApp(disabled.credentials.clientId)
      const rows: ReadonlyArray<readonly [s.Parameters, RegExp]> = [
        [{ client_id: undefined }, /lacks client_id/],
        [{ client_id: "web-unknown" }, /client_id is not registered/],
        [{ client_id: service.credentials.clientId }, /service app has no redirect address/],
        [{ client_id: disabled.credentials.clientId }, /app is disabled/],
        [{ redirect_uri: undefined }, /lacks redirect_uri/],
        [{ redirect_uri: `${s.callback}/` }, /not registered for this app/],
        [{ redirect_uri: `${s.callback}?x=1` }, /not registered for this app/],
        [{ redirect_uri: s.callback.replace("127.0.0.1", "localhost") }, /not registered for this app/],
        [{ redirect_uri: `"><script>alert(1)</script>` }, /&quot;&gt;&lt;script&gt;/]
      ]
      for (const [changes, why] of rows) {
        const url = yield* s.authorizeUrl(app, changes)
        const { headers, html, location, status } = yield* browser.open(url)
        assert.deepStrictEqual([status, location], [400, undefined], String(why))
        assert.match(html, why)
        assert.notInclude(html, "<script>")
        assert.match(headers["content-security-policy"] ?? "", /^default-src 'none'; style-src 'sha256-/)
        const error = yield* Effect.flip(fake.signIn(url, { email: user.email }))
        assert.include(error.message, "The sign-in failed. ")
      }
      for (const name of ["client_id", "redirect_uri"]) {
        const url = yield* s.authorizeUrl(app)
        url.searchParams.append(name, url.searchParams.get(name) ?? "")
        const { html, status } = yield* browser.open(url)
        assert.strictEqual(status, 400)
        assert.include(html, `The parameter ${name} is repeated.`)
      }
    }).pipe(Effect.provide(layer)))

  test("redirects with an error, the state and the issuer when another parameter is not right", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser()
      yield* s.addAda
      const app = yield* s.registerUsersApp("native")
      const rows: ReadonlyArray<readonly [s.Parameters, string, RegExp]> = [
        [{ response_type: undefined }, "invalid_request", /lacks response_type/],
        [{ response_type: "token" }, "unsupported_response_type", /must be code/],
        [{ response_type: "code id_token" }, "unsupported_response_type", /must be code/],
        [{ response_mode: "fragment" }, "invalid_request", /response_mode must be query/],
        [{ scope: undefined }, "invalid_scope", /lacks scope/],
        [{ scope: "openid all" }, "invalid_scope", /may not request these scopes: all/],
        [{ code_challenge: undefined }, "invalid_request", /code_challenge_method without code_challenge/],
        [{ code_challenge: undefined, code_challenge_method: undefined }, "invalid_request", /native app must send/],
        [{ code_challenge_method: undefined }, "invalid_request", /must be S256/],
        [{ code_challenge_method: "plain", code_challenge: s.verifier }, "invalid_request", /must be S256/],
        [{ code_challenge: `${s.challengeOf("x")}=` }, "invalid_request", /43 characters/],
        [{ prompt: "create" }, "invalid_request", /prompt must be one of/],
        [{ prompt: "none login" }, "invalid_request", /none stands alone/],
        [{ prompt: "none" }, "login_required", /must sign in/],
        [{ max_age: "-1" }, "invalid_request", /max_age/],
        [{ request: "eyJ" }, "request_not_supported", /request is not supported/],
        [{ request_uri: "https://a.example/" }, "request_uri_not_supported", /not supported/]
      ]
      const { origin } = new URL(fake.environment.tokenEndpoint)
      for (const [changes, error, why] of rows) {
        const url = yield* s.authorizeUrl(app, changes)
        for (const { location } of [
          yield* browser.open(url),
          yield* browser.post(`${url.origin}${url.pathname}`, Object.fromEntries(url.searchParams))
        ]) {
          assert.isDefined(location, String(why))
          assert.strictEqual(location.href.split("?")[0], s.callback)
          assert.deepInclude(Object.fromEntries(location.searchParams), { error, state: "state-1", iss: origin })
          assert.match(location.searchParams.get("error_description") ?? "", why)
          assert.isFalse(location.searchParams.has("code"))
        }
      }
      const secret = yield* s.authorizeUrl(app, { scope: "fake-secret-in-scope" })
      yield* browser.open(secret)
      assert.notInclude(JSON.stringify(yield* fake.journal), "in-scope")
      const twice = yield* s.authorizeUrl(app)
      twice.searchParams.append("state", "state-2")
      const { location } = yield* browser.open(twice)
      assert.strictEqual(location?.searchParams.get("error"), "invalid_request")
      assert.isNull(location?.searchParams.get("state"))
      const denied = yield* fake.signIn(yield* s.authorizeUrl(app), { email: s.email, deny: true })
      assert.deepInclude(Object.fromEntries(denied.searchParams), {
        error: "access_denied",
        state: "state-1",
        iss: origin
      })
    }).pipe(Effect.provide(layer)))

  test("gives no token for a code that is not bound to the client, the redirect address and the verifier", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* s.addAda
      const web = yield* s.registerUsersApp("web")
      const native = yield* s.registerUsersApp("native")
      const withoutChallenge = { code_challenge: undefined, code_challenge_method: undefined }
      const code = yield* s.codeFor(web)
      const rows: ReadonlyArray<readonly [ReturnType<typeof s.redeem>, string, string]> = [
        [s.redeem(web, "fake-code-other"), "invalid_grant", "The code is unknown."],
        [s.redeem(web, ""), "invalid_request", ""],
        [s.redeem(native, code), "invalid_grant", "The code was issued to another client."],
        [
          s.redeem(web, code, { redirect_uri: s.afterSignOut }),
          "invalid_grant",
          "The redirect_uri differs from that of the authorization request."
        ],
        [s.redeem(web, code, { redirect_uri: undefined }), "invalid_grant", "The request lacks redirect_uri."],
        [s.redeem(web, code, { code_verifier: undefined }), "invalid_grant", "The request lacks code_verifier."],
        [
          s.redeem(web, code, { code_verifier: `${s.verifier}x` }),
          "invalid_grant",
          "The code_verifier does not match the code_challenge."
        ],
        [
          s.redeem(web, code, { code_verifier: "short" }),
          "invalid_grant",
          "The code_verifier is not 43 to 128 letters, digits and - . _ ~ (RFC 7636 §4.1)."
        ],
        [
          s.redeem(web, yield* s.codeFor(web, withoutChallenge)),
          "invalid_grant",
          "The request has a code_verifier, and its code has no code_challenge."
        ],
        [s.redeem(web, code, { client_secret: undefined }), "invalid_client", "The client secret is empty."],
        [
          s.redeem(native, code, { client_secret: "fake-secret-x" }),
          "invalid_client",
          "A native app has no secret. Send only client_id, in the form."
        ]
      ]
      for (const [request, error, explanation] of rows) {
        const { body } = yield* request
        assert.strictEqual(body.error, error, explanation)
        assert.notProperty(body, "access_token")
        if (explanation !== "") assert.strictEqual((yield* fake.tokenRequests).at(-1)?.explanation, explanation)
      }
      // None of them used the code up.
      assert.strictEqual((yield* s.redeem(web, code)).status, 200)
      assert.strictEqual(
        (yield* s.redeem(web, yield* s.codeFor(web, withoutChallenge), { code_verifier: undefined })).status,
        200
      )
    }).pipe(Effect.provide(layer)))

  test("allows each type of app only its own grants and endpoints", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* s.addAda
      const service = yield* fake.registerApp({ name: "Service" })
      const web = yield* s.registerUsersApp("web")
      const native = yield* s.registerUsersApp("native")
      const spa = yield* s.registerUsersApp("spa")
      const code = { grant_type: "authorization_code", code: "x" }
      const refresh = { grant_type: "refresh_token", refresh_token: "x" }
      const own = { grant_type: "client_credentials" }
      for (const [app, fields] of [
        [service, code],
        [service, refresh],
        [web, own],
        [native, own],
        [spa, own],
        [spa, refresh]
      ] as const) {
        const { body, status } = yield* s.postAs(app, fields)
        assert.deepStrictEqual([status, body.error], [400, "unauthorized_client"], `${app.type} ${fields.grant_type}`)
      }
      for (const app of [native, spa]) {
        const { body, status } = yield* s.sendTo("/connect/introspect", app, { token: "x" })
        assert.deepStrictEqual([status, body.error], [401, "invalid_client"])
      }
    }).pipe(Effect.provide(layer)))

  test("narrows the scopes of a refresh, and does not widen them", () =>
    Effect.gen(function* () {
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const other = yield* s.registerUsersApp("web")
      const first = yield* s.redeem(app, yield* s.codeFor(app, { scope: "openid email itwin-platform offline_access" }))
      const refreshToken = first.body.refresh_token
      assert.strictEqual((yield* s.refresh(other, refreshToken)).body.error, "invalid_grant")
      assert.strictEqual((yield* s.refresh(app, undefined)).body.error, "invalid_grant")
      assert.strictEqual((yield* s.refresh(app, "")).body.error, "invalid_request")
      const wider = yield* s.refresh(app, refreshToken, { scope: "profile" })
      assert.strictEqual(wider.body.error, "invalid_scope")
      const narrow = yield* s.refresh(app, refreshToken, { scope: "itwin-platform" })
      assert.deepStrictEqual(s.claimsIn(narrow.body.access_token).scope, ["itwin-platform"])
      assert.notProperty(s.claimsIn(narrow.body.access_token), "email")
      assert.notProperty(narrow.body, "id_token")
      const full = yield* s.refresh(app, narrow.body.refresh_token)
      assert.deepInclude(s.claimsIn(full.body.access_token), { email: s.email })
      assert.strictEqual(
        (yield* s.redeem(app, yield* s.codeFor(app, { scope: "itwin-platform" }))).body.refresh_token,
        undefined
      )
    }).pipe(Effect.provide(layer)))

  test("asks a person as prompt, login_hint, max_age and consent say", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser()
      yield* s.addAda
      yield* fake.addUser({ email: "Grace@example.com" })
      const app = yield* s.registerUsersApp("web")
      const open = (changes: s.Parameters) => Effect.flatMap(s.authorizeUrl(app, changes), (url) => browser.open(url))
      const titleOf = ({ html }: Page) => /<h1>(.*)<\/h1>/.exec(html)?.[1]
      const hinted = yield* open({ login_hint: `ada@example.com"><b>` })
      assert.include(hinted.html, `value="ada@example.com&quot;&gt;&lt;b&gt;"`)
      const unknown = yield* browser.submit(hinted, { email: "nobody@example.com" })
      assert.deepStrictEqual([unknown.status, titleOf(unknown)], [400, "Sign in"])
      assert.include(unknown.html, "The fake has no user nobody@example.com.")
      const consent = yield* browser.submit(unknown, { email: "ADA@example.com" })
      assert.strictEqual(titleOf(consent), "Allow access?")
      const required = yield* open({ prompt: "none" })
      assert.strictEqual(required.location?.searchParams.get("error"), "consent_required")
      const switched = yield* browser.submit(consent, { decision: "switch" })
      assert.strictEqual(titleOf(switched), "Sign in")
      const canceled = yield* browser.submit(switched, { decision: "deny" })
      assert.strictEqual(canceled.location?.searchParams.get("error"), "access_denied")
      assert.isTrue((yield* browser.submit(consent, { decision: "allow" })).location?.searchParams.has("code"))
      assert.isTrue((yield* open({ prompt: "none" })).location?.searchParams.has("code"))
      assert.isTrue((yield* open({ max_age: "3600" })).location?.searchParams.has("code"))
      assert.strictEqual(titleOf(yield* open({ prompt: "consent" })), "Allow access?")
      assert.strictEqual(titleOf(yield* open({ prompt: "login" })), "Sign in")
      assert.strictEqual(titleOf(yield* open({ prompt: "select_account" })), "Sign in")
      assert.strictEqual(titleOf(yield* open({ login_hint: "grace@example.com" })), "Sign in")
      const other = yield* open({ login_hint: "grace@example.com", prompt: "none" })
      assert.strictEqual(other.location?.searchParams.get("error"), "login_required")
      for (const headers of [
        { "sec-fetch-site": "cross-site" },
        { "sec-fetch-site": "same-site" },
        { origin: "https://evil.example" },
        { origin: "null" }
      ]) {
        const forged = yield* browser.submit(consent, { decision: "allow" }, headers)
        assert.deepStrictEqual([forged.status, forged.location], [400, undefined])
        assert.include(forged.html, "a page of another site")
      }
      const own = yield* browser.submit(consent, { decision: "allow" }, { "sec-fetch-site": "same-origin" })
      assert.strictEqual(own.status, 303)
    }).pipe(Effect.provide(layer)))

  test("signs the first user in without a page when the profile says so", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser()
      for (const { email } of yield* fake.users) yield* fake.deleteUser(email)
      const app = yield* s.registerUsersApp("spa")
      const url = yield* s.authorizeUrl(app, { scope: s.allScopes })
      assert.include((yield* Effect.flip(fake.signIn(url))).message, "The fake has no user. Add one with addUser.")
      yield* fake.setProfile({ signIn: "auto" })
      assert.include((yield* browser.open(url)).html, "the fake has no user")
      yield* s.addAda
      const grace = yield* fake.addUser({ email: "grace@example.com" })
      assert.deepStrictEqual(
        (yield* fake.users).map(({ givenName }) => givenName),
        ["Ada", "grace"]
      )
      const subjectOf = Effect.fnUntraced(function* (location: URL | undefined) {
        const { body } = yield* s.redeem(app, String(location?.searchParams.get("code")))
        return s.claimsIn(body.id_token).email
      })
      assert.strictEqual(yield* subjectOf((yield* browser.open(url)).location), s.email)
      const hinted = yield* s.authorizeUrl(app, { scope: s.allScopes, login_hint: grace.email, prompt: "none" })
      assert.strictEqual(yield* subjectOf((yield* browser.open(hinted)).location), grace.email)
      assert.strictEqual(yield* subjectOf((yield* browser.open(url)).location), grace.email)
      assert.strictEqual(yield* subjectOf(yield* fake.signIn(url)), s.email)
      for (const wrong of ["https://elsewhere.example/connect/authorize?x=1", "x", new URL("/connect/token", url)]) {
        assert.include(
          (yield* Effect.flip(fake.signIn(wrong))).message,
          "is not the authorization endpoint of the fake"
        )
      }
    }).pipe(Effect.provide(layer)))

  test("ends tokens, sessions and consents of a user who is revoked, deleted or replaced", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const app = yield* s.registerUsersApp("web")
      const url = yield* s.authorizeUrl(app)
      const endings = [
        fake.revokeSignIns(s.email),
        fake.deleteUser(s.email),
        Effect.asVoid(s.addAda),
        fake.revokeSignIns(s.email.toUpperCase())
      ]
      for (const end of endings) {
        const browser = makeBrowser()
        yield* s.addAda
        const { body } = yield* s.redeem(app, yield* s.codeFor(app))
        const code = yield* s.codeFor(app)
        yield* browser.submit(yield* browser.open(url), { email: s.email })
        assert.isTrue((yield* browser.open(url)).location?.searchParams.has("code"))
        yield* end
        assert.strictEqual((yield* getMe(`Bearer ${body.access_token}`)).status, 401)
        assert.strictEqual((yield* s.userInfo(`Bearer ${body.access_token}`)).status, 401)
        assert.strictEqual((yield* s.refresh(app, body.refresh_token)).body.error, "invalid_grant")
        assert.strictEqual((yield* s.redeem(app, code)).body.error, "invalid_grant")
        assert.include((yield* browser.open(url)).html, "<h1>Sign in</h1>")
      }
      const browser = makeBrowser()
      yield* fake.signIn(url, { email: s.email })
      yield* fake.revokeSignIns(s.email)
      const asked = yield* browser.submit(yield* browser.open(url), { email: s.email })
      assert.include(asked.html, "<h1>Allow access?</h1>")
      assert.include(String(yield* Effect.exit(fake.revokeSignIns("nobody@example.com"))), "no user nobody@example.com")
      assert.include(String(yield* Effect.exit(fake.deleteUser("nobody@example.com"))), "no user nobody@example.com")
    }).pipe(Effect.provide(layer)))

  test("returns the claims of the scopes at userinfo, and a challenge for what is not a user's token", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const ada = yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const tokenOf = (scope: string) =>
        Effect.map(
          Effect.flatMap(s.codeFor(app, { scope }), (code) => s.redeem(app, code)),
          ({ body }) => `Bearer ${body.access_token}`
        )
      const narrow = yield* s.userInfo(yield* tokenOf("openid email"), "POST")
      assert.deepStrictEqual(narrow.body, { sub: ada.id, email: s.email, email_verified: true })
      const missing = yield* s.userInfo()
      assert.strictEqual(missing.status, 401)
      assert.strictEqual(missing.headers["www-authenticate"], 'Bearer realm="IMS"')
      const wrong = yield* s.userInfo("Bearer x")
      assert.strictEqual(wrong.status, 401)
      assert.match(wrong.headers["www-authenticate"] ?? "", /error="invalid_token"/)
      const lacking = yield* s.userInfo(yield* tokenOf("itwin-platform"))
      assert.strictEqual(lacking.status, 403)
      assert.match(lacking.headers["www-authenticate"] ?? "", /error="insufficient_scope"/)
      const service = yield* fake.registerApp({ name: "Service" })
      const own = yield* fake.issueToken({ clientId: service.credentials.clientId })
      assert.strictEqual((yield* s.userInfo(`Bearer ${Redacted.value(own.value)}`)).status, 403)
    }).pipe(Effect.provide(layer)))

  test("revokes a refresh token with all tokens of its sign-in, for its own app only", () =>
    Effect.gen(function* () {
      yield* s.addAda
      const app = yield* s.registerUsersApp("native")
      const other = yield* s.registerUsersApp("native")
      const { body } = yield* s.redeem(app, yield* s.codeFor(app))
      const token = String(body.refresh_token)
      assert.strictEqual((yield* s.sendTo("/connect/revocation", other, { token })).body.error, "invalid_request")
      assert.strictEqual((yield* getMe(`Bearer ${body.access_token}`)).status, 200)
      for (const token_type_hint of ["refresh_token", "access_token"]) {
        assert.strictEqual((yield* s.sendTo("/connect/revocation", app, { token, token_type_hint })).status, 200)
      }
      assert.strictEqual((yield* getMe(`Bearer ${body.access_token}`)).status, 401)
      assert.strictEqual((yield* s.refresh(app, token)).body.error, "invalid_grant")
      const second = yield* s.redeem(app, yield* s.codeFor(app))
      yield* s.sendTo("/connect/revocation", app, { token: String(second.body.access_token) })
      assert.strictEqual((yield* getMe(`Bearer ${second.body.access_token}`)).status, 401)
      assert.strictEqual((yield* s.refresh(app, second.body.refresh_token)).status, 200)
    }).pipe(Effect.provide(layer)))

  test("ends the session only for a registered address, and asks when no id token proves who wants it", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser()
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const other = yield* s.registerUsersApp("web")
      const url = yield* s.authorizeUrl(app)
      const consent = yield* browser.submit(yield* browser.open(url), { email: s.email })
      const { location } = yield* browser.submit(consent, { decision: "allow" })
      const { body } = yield* s.redeem(app, String(location?.searchParams.get("code")))
      const hint = { id_token_hint: String(body.id_token) }
      const end = (parameters: Readonly<Record<string, string>>) => {
        const at = new URL("/connect/endsession", url)
        at.search = new URLSearchParams(parameters).toString()
        return browser.open(at)
      }
      const target = { post_logout_redirect_uri: s.afterSignOut }
      for (const [parameters, why] of [
        [{ ...hint, post_logout_redirect_uri: `${s.afterSignOut}/` }, "is not registered for this app"],
        [target, "lacks id_token_hint or client_id"],
        [{ ...target, client_id: "web-x" }, "client_id is not registered"],
        [{ ...hint, ...target, client_id: other.credentials.clientId }, "issued to another client"],
        [{ ...target, id_token_hint: "x" }, "not an id token of this issuer"]
      ] as const) {
        const { html, location, status } = yield* end(parameters)
        assert.deepStrictEqual([status, location], [400, undefined], why)
        assert.include(html, why)
      }
      const asked = yield* end({ ...target, client_id: app.credentials.clientId, state: "s" })
      assert.include(asked.html, "<h1>Sign out?</h1>")
      const forged = yield* browser.submit(asked, { confirm: "yes" }, { "sec-fetch-site": "cross-site" })
      assert.include(forged.html, "<h1>Sign out?</h1>")
      assert.isTrue((yield* browser.open(url)).location?.searchParams.has("code"))
      const ended = yield* browser.submit(asked, { confirm: "yes" })
      assert.strictEqual(ended.location?.href, `${s.afterSignOut}?state=s`)
      assert.include((yield* browser.open(url)).html, "<h1>Sign in</h1>")
      assert.include((yield* end({})).html, "<h1>Signed out</h1>")
      // The refresh token is for the time after the session.
      assert.strictEqual((yield* s.refresh(app, body.refresh_token)).status, 200)
      yield* fake.rotateKeys
      assert.strictEqual((yield* end({ ...hint, ...target })).location?.href, s.afterSignOut)
    }).pipe(Effect.provide(layer)))

  test("gives a user the permissions of the user's own roles on an iTwin", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const { body } = yield* s.redeem(app, yield* s.codeFor(app))
      const authorization = `Bearer ${body.access_token}`
      const { id } = yield* fake.createITwin({ displayName: "Bridge" })
      const role = yield* fake.addRole(id, { displayName: "Reader", permissions: ["imodels_read"] })
      const get = (path: string) => makeBrowser().open(`${fake.environment.apiBaseUrl}${path}`, { authorization })
      assert.strictEqual((yield* get(`/accesscontrol/itwins/${id}/permissions`)).status, 404)
      yield* fake.addMember(id, { email: s.email, roleIds: [role.id] })
      const { html } = yield* get(`/accesscontrol/itwins/${id}/permissions`)
      assert.deepStrictEqual(JSON.parse(html), { permissions: ["imodels_read"] })
      assert.strictEqual(JSON.parse((yield* get("/itwins")).html).iTwins.length, 1)
      const [member] = JSON.parse((yield* get(`/accesscontrol/itwins/${id}/members/users`)).html).members
      assert.deepInclude(member, { email: s.email, givenName: "Ada", surname: "Lovelace", organization: "Engines" })
    }).pipe(Effect.provide(layer)))

  test("shows no code, state, verifier, cookie or token in the journal", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser()
      yield* s.addAda
      const app = yield* s.registerUsersApp("web")
      const url = yield* s.authorizeUrl(app, { state: "state-canary", nonce: "nonce-canary" })
      const consent = yield* browser.submit(yield* browser.open(url), { email: s.email }, { referer: url.href })
      const allowed = yield* browser.submit(consent, { decision: "allow" }, { referer: url.href })
      const code = String(allowed.location?.searchParams.get("code"))
      const { body } = yield* s.redeem(app, code)
      const refreshed = yield* s.refresh(app, body.refresh_token)
      yield* s.refresh(app, body.refresh_token)
      yield* s.sendTo("/connect/revocation", app, { token: String(refreshed.body.refresh_token) })
      yield* browser.open(`${fake.environment.apiBaseUrl}/users/me`, {
        authorization: `Bearer ${body.access_token}`,
        referer: String(allowed.location)
      })
      yield* browser.open(`${url.origin}/${code}?code=${code}&id_token_hint=${body.id_token}`)
      const journal = JSON.stringify(yield* fake.journal)
      const cookies = Object.values(browser.cookies())
      assert.lengthOf(cookies, 1)
      const tokens = [body, refreshed.body].flatMap((body) => [body.access_token, body.refresh_token, body.id_token])
      for (const secret of [code, s.verifier, s.challengeOf(s.verifier), "canary", ...cookies, ...tokens.map(String)]) {
        assert.notInclude(journal, secret)
      }
      assert.deepStrictEqual((yield* fake.journal).map(({ outcome, route }) => `${route} ${outcome}`).slice(0, 5), [
        "GET /connect/authorize sign_in",
        "POST /connect/authorize/sign-in consent",
        "POST /connect/authorize/sign-in ok",
        "POST /connect/token ok",
        "POST /connect/token ok"
      ])
    }).pipe(Effect.provide(layer)))

  test("lets only pages of the origins of single-page apps read answers", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { apiBaseUrl, tokenEndpoint } = fake.environment
      yield* s.registerUsersApp("native")
      const { origin } = new URL(s.callback)
      const ims = new URL(tokenEndpoint).origin
      const preflight = (url: string, from: string) =>
        Effect.map(
          HttpClient.execute(
            HttpClientRequest.make("OPTIONS")(url, {
              headers: {
                origin: from,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization"
              }
            })
          ),
          ({ headers, status }) => ({ status, allowed: headers["access-control-allow-origin"], headers })
        )
      const paths = [
        "/connect/token",
        "/connect/userinfo",
        "/connect/revocation",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/jwks"
      ]
      const urls = [...paths.map((path) => `${ims}${path}`), `${apiBaseUrl}/users/me`, `${apiBaseUrl}/itwins`]
      const before = yield* preflight(tokenEndpoint, origin)
      assert.deepStrictEqual([before.status, before.allowed], [403, undefined])
      assert.include((yield* fake.journal).at(-1)?.explanation, "no single-page app has a redirect address there")
      const app = yield* s.registerUsersApp("spa")
      for (const url of urls) {
        const answer = yield* preflight(url, origin)
        assert.deepInclude(answer, { status: 204, allowed: origin })
        assert.deepInclude(answer.headers, { "access-control-allow-headers": "authorization", vary: "origin" })
        assert.notProperty(answer.headers, "access-control-allow-credentials")
        assert.strictEqual((yield* preflight(url, "http://127.0.0.1:4712")).allowed, undefined)
        const read = (from: string) =>
          Effect.map(
            HttpClient.get(url, { headers: { origin: from } }),
            ({ headers }) => headers["access-control-allow-origin"]
          )
        if (url !== tokenEndpoint && !url.endsWith("/revocation")) {
          assert.strictEqual(yield* read(origin), origin)
          assert.isUndefined(yield* read("https://evil.example"))
        }
      }
      assert.strictEqual((yield* preflight(`${ims}/connect/authorize`, origin)).allowed, undefined)
      assert.strictEqual((yield* preflight(`${ims}/connect/introspect`, origin)).allowed, undefined)
      yield* fake.disableApp(app.credentials.clientId)
      assert.strictEqual((yield* preflight(tokenEndpoint, origin)).status, 403)
    }).pipe(Effect.provide(layer)))
}
