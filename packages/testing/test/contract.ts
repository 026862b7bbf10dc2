// The contract of the fake on the wire. It runs in process and over a socket.

import { assert, type it as unit } from "@effect/vitest"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Fiber, type Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest, HttpServerResponse } from "effect/http"

type Form = Record<string, string | ReadonlyArray<string>>

const valid = (app: FakeIms.App): Form => ({
  grant_type: "client_credentials",
  client_id: app.credentials.clientId,
  client_secret: Redacted.value(app.credentials.clientSecret),
  scope: "itwin-platform"
})

export const secretOf = (app: FakeIms.App): string => Redacted.value(app.credentials.clientSecret)

export const register = (scopes?: ReadonlyArray<string>) =>
  Effect.flatMap(FakeIms.FakeIms, (fake) => fake.registerApp({ name: "Contract", scopes }))

export const post = Effect.fnUntraced(function* (
  form: Form,
  change: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest = (request) => request
) {
  const { environment } = yield* FakeIms.FakeIms
  const request = HttpClientRequest.post(environment.tokenEndpoint).pipe(HttpClientRequest.bodyUrlParams(form))
  const response = yield* HttpClient.execute(change(request))
  const body = JSON.parse(yield* response.text) as Record<string, unknown>
  return { status: response.status, headers: response.headers, body }
})

export const tokenFor = (app: FakeIms.App) => Effect.map(post(valid(app)), ({ body }) => String(body.access_token))

export const getMe = Effect.fnUntraced(function* (authorization?: string) {
  const { environment } = yield* FakeIms.FakeIms
  const response = yield* HttpClient.get(`${environment.apiBaseUrl}/users/me`, {
    headers: authorization === undefined ? {} : { authorization }
  })
  return { status: response.status, headers: response.headers, body: JSON.parse(yield* response.text) }
})

const basic = (id: string, secret: string) =>
  `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString("base64")}`

export const contract = (
  test: typeof unit.effect | typeof unit.live,
  layer: Layer.Layer<FakeIms.FakeIms | HttpClient.HttpClient, unknown>
) => {
  test("returns a token for an hour that must not be stored", () =>
    Effect.gen(function* () {
      const { status, headers, body } = yield* post(valid(yield* register()))
      assert.strictEqual(status, 200)
      assert.deepInclude(body, { token_type: "Bearer", expires_in: 3600 })
      assert.strictEqual(headers["cache-control"], "no-store")
      assert.match(headers["x-correlation-id"] ?? "", /^[\w-]{36}$/)
    }).pipe(Effect.provide(layer)))

  test("accepts HTTP Basic with form-encoded credentials", () =>
    Effect.gen(function* () {
      const app = yield* register()
      const { status } = yield* post(
        { grant_type: "client_credentials", scope: "itwin-platform" },
        HttpClientRequest.setHeader("authorization", basic(app.credentials.clientId, secretOf(app)))
      )
      assert.strictEqual(status, 200)
    }).pipe(Effect.provide(layer)))

  test.each<readonly [string, (app: FakeIms.App) => Form, number, string]>([
    ["an unknown client", (app) => ({ ...valid(app), client_id: "service-x" }), 401, "invalid_client"],
    ["a wrong secret", (app) => ({ ...valid(app), client_secret: "fake-secret-x" }), 401, "invalid_client"],
    [
      "a secret that was cut at +",
      (app) => ({ ...valid(app), client_secret: secretOf(app).split("+")[0] ?? "" }),
      401,
      "invalid_client"
    ],
    [
      "no secret",
      ({ credentials: { clientId } }) => ({ grant_type: "client_credentials", client_id: clientId }),
      401,
      "invalid_client"
    ],
    ["no client at all", () => ({ grant_type: "client_credentials" }), 401, "invalid_client"],
    ["another grant", (app) => ({ ...valid(app), grant_type: "password" }), 400, "unsupported_grant_type"],
    ["no grant", (app) => ({ ...valid(app), grant_type: [] }), 400, "invalid_request"],
    ["a scope not granted", (app) => ({ ...valid(app), scope: "itwin-platform users:read" }), 400, "invalid_scope"],
    ["an empty grant", (app) => ({ ...valid(app), grant_type: "" }), 400, "invalid_request"],
    [
      "a repeated parameter",
      (app) => ({ ...valid(app), scope: ["itwin-platform", "itwin-platform"] }),
      400,
      "invalid_request"
    ]
  ])("returns an OAuth error for %s", ([_name, form, status, error]) =>
    Effect.gen(function* () {
      const answer = yield* post(form(yield* register()))
      assert.strictEqual(answer.status, status)
      assert.strictEqual(answer.body.error, error)
      assert.isString(answer.body.error_description)
    }).pipe(Effect.provide(layer))
  )

  test("rejects a body that is not a form, and two ways of authentication at once", () =>
    Effect.gen(function* () {
      const app = yield* register()
      const asJson = yield* post({}, HttpClientRequest.bodyJsonUnsafe(valid(app)))
      assert.deepInclude(asJson, { status: 400 })
      const twice = yield* post(
        valid(app),
        HttpClientRequest.setHeader("authorization", basic(app.credentials.clientId, secretOf(app)))
      )
      assert.strictEqual(twice.body.error, "invalid_request")
    }).pipe(Effect.provide(layer)))

  test("returns the identity of the app that a token belongs to", () =>
    Effect.gen(function* () {
      const app = yield* register()
      const { status, body } = yield* getMe(`Bearer ${yield* tokenFor(app)}`)
      assert.strictEqual(status, 200)
      assert.deepInclude(body.user, { givenName: "Contract", email: app.credentials.clientEmail, phone: null })
      assert.match(body.user.createdDateTime, /\.\d{7}Z$/)
    }).pipe(Effect.provide(layer)))

  test("rejects a call without a token, with a forged token, or without the scope", () =>
    Effect.gen(function* () {
      const missing = yield* getMe()
      assert.strictEqual(missing.status, 401)
      assert.strictEqual(missing.body.error.code, "HeaderNotFound")
      const token = yield* tokenFor(yield* register())
      const [header = "", payload = "", signature = ""] = token.split(".")
      const claims = JSON.parse(Buffer.from(payload, "base64url").toString())
      const forged = Buffer.from(JSON.stringify({ ...claims, scope: ["all"] })).toString("base64url")
      const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url")
      for (const bad of [
        "x",
        `${header}.${forged}.${signature}`,
        `${none}.${payload}.`,
        `${token}.x`,
        `${header}.${payload}`
      ]) {
        const { status, body } = yield* getMe(`Bearer ${bad}`)
        assert.strictEqual(status, 401)
        assert.strictEqual(body.error.code, "Unauthorized")
      }
      const narrow = yield* register(["itwins:read"])
      const { body } = yield* post({ ...valid(narrow), scope: "itwins:read" })
      const forbidden = yield* getMe(`Bearer ${body.access_token}`)
      assert.strictEqual(forbidden.status, 403)
      assert.strictEqual(forbidden.body.error.code, "InsufficientPermissions")
    }).pipe(Effect.provide(layer)))

  test("keeps a journal without secrets", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const app = yield* register()
      const token = yield* tokenFor(app)
      yield* post({ ...valid(app), client_secret: "fake-secret-wrong" })
      yield* getMe(`Bearer ${token}`)
      const journal = yield* fake.journal
      assert.deepStrictEqual(
        journal.map(({ route, status, outcome, authentication }) => [route, status, outcome, authentication]),
        [
          ["POST /connect/token", 200, "ok", "client_secret_post"],
          ["POST /connect/token", 401, "invalid_client", "client_secret_post"],
          ["GET /users/me", 200, "ok", undefined]
        ]
      )
      assert.isTrue(journal.every((entry) => entry.clientId === app.credentials.clientId))
      assert.strictEqual((yield* fake.tokenRequests).length, 2)
      assert.notInclude(JSON.stringify(journal), "fake-secret")
      assert.notInclude(JSON.stringify(journal), token)
    }).pipe(Effect.provide(layer)))

  test("issues a token without a request, and accepts it until it is revoked", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const app = yield* register(["itwin-platform", "itwins:read"])
      const { clientId } = app.credentials
      const token = yield* fake.issueToken({
        clientId,
        scopes: ["itwin-platform"],
        claims: { sub: "user-1" },
        expiresIn: "90 seconds"
      })
      const value = Redacted.value(token.value)
      const claims = JSON.parse(Buffer.from(value.split(".")[1] ?? "", "base64url").toString())
      assert.deepInclude(claims, { sub: "user-1", client_id: clientId, scope: ["itwin-platform"] })
      assert.strictEqual(claims.exp - claims.iat, 90)
      assert.strictEqual(token.scopes, "itwin-platform")
      assert.strictEqual(token.expiresAt.epochMilliseconds, claims.exp * 1000)
      assert.strictEqual((yield* getMe(`Bearer ${value}`)).status, 200)
      yield* fake.revokeToken(token)
      assert.strictEqual((yield* getMe(`Bearer ${value}`)).status, 401)
      yield* fake.assertTokenRequests(0)
    }).pipe(Effect.provide(layer)))

  test("signs with a new key after a rotation, and accepts tokens of the old one", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const app = yield* register()
      const kidOf = (token: string) => JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()).kid
      const { origin } = new URL(fake.environment.tokenEndpoint)
      const kids = Effect.gen(function* () {
        const response = yield* HttpClient.get(`${origin}/.well-known/openid-configuration/jwks`)
        return JSON.parse(yield* response.text).keys.map(({ kid }: { kid: string }) => kid)
      })
      const old = yield* tokenFor(app)
      yield* fake.rotateKeys
      const token = yield* tokenFor(app)
      assert.notStrictEqual(kidOf(token), kidOf(old))
      assert.includeMembers(yield* kids, [kidOf(token), kidOf(old)])
      assert.strictEqual((yield* getMe(`Bearer ${old}`)).status, 200)
      assert.strictEqual((yield* getMe(`Bearer ${token}`)).status, 200)
    }).pipe(Effect.provide(layer)))

  test("accepts the old secret during the overlap, unless its value or its number is revoked", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const first = yield* register()
      const { clientId } = first.credentials
      const statusOf = (app: FakeIms.App) => Effect.map(post(valid(app)), ({ status }) => status)
      const second = yield* fake.regenerateSecret(clientId, { overlap: "1 hour" })
      assert.deepStrictEqual([yield* statusOf(first), yield* statusOf(second)], [200, 200])
      yield* fake.revokeSecret(clientId, first.credentials.clientSecret)
      assert.deepStrictEqual([yield* statusOf(first), yield* statusOf(second)], [401, 200])
      const third = yield* fake.regenerateSecret(clientId, { overlap: "1 hour" })
      yield* fake.revokeSecret(clientId, 2)
      assert.deepStrictEqual([yield* statusOf(second), yield* statusOf(third)], [401, 200])
      const exit = yield* Effect.exit(fake.revokeSecret(clientId, 4))
      assert.include(String(exit), "never had secret number 4")
    }).pipe(Effect.provide(layer)))

  test("lists its apps, and which are disabled", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const app = yield* register(["itwins:read"])
      yield* fake.disableApp(app.credentials.clientId)
      const listed = (yield* fake.apps).at(-1)
      assert.deepStrictEqual(
        [listed?.name, listed?.type, listed?.enabled, [...(listed?.scopes ?? [])], listed?.credentials],
        ["Contract", "service", false, ["itwins:read"], app.credentials]
      )
      yield* fake.enableApp(app.credentials.clientId)
      assert.isTrue((yield* fake.apps).every(({ enabled }) => enabled))
      const count = (yield* fake.apps).length
      yield* fake.deleteApp(app.credentials.clientId)
      assert.strictEqual((yield* fake.apps).length, count - 1)
    }).pipe(Effect.provide(layer)))

  test("gives a member of an iTwin the permissions of its roles, until role, member or iTwin are gone", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { apiBaseUrl } = fake.environment
      const app = yield* register()
      const email = app.credentials.clientEmail
      const headers = { authorization: `Bearer ${yield* tokenFor(app)}` }
      const { id } = yield* fake.createITwin({ displayName: "Bridge", class: "Thing", number: "7" })
      const permissions = Effect.gen(function* () {
        const response = yield* HttpClient.get(`${apiBaseUrl}/accesscontrol/itwins/${id}/permissions`, { headers })
        return response.status === 200 ? JSON.parse(yield* response.text).permissions : response.status
      })
      assert.strictEqual(yield* permissions, 404)
      const reader = yield* fake.addRole(id, { displayName: "Reader", permissions: ["imodels_read"] })
      const writer = yield* fake.addRole(id, { displayName: "Writer", permissions: ["imodels_write"] })
      yield* fake.addMember(id, { email, roleIds: [reader.id, writer.id] })
      assert.deepStrictEqual(yield* permissions, ["imodels_read", "imodels_write"])
      yield* fake.deleteRole(id, writer.id)
      assert.deepStrictEqual(yield* permissions, ["imodels_read"])
      assert.deepStrictEqual(yield* fake.iTwins, [
        {
          id,
          displayName: "Bridge",
          class: "Thing",
          subClass: "Project",
          type: null,
          number: "7",
          roles: [{ id: reader.id, displayName: "Reader", description: "", permissions: ["imodels_read"] }],
          members: [{ email, roleIds: [reader.id] }]
        }
      ])
      yield* fake.removeMember(id, email)
      assert.strictEqual(yield* permissions, 404)
      assert.deepStrictEqual((yield* fake.iTwins)[0]?.members, [])
      yield* fake.deleteITwin(id)
      assert.deepStrictEqual(yield* fake.iTwins, [])
      assert.include(String(yield* Effect.exit(fake.deleteITwin(id))), `no iTwin ${id}`)
    }).pipe(Effect.provide(layer)))

  test("serves a route of the test's own until it is removed, and then the one that it replaced", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { apiBaseUrl } = fake.environment
      const app = yield* register(["itwins:read", "itwin-platform"])
      const headers = { authorization: `Bearer ${yield* tokenFor(app)}` }
      const get = (path: string) =>
        Effect.gen(function* () {
          const response = yield* HttpClient.get(`${apiBaseUrl}${path}`, { headers })
          return [response.status, JSON.parse(yield* response.text)]
        })
      const answer = () => HttpServerResponse.jsonUnsafe({ teapot: true }, { status: 418 })
      yield* fake.addRoute("GET", "/storage/:folder", answer)
      yield* fake.addRoute("GET", "/users/me", answer)
      assert.deepStrictEqual(yield* get("/storage/top"), [418, { teapot: true }])
      assert.deepStrictEqual(yield* get("/users/me"), [418, { teapot: true }])
      assert.strictEqual((yield* getMe()).status, 401)
      assert.deepStrictEqual(
        (yield* fake.routes).filter(({ own }) => own).map(({ name }) => name),
        ["GET /users/me", "GET /storage/:folder"]
      )
      yield* fake.removeRoute("GET /storage/:folder")
      yield* fake.removeRoute("GET /users/me")
      assert.strictEqual((yield* get("/storage/top"))[0], 404)
      assert.strictEqual((yield* get("/users/me"))[0], 200)
      assert.isFalse((yield* fake.routes).some(({ own }) => own))
      assert.include(String(yield* Effect.exit(fake.removeRoute("GET /users/me"))), "added no route")
    }).pipe(Effect.provide(layer)))

  test("follows changes of the profile until it is reset", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const before = yield* fake.profile
      yield* fake.setProfile({ invalidClientStatus: 400, scopeInResponse: true })
      assert.deepStrictEqual(yield* fake.profile, { ...before, invalidClientStatus: 400, scopeInResponse: true })
      const app = yield* register()
      assert.strictEqual((yield* post(valid(app))).body.scope, "itwin-platform")
      assert.strictEqual((yield* post({ ...valid(app), client_secret: "fake-secret-wrong" })).status, 400)
      yield* fake.reset
      assert.deepStrictEqual(yield* fake.profile, before)
    }).pipe(Effect.provide(layer)))

  test("counts requests, gives the n-th one to those who wait for it, and forgets them", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const waiting = yield* Effect.forkChild(fake.awaitRequest("GET /users/me", 2), { startImmediately: true })
      yield* getMe()
      yield* getMe()
      assert.deepInclude(yield* Fiber.join(waiting), { number: 2, route: "GET /users/me" })
      assert.strictEqual(yield* fake.countRequests("GET /users/me"), 2)
      assert.strictEqual(yield* fake.countRequests("POST /connect/token"), 0)
      assert.strictEqual(yield* fake.maxConcurrent, 1)
      assert.strictEqual(yield* fake.droppedEntries, 0)
      assert.include(String(yield* Effect.exit(fake.countRequests("GET /users/you"))), "GET /users/me")
      yield* fake.clearJournal
      assert.deepStrictEqual(yield* fake.journal, [])
      assert.strictEqual(yield* fake.countRequests("GET /users/me"), 0)
      yield* getMe()
      assert.strictEqual((yield* fake.awaitRequest("GET /users/me")).number, 1)
    }).pipe(Effect.provide(layer)))

  test("returns 404 for a path that it does not serve", () =>
    Effect.gen(function* () {
      const { environment } = yield* FakeIms.FakeIms
      const response = yield* HttpClient.get(`${environment.apiBaseUrl}/nothing`)
      assert.strictEqual(response.status, 404)
    }).pipe(Effect.provide(layer)))
}
