// A 401 of an API: another token, once, where that can help.

import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinHttpClient, RetryPolicy, TokenCache, Users } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Layer, Stream } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse, HttpServerResponse } from "effect/http"
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

describe("a 401", () => {
  it.effect("is answered with another token, and the request sent once more", () =>
    Effect.gen(function* () {
      yield* revoke
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* me, "ok")
      assert.deepStrictEqual(yield* counts, [2, 2])
      assert.strictEqual(yield* me, "ok")
      assert.deepStrictEqual(yield* counts, [2, 3])
    }).pipe(Effect.provide(App()))
  )

  it.effect("of many calls at once costs one token request", () =>
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

  it.effect("of another site, to which the API sent the call on, costs no token", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const old = yield* cache.get()
      const seen: Array<string | undefined> = []
      const storage = HttpClient.make((request) => {
        seen.push(request.headers.authorization)
        const response = request.url.startsWith("https://api.bentley.com")
          ? HttpServerResponse.redirect("https://storage.example/file")
          : HttpServerResponse.empty({ status: 401 })
        return Effect.succeed(HttpServerResponse.toClientResponse(response, { request }))
      })
      const client = yield* ITwinHttpClient.make().pipe(Effect.provideService(HttpClient.HttpClient, storage))
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual((yield* client.get("/file")).status, 401)
      }
      assert.deepStrictEqual(
        seen.map((authorization) => authorization !== undefined),
        [true, false, true, false, true, false]
      )
      assert.strictEqual(yield* cache.get(), old)
      assert.strictEqual((yield* counts)[0], 1)
    }).pipe(Effect.provide(App()))
  )

  it.effect("may have headers that no web response has", () =>
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

  it.effect("is the answer for a token younger than 30 s", () =>
    Effect.gen(function* () {
      yield* revoke
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* me, "Unauthorized")
      assert.deepStrictEqual(yield* counts, [1, 1])
    }).pipe(Effect.provide(App()))
  )

  it.effect("is the answer when the new token is refused as well, and not asked about again for 30 s", () =>
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

  it.effect("is the answer, body and all, when there is no new token; the old one stays", () =>
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
  ])("that no token cures is the answer: %j", (body) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* token
      yield* TestClock.adjust("30 seconds")
      yield* fake.script("GET /users/me", Fault.once(Fault.respond({ status: 401, body })))
      assert.strictEqual(yield* me, "Unauthorized")
      assert.deepStrictEqual(yield* counts, [1, 1])
    }).pipe(Effect.provide(App()))
  )

  it.effect("replays a body that can be sent again, and not a stream", () =>
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
      yield* revoke
      yield* TestClock.adjust("30 seconds")
      const json = yield* api.execute(HttpClientRequest.post("/echo").pipe(HttpClientRequest.bodyJsonUnsafe({ a: 1 })))
      assert.strictEqual(json.status, 204)
      assert.deepStrictEqual(bodies, ['{"a":1}'])
      yield* revoke
      yield* TestClock.adjust("30 seconds")
      const stream = yield* api.execute(
        HttpClientRequest.post("/echo").pipe(HttpClientRequest.bodyStream(Stream.succeed(new Uint8Array([97]))))
      )
      assert.strictEqual(stream.status, 401)
      assert.strictEqual((yield* counts)[0], 2)
    }).pipe(Effect.provide(App()))
  )

  it.effect("is replayed as well where the given client turns statuses into failures", () => {
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

  it.effect("with a large body keeps it, cut at 256 KiB", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("GET /users/me", Fault.once(Fault.respond({ status: 401, body: "x".repeat(300_000) })))
      const api = yield* ITwinHttpClient.ITwinHttpClient
      const response = yield* api.get("/users/me")
      assert.strictEqual((yield* response.text).length, 256 * 1024)
    }).pipe(Effect.provide(App()))
  )

  it.effect("is the answer where retry is off", () =>
    Effect.gen(function* () {
      yield* revoke
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* me, "Unauthorized")
      assert.deepStrictEqual(yield* counts, [1, 1])
    }).pipe(Effect.provide(App({ retry: false })))
  )

  it.effect("does not bring back a token that was invalidated meanwhile", () =>
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
