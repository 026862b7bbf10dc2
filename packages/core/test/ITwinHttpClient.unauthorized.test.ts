// After a 401 of an API, the token is replaced, and the request is sent once more if its body can be.

import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinHttpClient, RetryPolicy, TokenCache, Users } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientRequest, HttpClientResponse, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"

const App = (options: ITwinHttpClient.Options = {}) =>
  ITwin.layerWith(options).pipe(
    Layer.provide(RetryPolicy.layer(RetryPolicy.none)),
    Layer.provideMerge(FakeIms.layerTest())
  )

const token = Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get())
const revoke = Effect.flatMap(FakeIms.FakeIms, (fake) => Effect.flatMap(token, (token) => fake.revokeToken(token)))
const counts = Effect.flatMap(FakeIms.FakeIms, (fake) =>
  Effect.map(fake.journal, (entries) => [
    entries.filter((entry) => entry.route === "POST /connect/token").length,
    entries.filter((entry) => entry.route !== "POST /connect/token").length
  ])
)
const me = Users.me.pipe(
  Effect.match({ onSuccess: () => "ok", onFailure: (error) => ("reason" in error ? error.reason._tag : "") })
)

/** The client over a handler of each request, with the cache of the test. */
const apiOver = (
  respond: (request: HttpClientRequest.HttpClientRequest) => Response,
  options?: ITwinHttpClient.Options
) =>
  ITwinHttpClient.make(options).pipe(
    Effect.provideService(
      HttpClient.HttpClient,
      HttpClient.make((request) => Effect.sync(() => HttpClientResponse.fromWeb(request, respond(request))))
    )
  )

const post = HttpClientRequest.post("/echo")
const bytes = new TextEncoder().encode("a")

describe("a 401 of an API", () => {
  it.effect("sends the request again with another token when an API returns 401, twice in a row", () =>
    Effect.gen(function* () {
      yield* revoke
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* me, "ok")
      assert.deepStrictEqual(yield* counts, [2, 2])
      assert.strictEqual(yield* me, "ok")
      assert.deepStrictEqual(yield* counts, [2, 3])
    }).pipe(Effect.provide(App()))
  )

  it.effect("makes one token request when many calls get a 401 at once", () =>
    Effect.gen(function* () {
      yield* revoke
      yield* TestClock.adjust("30 seconds")
      const outcomes = yield* Effect.all(
        Array.from({ length: 50 }, () => me),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual([...new Set(outcomes)], ["ok"])
      assert.strictEqual((yield* counts)[0], 2)
    }).pipe(Effect.provide(App()))
  )

  it.effect("keeps headers that a web response can't have when an API returns 401", () =>
    Effect.gen(function* () {
      const odd = HttpClient.make((request) => {
        const response = HttpClientResponse.fromWeb(request, new Response("no", { status: 401 }))
        return Effect.succeed(Object.create(response, { headers: { value: { "x-odd": "\u0100", "x-good": "ü" } } }))
      })
      const client = yield* ITwinHttpClient.make().pipe(Effect.provideService(HttpClient.HttpClient, odd))
      const response = yield* client.get("/users/me")
      assert.strictEqual(response.status, 401)
      assert.strictEqual(response.headers["x-good"], "ü")
      assert.strictEqual(yield* response.text, "no")
    }).pipe(Effect.provide(App()))
  )

  it.effect("returns the 401 when the token is younger than 30 s", () =>
    Effect.gen(function* () {
      yield* revoke
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* me, "Unauthorized")
      assert.deepStrictEqual(yield* counts, [1, 1])
    }).pipe(Effect.provide(App()))
  )

  it.effect("returns the 401, and requests no token for 30 s, when the new token is rejected too", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* token
      yield* fake.script("GET /users/me", Fault.always(FakeIms.gateway401))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* me, "Unauthorized")
      assert.deepStrictEqual(yield* counts, [2, 2])
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* me, "Unauthorized")
      assert.deepStrictEqual(yield* counts, [2, 3])
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(yield* me, "Unauthorized")
      assert.deepStrictEqual(yield* counts, [3, 5])
    }).pipe(Effect.provide(App()))
  )

  it.effect("makes one token request when 300 calls in a row get a 401", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("GET /users/me", Fault.always(FakeIms.gateway401))
      for (let call = 0; call < 300; call++) assert.strictEqual(yield* me, "Unauthorized")
      assert.deepStrictEqual(yield* counts, [1, 300])
    }).pipe(Effect.provide(App()))
  )

  it.effect("returns the 401 with its body, and keeps the old token, when there is no new one", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const old = yield* token
      yield* revoke
      yield* TestClock.adjust("30 seconds")
      yield* fake.script("POST /connect/token", Fault.once(Fault.html(503, "Down")))
      const error = yield* Effect.flip(Users.me)
      assert.include(error.message, "The token was revoked")
      assert.strictEqual(yield* token, old)
      assert.deepStrictEqual(yield* counts, [2, 1])
    }).pipe(Effect.provide(App()))
  )

  it.effect.each([
    { error: { code: "HeaderNotFound", message: "x" } },
    { error: { code: "Unauthorized", message: "x", details: [{ code: "UnknownClient", message: "x" }] } }
  ])("returns the 401 when a new token does not help: %j", (body) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* token
      yield* TestClock.adjust("30 seconds")
      yield* fake.script("GET /users/me", Fault.once(Fault.respond({ status: 401, body })))
      assert.strictEqual(yield* me, "Unauthorized")
      assert.deepStrictEqual(yield* counts, [1, 1])
    }).pipe(Effect.provide(App()))
  )

  it.effect("sends the request again after a 401 when the given client turns statuses into failures", () => {
    const strict = Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, HttpClient.filterStatusOk))
    const Strict = ITwin.layerWith({}).pipe(Layer.provide(strict), Layer.provideMerge(FakeIms.layerTest()))
    return Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* revoke
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* me, "ok")
      assert.deepStrictEqual(yield* counts, [2, 2])
      yield* fake.script("GET /users/me", Fault.once(FakeIms.gateway401))
      const error = yield* Effect.flip(Users.me)
      assert.isTrue(error._tag === "HttpClientError" && error.response?.status === 401)
    }).pipe(Effect.provide(Strict))
  })

  it.effect("keeps at most 256 KiB of a body when a 401 has a large one", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("GET /users/me", Fault.once(Fault.respond({ status: 401, body: "x".repeat(300_000) })))
      const api = yield* ITwinHttpClient.ITwinHttpClient
      const response = yield* api.get("/users/me")
      assert.strictEqual((yield* response.text).length, 256 * 1024)
    }).pipe(Effect.provide(App()))
  )

  it.effect("sends the same body again after a 401 when the body is JSON", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const api = yield* ITwinHttpClient.ITwinHttpClient
      const bodies: Array<string> = []
      yield* fake.addRoute("POST", "/echo", ({ request }) =>
        Effect.map(Effect.orDie(request.text), (text) => {
          bodies.push(text)
          return HttpServerResponse.empty({ status: 204 })
        })
      )
      for (const round of [1, 2]) {
        yield* revoke
        yield* TestClock.adjust("30 seconds")
        const response = yield* api.execute(HttpClientRequest.bodyJsonUnsafe(post, { round }))
        assert.strictEqual(response.status, 204)
      }
      assert.deepStrictEqual(bodies, ['{"round":1}', '{"round":2}'])
      assert.strictEqual((yield* counts)[0], 3)
    }).pipe(Effect.provide(App()))
  )

  it.effect.each<readonly [string, HttpClientRequest.HttpClientRequest, ITwinHttpClient.Options]>([
    ["its body is a stream", HttpClientRequest.bodyStream(post, Stream.succeed(bytes)), {}],
    ["its body is raw", HttpClientRequest.setBody(post, HttpBody.raw(bytes)), {}],
    ["retryUnauthorized is off", HttpClientRequest.get("/users/me"), { retryUnauthorized: false }]
  ])("returns the 401 without a second request, and replaces the token, when %s", ([_when, request, options]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.addRoute("POST", "/echo", () => Effect.succeed(HttpServerResponse.empty({ status: 204 })))
      const api = yield* ITwinHttpClient.ITwinHttpClient
      for (const round of [1, 2]) {
        const old = yield* token
        yield* revoke
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* api.execute(request)).status, 401)
        assert.notStrictEqual(yield* token, old)
        assert.include([200, 204], (yield* api.execute(request)).status)
        assert.deepStrictEqual(yield* counts, [1 + round, 2 * round])
      }
    }).pipe(Effect.provide(App(options)))
  )

  it.effect("returns the 401 without waiting for a new token when the request can't be sent again", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const old = yield* token
      yield* revoke
      yield* TestClock.adjust("30 seconds")
      yield* fake.script("POST /connect/token", Fault.once(Fault.delay("2 seconds")))
      assert.strictEqual(yield* me, "Unauthorized")
      yield* TestClock.adjust("2 seconds")
      assert.notStrictEqual(yield* token, old)
      assert.deepStrictEqual(yield* counts, [2, 1])
    }).pipe(Effect.provide(App({ retryUnauthorized: false })))
  )

  const encoder = new TextEncoder()
  const stalled = () => new ReadableStream({ start: (controller) => controller.enqueue(encoder.encode('{"er')) })
  const broken = () => new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) })

  it.effect.each<readonly [string, () => BodyInit, number]>([
    ["stalls", stalled, 0],
    ["breaks off", broken, 0],
    ["is too large", () => "x".repeat(300_000), 256 * 1024]
  ])("returns the 401 when its body %s", ([_how, body, length]) =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const old = yield* cache.get()
      yield* TestClock.adjust("30 seconds")
      const refusing = (request: HttpClientRequest.HttpClientRequest) =>
        request.headers.authorization?.includes(Redacted.value(old.value)) === true
          ? new Response(body(), { status: 401 })
          : Response.json({})
      const once = yield* apiOver(refusing, { retryUnauthorized: false })
      const fiber = yield* Effect.forkChild(once.get("/x"))
      yield* TestClock.adjust("5 seconds")
      const refused = yield* Fiber.join(fiber)
      assert.strictEqual(refused.status, 401)
      assert.strictEqual((yield* refused.text).length, length)
      assert.notStrictEqual(yield* cache.get(), old)
      const api = yield* apiOver(refusing)
      assert.strictEqual((yield* api.get("/x")).status, 200)
    }).pipe(Effect.provide(App()))
  )

  it.effect("replaces the second token too when it is rejected and older than 30 s", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const first = yield* cache.get()
      yield* TestClock.adjust("1 seconds")
      const slow = yield* ITwinHttpClient.make().pipe(
        Effect.provideService(
          HttpClient.HttpClient,
          HttpClient.make((request) =>
            Effect.delay(
              Effect.sync(() => HttpClientResponse.fromWeb(request, new Response("", { status: 401 }))),
              "40 seconds"
            )
          )
        )
      )
      const fiber = yield* Effect.forkChild(slow.get("/x"), { startImmediately: true })
      const second = yield* cache.refresh()
      yield* TestClock.adjust("80 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 401)
      const third = yield* cache.get()
      assert.strictEqual(new Set([first, second, third]).size, 3)
    }).pipe(Effect.provide(App()))
  )

  it.effect("replaces no token when the 401 is of an origin to which the given client followed a redirect", () =>
    Effect.gen(function* () {
      const old = yield* token
      const elsewhere = HttpClient.make((request) => {
        const storage = HttpClientRequest.setUrl(request, "https://storage.example/file")
        return Effect.sync(() => HttpClientResponse.fromWeb(storage, new Response("", { status: 401 })))
      })
      const api = yield* ITwinHttpClient.make().pipe(Effect.provideService(HttpClient.HttpClient, elsewhere))
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual((yield* api.get("/file")).status, 401)
      }
      assert.strictEqual(yield* token, old)
      assert.strictEqual((yield* counts)[0], 1)
    }).pipe(Effect.provide(App()))
  )

  it.effect("does not restore a token when it was invalidated during the call", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const cache = yield* TokenCache.TokenCache
      const old = yield* token
      yield* TestClock.adjust("30 seconds")
      yield* fake.script("POST /connect/token", Fault.once(Fault.html(503, "Down")))
      yield* Effect.all([cache.replace(old), cache.invalidate(old)], { concurrency: "unbounded" })
      assert.isUndefined(cache.peekUnsafe())
    }).pipe(Effect.provide(App()))
  )
})
