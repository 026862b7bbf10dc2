// What the journal of the fake IMS counts, shows and keeps.
import { assert, describe, it } from "@effect/vitest"
import { ITwin, RetryPolicy, TokenCache, Users } from "@effect-itwin/core"
import { FakeIms, Fault, Journal } from "@effect-itwin/testing"
import { Effect, Exit, Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { getMe, post, register, secretOf, tokenFor } from "./contract.ts"

const fake = FakeIms.FakeIms

describe("counts", () => {
  it.effect.each(["/connect/token/", "/CONNECT/token", "//connect/token", "/connect/token/x"])(
    "does not count a request to %s, which is not served",
    (path) =>
      Effect.gen(function* () {
        const ims = yield* fake
        const response = yield* HttpClient.post(`https://ims.bentley.com${path}`)
        assert.strictEqual(response.status, 404)
        yield* ims.assertTokenRequests(0)
        const [entry] = yield* ims.journal
        assert.deepInclude(entry, { route: "none", path, status: 404 })
        assert.include(entry?.explanation, "case and slashes")
      }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each(["POST /connect/tokens", "post /connect/token", "GET /users/me/", "GET /nothing"])(
    "dies with the list of routes when a count, a script or a wait names %s",
    (route) =>
      Effect.gen(function* () {
        const ims = yield* fake
        for (const use of [
          ims.countRequests(route),
          ims.awaitRequest(route),
          ims.script(route, Fault.once(Fault.hang))
        ]) {
          const exit = yield* Effect.exit(use)
          assert.isTrue(Exit.hasDies(exit))
          assert.match(String(exit), /POST \/connect\/token, .*GET \/users\/me/)
        }
      }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("counts requests exactly after the journal dropped entries, and says so when an assertion fails", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const app = yield* register()
      yield* Effect.replicateEffect(tokenFor(app), 5)
      assert.lengthOf(yield* ims.tokenRequests, 2)
      assert.strictEqual(yield* ims.droppedEntries, 3)
      assert.strictEqual(yield* ims.countRequests("POST /connect/token"), 5)
      yield* ims.assertTokenRequests(5)
      const error = yield* Effect.flip(ims.assertTokenRequests(2))
      assert.include(error.message, "Expected 2 token requests, but there were 5:")
      assert.include(error.message, "The journal dropped the 3 oldest entries. Raise journalLimit to keep more.")
    }).pipe(Effect.provide(FakeIms.layerTest({ journalLimit: 2 })))
  )

  it.effect("counts requests exactly when the journal keeps the newest 10,000 entries, which is the default", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      yield* Effect.replicateEffect(getMe(), 10_050, { discard: true })
      assert.lengthOf(yield* ims.journal, 10_000)
      assert.strictEqual(yield* ims.droppedEntries, 50)
      assert.strictEqual(yield* ims.countRequests("GET /users/me"), 10_050)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each([0, -1, 1.5, Number.NaN])("rejects a journalLimit of %d", (journalLimit) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(FakeIms.layerTest({ journalLimit }))))
      assert.include(String(exit), "journalLimit must be an integer of at least 1")
    })
  )
})

describe("entries", () => {
  const secrets = [
    "client_secret",
    "password",
    "refresh_token",
    "code",
    "code_verifier",
    "client_assertion",
    "assertion",
    "token",
    "username",
    "something_unknown"
  ]

  it.effect.each(secrets)("does not show the parameter %s of a form or a query in the journal", (name) =>
    Effect.gen(function* () {
      const ims = yield* fake
      const value = "Zq7plainText"
      for (const path of ["/connect/token", "/connect/introspect", "/connect/revocation"]) {
        yield* HttpClient.execute(
          HttpClientRequest.post(`https://ims.bentley.com${path}`).pipe(
            HttpClientRequest.setUrlParams(
              name === "something_unknown" || name === "username" ? {} : { [name]: value }
            ),
            HttpClientRequest.bodyUrlParams({ client_id: "service-x", grant_type: "password", [name]: value })
          )
        )
      }
      const journal = yield* ims.journal
      assert.deepInclude(journal[0]?.form, { client_id: "service-x", grant_type: "password", [name]: "<redacted>" })
      assert.notInclude(JSON.stringify(journal), value)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("does not show a secret in the journal when it was sent as a harmless parameter", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const app = yield* register()
      const secret = secretOf(app)
      const odd = yield* ims.registerApp({ name: "Odd", clientSecret: Redacted.make(`fake-secret-with a "quote'`) })
      for (const value of [secret, secretOf(odd)]) {
        yield* post({ grant_type: value, client_id: value, scope: value, client_secret: app.credentials.clientId })
        yield* post({ [value]: "x" }, HttpClientRequest.setHeader("x-note", value))
        yield* post({ ...client(app), grant_type: "client_credentials", scope: value })
      }
      const shown = JSON.stringify(yield* ims.journal)
      assert.notInclude(shown, secret.slice(12))
      assert.notInclude(shown, "quote")
      assert.notInclude(shown, "fake-secret")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("shows form, client and fault of a request when the script answered it", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const app = yield* register()
      yield* ims.script("POST /connect/token", Fault.once(Fault.respond({ status: 503, body: {} })))
      yield* post({ ...client(app), grant_type: "client_credentials", scope: "itwin-platform" })
      const [entry] = yield* ims.forApp(app.credentials.clientId)
      assert.deepInclude(entry, { fault: "Respond", outcome: "fault", status: 503 })
      assert.deepInclude(entry?.form, { scope: "itwin-platform" })
      yield* ims.script("GET /users/me", Fault.once(FakeIms.rateLimited(1)))
      yield* getMe(`Bearer ${yield* tokenFor(app)}`)
      assert.deepInclude((yield* ims.forApp(app.credentials.clientId)).at(-1), { route: "GET /users/me", status: 429 })
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("shows query, headers and body of a call to an API in the journal", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const app = yield* register()
      yield* ims.addRoute("POST", "/things/:id", () => HttpServerResponse.empty({ status: 201 }))
      const accept = "application/vnd.bentley.itwin-platform.v2+json"
      yield* HttpClient.execute(
        HttpClientRequest.post("https://api.bentley.com/things/1?$top=5").pipe(
          HttpClientRequest.setHeaders({ accept, authorization: `Bearer ${yield* tokenFor(app)}` }),
          HttpClientRequest.bodyJsonUnsafe({ name: "Bridge" })
        )
      )
      const entry = (yield* ims.journal)[1]
      assert.deepInclude(entry, {
        route: "POST /things/:id",
        path: "/things/1",
        body: '{"name":"Bridge"}',
        status: 201
      })
      assert.deepStrictEqual(entry?.query, { $top: "5" })
      assert.deepInclude(entry?.headers, { accept, authorization: "Bearer <redacted>" })
      assert.lengthOf(Journal.filter(yield* ims.journal, { route: "POST /things/:id", since: 1 }), 1)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each(["x-forwarded-authorization", "x-original-cookie", "ocp-apim-subscription-key", "x-identity-header"])(
    "do not show the header %s",
    (name) =>
      Effect.gen(function* () {
        const ims = yield* fake
        const basic = "Basic c2VydmljZS14OmZha2Utc2VjcmV0LXgrLz0="
        yield* HttpClient.get("https://api.bentley.com/users/me", { headers: { [name]: basic } })
        assert.deepInclude((yield* ims.journal)[0]?.headers, { [name]: "<redacted>" })
      }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})

const client = (app: FakeIms.App) => ({ client_id: app.credentials.clientId, client_secret: secretOf(app) })

describe("two runs of the same program", () => {
  const program = Effect.gen(function* () {
    const ims = yield* fake
    const cache = yield* TokenCache.TokenCache
    yield* ims.script(
      "POST /connect/token",
      Fault.always(Fault.chaos("seed", [2, "none"], [1, Fault.html(503, "Down")]))
    )
    for (let i = 0; i < 20; i++) {
      yield* Effect.ignore(cache.refresh())
      yield* Effect.ignore(Users.me)
      yield* Effect.ignore(getMe())
      yield* TestClock.adjust("20 minutes")
    }
    return yield* ims.journal
  })
  const run = (seed: string) =>
    TestClock.setTime(0).pipe(
      Effect.andThen(
        program.pipe(
          Effect.provide(
            ITwin.layerWith({}).pipe(
              Layer.provide(RetryPolicy.layer(RetryPolicy.none)),
              Layer.provideMerge(FakeIms.layerTest({ seed }))
            )
          )
        )
      )
    )

  it.effect("writes the same journal, with correlation ids and times, when the same program runs twice", () =>
    Effect.gen(function* () {
      const first = yield* run("a")
      assert.isAbove(first.length, 40)
      assert.include(
        first.map(({ outcome }) => outcome),
        "fault"
      )
      assert.deepStrictEqual(yield* run("a"), first)
      assert.notDeepEqual(yield* run("b"), first)
    })
  )
})
