// The contract of the fake on the wire. It runs in process and over a socket.

import { assert, type it as unit } from "@effect/vitest"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, type Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"

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

  test("returns 404 for a path that it does not serve", () =>
    Effect.gen(function* () {
      const { environment } = yield* FakeIms.FakeIms
      const response = yield* HttpClient.get(`${environment.apiBaseUrl}/nothing`)
      assert.strictEqual(response.status, 404)
    }).pipe(Effect.provide(layer)))
}
