// With the option `retry`, a request is sent again after a failure that may pass.
import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinApiError, ITwinHttpClient, RetryPolicy, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { credentials, json, type Step, scripted, tokenAnswer, transportError } from "./support.ts"

const retry: ITwinHttpClient.Retry = { attempts: 3, baseDelay: "200 millis", maxRetryAfter: "10 seconds" }

const over = (script: ReturnType<typeof scripted>, options: ITwinHttpClient.Options = { retry }) =>
  ITwin.layerWith(options).pipe(Layer.provide([script.layer, SecretProvider.layerStatic(credentials)]))

const answering = (...steps: ReadonlyArray<Step>) => scripted(tokenAnswer(), ...steps)

/** The requests without the token request. */
const calls = (script: ReturnType<typeof scripted>) => script.requests.length - 1

const status =
  (code: number, headers: Readonly<Record<string, string>> = {}): Step =>
  () =>
    new Response("body", { status: code, headers })

const execute = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (client) => client.execute(request))

const get = HttpClientRequest.get("/x")

/** Runs the call while time passes. */
const within = <A, E, R>(duration: Duration.Input, call: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(call))
    yield* TestClock.adjust(duration)
    return yield* yield* Fiber.join(fiber)
  })

describe("the retry of an API call", () => {
  it.effect("waits the 2 s that a 429 asks for, and sends the request again, twice in a row", () => {
    const script = answering(
      status(429, { "retry-after": "2" }),
      json({}),
      status(429, { "retry-after": "2" }),
      json({})
    )
    return Effect.gen(function* () {
      for (const round of [1, 2]) {
        const fiber = yield* Effect.forkChild(execute(get))
        yield* TestClock.adjust("1999 millis")
        assert.strictEqual(calls(script), 2 * round - 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
        assert.strictEqual(calls(script), 2 * round)
      }
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each<readonly [string, string, Duration.Input | undefined, number]>([
    ["asks for a day", "86400", undefined, 1],
    ["asks for 11 s", "11", undefined, 1],
    ["asks for 10 s", "10", undefined, 2],
    ["asks for 10 s, and maxRetryAfter is 9 s", "10", "9 seconds", 1],
    ["asks for nothing readable", "soon", undefined, 2]
  ])(
    "sends the request as often as maxRetryAfter permits when a 429 %s: %s",
    ([_when, after, maxRetryAfter, count]) => {
      const script = answering(status(429, { "retry-after": after }), json({}))
      return Effect.gen(function* () {
        const call = execute(get)
        const response = count === 1 ? yield* call : yield* within("10 seconds", call)
        assert.strictEqual(response.status, count === 1 ? 429 : 200)
        assert.strictEqual(calls(script), count)
      }).pipe(Effect.provide(over(script, { retry: { maxRetryAfter } })))
    }
  )

  it.effect("returns the third 503 with its body, after jittered pauses of 200 and 400 ms", () => {
    const script = answering(status(503))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(execute(get))
      yield* TestClock.adjust("159 millis")
      assert.strictEqual(calls(script), 1)
      yield* TestClock.adjust("81 millis")
      assert.strictEqual(calls(script), 2)
      yield* TestClock.adjust("480 millis")
      assert.strictEqual(calls(script), 3)
      const response = yield* Fiber.join(fiber)
      assert.strictEqual(response.status, 503)
      assert.strictEqual(yield* response.text, "body")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(calls(script), 3)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([429, 502, 503, 504])("sends the request again when the API returns %d", (code) => {
    const script = answering(status(code), json({}))
    return Effect.gen(function* () {
      assert.strictEqual((yield* within("1 seconds", execute(get))).status, 200)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([400, 403, 404, 408, 409, 500, 501, 505])(
    "returns the response at once when its status is %d",
    (code) => {
      const script = answering(status(code, { "retry-after": "1" }))
      return Effect.gen(function* () {
        assert.strictEqual((yield* execute(get)).status, code)
        assert.strictEqual(calls(script), 1)
      }).pipe(Effect.provide(over(script)))
    }
  )

  it.effect.each<readonly ["GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "POST" | "PATCH", number]>([
    ["GET", 3],
    ["HEAD", 3],
    ["PUT", 3],
    ["DELETE", 3],
    ["OPTIONS", 3],
    ["POST", 1],
    ["PATCH", 1]
  ])("sends a %s %d times when the API returns 503, and as often when the connection is lost", ([method, count]) =>
    Effect.gen(function* () {
      for (const failure of [status(503), transportError("ECONNRESET")]) {
        const script = answering(failure)
        yield* Effect.exit(within("1 seconds", execute(HttpClientRequest.make(method)("/x")))).pipe(
          Effect.provide(over(script))
        )
        assert.strictEqual(calls(script), count)
      }
    })
  )

  it.effect("sends a PUT again when its body is JSON, and not when it is a stream or raw", () =>
    Effect.gen(function* () {
      const put = HttpClientRequest.put("/x")
      const bytes = new TextEncoder().encode('{"a":1}')
      for (const [request, count] of [
        [HttpClientRequest.bodyJsonUnsafe(put, { a: 1 }), 2],
        [HttpClientRequest.bodyStream(put, Stream.succeed(bytes)), 1],
        [HttpClientRequest.setBody(put, HttpBody.raw(bytes)), 1]
      ] as const) {
        const script = answering(status(503), json({}))
        yield* within("1 seconds", execute(request)).pipe(Effect.provide(over(script)))
        assert.strictEqual(calls(script), count)
        const bodies = script.requests.slice(1).map(({ body }) => body)
        assert.deepStrictEqual(
          bodies,
          Array.from(bodies, () => bodies[0])
        )
      }
    })
  )

  it.effect.each([
    ["ECONNRESET", 3],
    ["EAI_AGAIN", 3],
    ["ENOTFOUND", 1],
    ["CERT_HAS_EXPIRED", 1]
  ] as const)("fails after as many requests as can help when the transport fails with %s: %d", ([code, count]) => {
    const script = answering(transportError(code))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(within("1 seconds", execute(get)))
      assert.include(error.message, code)
      assert.strictEqual(calls(script), count)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("sends the request once when no retry is set", () => {
    const script = answering(status(503))
    return Effect.gen(function* () {
      assert.strictEqual((yield* execute(get)).status, 503)
      assert.strictEqual(calls(script), 1)
    }).pipe(Effect.provide(over(script, {})))
  })

  it.effect("makes 3 attempts when the retry has no options", () => {
    const script = answering(status(503))
    return Effect.gen(function* () {
      assert.strictEqual((yield* within("1 seconds", execute(get))).status, 503)
      assert.strictEqual(calls(script), 3)
    }).pipe(Effect.provide(over(script, { retry: {} })))
  })

  it.effect("does not retry a TokenError", () => {
    const script = scripted(json({}, { status: 503 }))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(execute(get))
      assert.strictEqual(error.reason._tag, "ServerError")
      assert.strictEqual(script.requests.length, 1)
    }).pipe(Effect.provide(over(script).pipe(Layer.provide(RetryPolicy.layer(RetryPolicy.none)))))
  })

  it.effect("applies the time limit to each attempt", () => {
    let count = 0
    const silent: Step = () =>
      Effect.andThen(
        Effect.sync(() => count++),
        Effect.never
      )
    const script = answering(silent)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(execute(get)))
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(count, 2)
      yield* TestClock.adjust("16 seconds")
      assert.include((yield* Fiber.join(fiber)).message, "no response for 10 s")
      assert.strictEqual(count, 3)
    }).pipe(Effect.provide(over(script, { retry, timeout: "10 seconds" })))
  })

  it.effect("sends the request again when the given client turns statuses into failures", () => {
    const script = answering(status(503), status(503), json({ a: 1 }))
    const strict = Layer.succeed(HttpClient.HttpClient, HttpClient.filterStatusOk(script.client))
    return Effect.gen(function* () {
      const response = yield* within("1 seconds", execute(get))
      assert.deepStrictEqual(yield* response.json, { a: 1 })
    }).pipe(
      Effect.provide(ITwin.layerWith({ retry }).pipe(Layer.provide([strict, SecretProvider.layerStatic(credentials)])))
    )
  })

  it.effect("releases a response before the pause, and does not read it to its end", () => {
    let isCancelled = false
    const endless: Step = () =>
      new Response(
        new ReadableStream({
          cancel: () => {
            isCancelled = true
          }
        }),
        { status: 503 }
      )
    const script = answering(endless, json({}))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(execute(get))
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(calls(script), 1)
      assert.isTrue(isCancelled)
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("sends nothing further when the caller is interrupted during a pause", () => {
    const script = answering(status(503))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(execute(get))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(calls(script), 1)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("fails with the ITwinApiError of the last response when the client is filtered by status", () => {
    const script = answering(status(503, { "retry-after": "1" }))
    return Effect.gen(function* () {
      const api = ITwinApiError.filterStatusOk(yield* ITwinHttpClient.ITwinHttpClient)
      const error = yield* Effect.flip(within("3 seconds", api.get("/x")))
      assert.isTrue(error._tag === "ITwinApiError" && error.reason._tag === "Unavailable")
      assert.strictEqual(calls(script), 3)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each<readonly [string, ITwinHttpClient.Retry, string]>([
    ["attempts are 0", { attempts: 0 }, "retry.attempts must be an integer of at least 1, not 0"],
    ["attempts are 1.5", { attempts: 1.5 }, "retry.attempts"],
    ["attempts are infinite", { attempts: Number.POSITIVE_INFINITY }, "retry.attempts"],
    ["baseDelay is negative", { baseDelay: -1 }, "retry.baseDelay"],
    ["maxRetryAfter is negative", { maxRetryAfter: Duration.negate(Duration.seconds(1)) }, "retry.maxRetryAfter"]
  ])("dies with a RangeError when the client is built and %s", ([_when, retry, text]) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.provide(execute(get), over(answering(json({})), { retry })))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, RangeError)
      assert.include(String(defect), `ITwinHttpClient: ${text}`)
    })
  )
})

describe("the retry of an API call and the replay after a 401", () => {
  const App = ITwin.layerWith({ retry }).pipe(Layer.provideMerge(FakeIms.layerTest()))

  it.effect("are counted apart: a replay is no attempt", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const cache = yield* TokenCache.TokenCache
      yield* fake.revokeToken(yield* cache.get())
      yield* TestClock.adjust("30 seconds")
      const down = Fault.respond({ status: 503, body: "" })
      // The 401 and the replay, and two further attempts: four requests for three attempts.
      yield* fake.script("GET /users/me", Fault.once(FakeIms.gateway401), Fault.always(down))
      const response = yield* within("1 seconds", execute(HttpClientRequest.get("/users/me")))
      assert.strictEqual(response.status, 503)
      const requests = (yield* fake.journal).filter(({ route }) => route === "GET /users/me")
      assert.strictEqual(requests.length, 4)
      yield* fake.assertTokenRequests(2)
    }).pipe(Effect.provide(App))
  )

  it.effect("replays an attempt that gets a 401 after another one failed", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const cache = yield* TokenCache.TokenCache
      yield* cache.get()
      yield* TestClock.adjust("30 seconds")
      const down = Fault.respond({ status: 503, body: "" })
      yield* fake.script("GET /users/me", Fault.once(down), Fault.once(FakeIms.gateway401), Fault.once(down))
      const response = yield* within("1 seconds", execute(HttpClientRequest.get("/users/me")))
      assert.strictEqual(response.status, 200)
      yield* fake.assertTokenRequests(2)
      yield* fake.verify
    }).pipe(Effect.provide(App))
  )

  it.effect("sends each attempt with the token that the cache has then", () => {
    const sent: Array<string | undefined> = []
    return Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const api = yield* ITwinHttpClient.make({ retry: { baseDelay: "5 seconds" } }).pipe(
        Effect.provideService(
          HttpClient.HttpClient,
          HttpClient.make((request) =>
            Effect.sync(() => {
              sent.push(request.headers.authorization)
              return HttpClientResponse.fromWeb(request, new Response("", { status: sent.length === 1 ? 503 : 200 }))
            })
          )
        )
      )
      yield* cache.get()
      yield* TestClock.adjust("1 seconds")
      const fiber = yield* Effect.forkChild(api.get("/x"))
      yield* TestClock.adjust("1 seconds")
      yield* cache.refresh()
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      assert.strictEqual(new Set(sent).size, 2)
    }).pipe(Effect.provide(App))
  })
})
