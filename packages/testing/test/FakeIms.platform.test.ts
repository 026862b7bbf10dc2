// Apps, tokens and iTwins as a test sees them: through the library, in process, under virtual time.

import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinHttpClient, RetryPolicy, SecretProvider, TokenCache, Users } from "@effect-itwin/core"
import { FakeIms, Fault, Journal } from "@effect-itwin/testing"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { importJWK, jwtVerify } from "jose"
import { post, register, secretOf } from "./contract.ts"

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

/** The tag of what /users/me fails with, or `ok`. */
const me = Users.me.pipe(
  Effect.match({ onSuccess: () => "ok", onFailure: (error) => ("reason" in error ? error.reason._tag : "") })
)

describe("secrets of an app", () => {
  it.effect("the provider gives the new secret after regenerateSecret, and the old one is refused", () =>
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

  it.effect("both work while they overlap, and no longer", () =>
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

  it.effect("revokeSecret refuses that one only", () =>
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
  it.effect("a revoked token is refused by the APIs, and the next one is not", () =>
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

  it.effect("a disabled app gets no token, and its old ones are refused, until it is enabled", () =>
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

  it.effect("the identity appears after its delay", () =>
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

  it.effect("tokens live as long as the app, the fake or the profile says", () =>
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

  it.effect("claims of an app replace the platform's: another audience is refused", () =>
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

  it.effect("claims and fields can be changed for one call, and fields for one app", () =>
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

  it.effect("the profile switches what is not documented", () =>
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

  it.effect("in process, tokens are Ed25519 by default and verify with the published key", () =>
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

  it.effect("introspection and revocation go by RFC 7662 and RFC 7009", () =>
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

describe("access control", () => {
  const path = (id: string, rest: string) => `/accesscontrol/itwins/${id}/${rest}`
  const get = (url: string) =>
    Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (api) => api.get(url)).pipe(
      Effect.flatMap((response) =>
        Effect.map(response.text, (text) => ({ status: response.status, body: JSON.parse(text) }))
      )
    )
  const add = (id: string, members: unknown) =>
    Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (api) =>
      api.execute(HttpClientRequest.post(path(id, "members/users")).pipe(HttpClientRequest.bodyJsonUnsafe({ members })))
    ).pipe(
      Effect.flatMap((response) =>
        Effect.map(response.text, (text) => ({ status: response.status, body: JSON.parse(text) }))
      )
    )

  it.effect("an app sees an iTwin only when it was added, with the permissions of its roles", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const { clientEmail } = yield* own
      const { id } = yield* ims.createITwin({ displayName: "Bridge" })
      const hidden = yield* get(path(id, "permissions"))
      assert.strictEqual(hidden.status, 404)
      assert.strictEqual(hidden.body.error.code, "iTwinNotFound")
      yield* ims.addMember(id, { email: clientEmail })
      assert.deepStrictEqual((yield* get(path(id, "permissions"))).body, { permissions: [] })
      const role = yield* ims.addRole(id, { displayName: "Reader", permissions: ["imodels_read", "itwins_read"] })
      yield* ims.addMember(id, { email: clientEmail, roleIds: [role.id] })
      assert.deepStrictEqual((yield* get(path(id, "permissions"))).body.permissions, ["imodels_read", "itwins_read"])
      assert.strictEqual((yield* get(path(id, "roles"))).status, 403)
      const admin = yield* ims.addRole(id, { displayName: "Admin", permissions: [FakeIms.manageRolesPermission] })
      yield* ims.addMember(id, { email: clientEmail, roleIds: [admin.id] })
      assert.strictEqual((yield* get(path(id, "roles"))).body.roles[0].displayName, "Reader")
      const { body } = yield* get(path(id, "members/users"))
      assert.deepInclude(body.members[0], { email: clientEmail, givenName: "Mine" })
      assert.isString(body._links.self.href)
    }).pipe(Effect.provide(App))
  )

  it.effect("adding a member needs the permission, known roles and a whole body", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const { clientEmail } = yield* own
      const { id } = yield* ims.createITwin({ displayName: "Bridge" })
      yield* ims.addMember(id, { email: clientEmail })
      const reader = yield* ims.addRole(id, { displayName: "Reader", permissions: ["itwins_read"] })
      const friend = yield* ims.registerApp({ name: "Friend", identityDelay: "5 minutes" })
      const member = { email: friend.credentials.clientEmail, roleIds: [reader.id] }
      assert.strictEqual((yield* add(id, [member])).status, 403)
      const admin = yield* ims.addRole(id, { displayName: "Admin", permissions: [FakeIms.addMemberPermission] })
      yield* ims.addMember(id, { email: clientEmail, roleIds: [admin.id] })
      assert.strictEqual((yield* add(id, [])).status, 422)
      assert.strictEqual((yield* add(id, [{ email: "a@b" }])).status, 422)
      const unknown = yield* add(id, [{ ...member, roleIds: ["nope"] }])
      assert.strictEqual(unknown.status, 422)
      assert.strictEqual(unknown.body.error.details[0].code, "RoleNotFound")
      const invited = yield* add(id, [member])
      assert.strictEqual(invited.status, 201)
      assert.isNull(invited.body.members)
      assert.strictEqual(invited.body.invitations[0].email, member.email)
      yield* TestClock.adjust("5 minutes")
      const added = yield* add(id, [member])
      assert.strictEqual(added.body.members[0].givenName, "Friend")
      assert.isNull(added.body.invitations)
    }).pipe(Effect.provide(App))
  )

  it.effect("a route of one's own stands behind the same bearer check", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      yield* ims.addRoute("GET", "/storage/:folder", ({ clientId, params }) =>
        HttpServerResponse.jsonUnsafe({ clientId, folder: params.folder })
      )
      const { status, body } = yield* get("/storage/top")
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(body, { clientId: (yield* own).clientId, folder: "top" })
      assert.strictEqual((yield* HttpClient.get("https://api.bentley.com/storage/top")).status, 401)
    }).pipe(Effect.provide(App))
  )
})

describe("the journal", () => {
  it.effect("counts token requests, and shows itself as a table when the count is another", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      yield* refresh
      yield* ims.assertTokenRequests(1)
      const error = yield* Effect.flip(ims.assertTokenRequests(2))
      assert.include(error.message, "Expected 2 token requests, and there were 1:")
      assert.match(error.message, /1970-01-01T00:00:00.000Z {2}POST \/connect\/token {2}200 {5}ok/)
    }).pipe(Effect.provide(App))
  )

  it.effect("tells what happened to whom, and how much at once", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const apps = yield* Effect.all([register(), register(), register()])
      yield* ims.script("POST /connect/token", Fault.always(Fault.delay("1 second")))
      const fiber = yield* Effect.forkChild(
        Effect.all(
          apps.map((app) => ask(app)),
          { concurrency: 2 }
        )
      )
      assert.strictEqual((yield* ims.awaitRequest("POST /connect/token", 2)).concurrency, 2)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* ims.maxConcurrent, 2)
      const first = apps[0]
      assert.isDefined(first)
      const entries = yield* ims.forApp(first?.credentials.clientId ?? "")
      assert.strictEqual(entries.length, 1)
      assert.deepInclude(entries[0]?.form, { grant_type: "client_credentials", client_secret: "<redacted>" })
      assert.strictEqual(Journal.format(yield* ims.journal).split("\n").length, 4)
      yield* ims.reset
      assert.deepStrictEqual(yield* ims.journal, [])
      yield* ims.clearScripts
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("awaitRequest waits for a request that is still to come, on no clock", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const waiting = yield* Effect.forkChild(ims.awaitRequest("GET /users/me"))
      yield* Effect.yieldNow
      assert.isUndefined(waiting.pollUnsafe())
      yield* Users.me
      assert.strictEqual((yield* Fiber.join(waiting)).route, "GET /users/me")
    }).pipe(Effect.provide(App))
  )

  it.effect("is the same twice for the same seed, script and clock", () => {
    const story = Effect.gen(function* () {
      const ims = yield* fake
      yield* ims.script("POST /connect/token", ...FakeIms.maintenance("5 seconds"))
      assert.strictEqual(yield* refused, "InvalidClient")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* refused, "ServerError")
      yield* TestClock.adjust("1 minute")
      yield* Effect.all([refresh, Users.me])
      const token = yield* refresh
      return [yield* ims.journal, Redacted.value(token.value)]
    })
    return Effect.gen(function* () {
      const run = Effect.suspend(() =>
        Effect.provide(
          story,
          ITwin.layerWith({}).pipe(
            Layer.provide(RetryPolicy.layer(RetryPolicy.none)),
            Layer.provideMerge(FakeIms.layerTest())
          )
        )
      )
      const once = yield* TestClock.setTime(0).pipe(Effect.andThen(run))
      const twice = yield* TestClock.setTime(0).pipe(Effect.andThen(run))
      assert.deepStrictEqual(twice, once)
    })
  })
})
