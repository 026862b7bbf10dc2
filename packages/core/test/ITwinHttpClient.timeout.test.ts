// How long an API may be silent: before its response, within the body, and while a stream is uploaded.
import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinApiError, ITwinHttpClient, SecretProvider, Users } from "@effect-itwin/core"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { credentials } from "./support.ts"

type Response = HttpClientResponse.HttpClientResponse

/** A client over a handler of API requests. Token requests succeed at once. */
const over = (
  respond: (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<Response>,
  options: ITwinHttpClient.Options = {}
) =>
  ITwin.layerWith(options).pipe(
    Layer.provide([
      SecretProvider.layerStatic(credentials),
      Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((request) =>
          request.url.includes("connect/token")
            ? Effect.succeed(
                HttpClientResponse.fromWeb(
                  request,
                  globalThis.Response.json({ access_token: "fake.token", token_type: "Bearer" })
                )
              )
            : respond(request)
        )
      )
    ])
  )

const get = Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (client) => client.get("/x"))

const respondWith = (request: HttpClientRequest.HttpClientRequest, response: HttpServerResponse.HttpServerResponse) =>
  HttpServerResponse.toClientResponse(response, { request })

const chunk = new TextEncoder().encode("x".repeat(1000))

const streaming = (body: Stream.Stream<Uint8Array>, status = 200) =>
  over((request) => Effect.succeed(respondWith(request, HttpServerResponse.stream(body, { status }))))

/** Returns the message with which a fiber ended, if it has ended. */
const poll = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.sync(() => {
    const exit = fiber.pollUnsafe()
    if (exit === undefined) return "running"
    return Exit.isSuccess(exit) ? "done" : Cause.pretty(exit.cause).split("\n")[0]
  })

describe("the time limit of an API call", () => {
  it.effect("fails an API call after 60 s, each time, when there is no response", () =>
    Effect.gen(function* () {
      for (const _ of [1, 2]) {
        const fiber = yield* Effect.forkChild(get)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* poll(fiber), "running")
        yield* TestClock.adjust("1 seconds")
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.isTrue(error._tag === "HttpClientError" && error.reason._tag === "TransportError")
        assert.strictEqual(
          error.message,
          "Transport: the API sent no response for 1 min (GET https://api.bentley.com/x)"
        )
        assert.isTrue(HttpClient.isTransientError(error))
      }
    }).pipe(Effect.provide(over(() => Effect.never)))
  )

  it.effect("fails an API call after 60 s when the given client can't be interrupted", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(get)
      yield* TestClock.adjust("60 seconds")
      assert.include(yield* poll(fiber), "no response for 1 min")
    }).pipe(Effect.provide(over(() => Effect.uninterruptible(Effect.never))))
  )

  it.effect.each<readonly [string, (response: Response) => Effect.Effect<unknown, unknown>]>([
    ["text", (response) => response.text],
    ["json", (response) => response.json],
    ["arrayBuffer", (response) => response.arrayBuffer],
    ["urlParamsBody", (response) => response.urlParamsBody],
    ["formData", (response) => response.formData],
    ["stream", (response) => Stream.runDrain(response.stream)]
  ])("fails reading %s 60 s after the last part of the body", ([_name, read]) => {
    const parts = Stream.make(chunk).pipe(
      Stream.concat(Stream.fromEffect(Effect.as(Effect.sleep("50 seconds"), chunk)))
    )
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flatMap(get, read))
      yield* TestClock.adjust("109 seconds")
      assert.strictEqual(yield* poll(fiber), "running")
      yield* TestClock.adjust("1 seconds")
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.include(String(error), "Transport: the API sent no further part of its response for 1 min")
    }).pipe(Effect.provide(streaming(Stream.concat(parts, Stream.never))))
  })

  it.effect("returns a body when it takes an hour but makes progress", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flatMap(get, (response) => response.arrayBuffer))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Fiber.join(fiber)).byteLength, 72_000)
    }).pipe(
      Effect.provide(
        streaming(
          Stream.fromSchedule(Schedule.spaced("50 seconds")).pipe(
            Stream.take(72),
            Stream.map(() => chunk)
          )
        )
      )
    )
  )

  it.effect("returns a body when its reader is slower than the time limit", () =>
    Effect.gen(function* () {
      const response = yield* get
      let bytes = 0
      const fiber = yield* response.stream.pipe(
        Stream.runForEach((part) =>
          Effect.delay(
            Effect.sync(() => {
              bytes += part.byteLength
            }),
            "5 minutes"
          )
        ),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      assert.strictEqual(bytes, 3000)
    }).pipe(Effect.provide(streaming(Stream.make(chunk, chunk, chunk).pipe(Stream.rechunk(1)))))
  )

  it.effect("does not cut off an upload while the API reads it, and does when the API stops reading", () => {
    const upload = Stream.fromSchedule(Schedule.spaced("50 seconds")).pipe(
      Stream.take(10),
      Stream.map(() => chunk)
    )
    let stops = false
    const layer = over((request) =>
      Effect.gen(function* () {
        if (request.body._tag !== "Stream") return yield* Effect.die("not a stream")
        yield* Effect.orDie(Stream.runDrain(stops ? Stream.take(request.body.stream, 2) : request.body.stream))
        return stops ? yield* Effect.never : respondWith(request, HttpServerResponse.empty())
      })
    )
    return Effect.gen(function* () {
      const client = yield* ITwinHttpClient.ITwinHttpClient
      const send = client.execute(
        HttpClientRequest.post("/x", { headers: { "x-kept": "1" } }).pipe(HttpClientRequest.bodyStream(upload))
      )
      const fiber = yield* Effect.forkChild(send)
      yield* TestClock.adjust("500 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 204)
      stops = true
      const stopped = yield* Effect.forkChild(send)
      yield* TestClock.adjust("220 seconds")
      assert.include(yield* poll(stopped), "no response for 1 min")
    }).pipe(Effect.provide(layer))
  })

  it.effect("limits the silence of an API call to the timeout of the options, or not at all", () =>
    Effect.gen(function* () {
      const short = yield* Effect.forkChild(
        Effect.provide(
          get,
          over(() => Effect.never, { timeout: "3 seconds" })
        )
      )
      const none = yield* Effect.forkChild(
        Effect.provide(
          get,
          over(() => Effect.never, { timeout: Duration.infinity })
        )
      )
      yield* TestClock.adjust("3 seconds")
      assert.include(yield* poll(short), "no response for 3 s")
      yield* TestClock.adjust("100 days")
      assert.strictEqual(yield* poll(none), "running")
      yield* Fiber.interrupt(none)
    })
  )

  it.effect.each<Duration.Input>([0, -1, Number.NaN, "0 seconds"])(
    "dies with a RangeError when the client is built with the timeout %s",
    (timeout) =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(
          Effect.provide(
            get,
            over(() => Effect.never, { timeout })
          )
        )
        const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(defect, RangeError)
        assert.include(String(defect), "ITwinHttpClient: timeout")
      })
  )

  it.effect("fails when the body of a response is read again after the first read was interrupted", () =>
    Effect.gen(function* () {
      const response = yield* get
      const first = yield* Effect.forkChild(response.text)
      yield* Effect.yieldNow
      yield* Fiber.interrupt(first)
      for (const again of [response.text, response.json, Stream.runDrain(response.stream)]) {
        assert.strictEqual((yield* Effect.flip(again)).reason._tag, "DecodeError")
      }
    }).pipe(Effect.provide(streaming(Stream.concat(Stream.succeed(chunk), Stream.never))))
  )

  it.effect("releases the connection when the body of an API response stalls", () => {
    let isReleased = false
    const body = Stream.ensuring(
      Stream.never,
      Effect.sync(() => {
        isReleased = true
      })
    )
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.exit(Effect.flatMap(get, (response) => response.text)))
      yield* TestClock.adjust("60 seconds")
      yield* Fiber.join(fiber)
      assert.isTrue(isReleased)
    }).pipe(Effect.provide(streaming(body)))
  })
})

describe("a body of 2 MiB", () => {
  it.effect.each([200, 404, 500])(
    "reads at most 256 KiB of a body of 2 MiB when Users.me gets the status %d",
    (status) => {
      let bytes = 0
      const large = Stream.map(Stream.take(Stream.forever(Stream.succeed(chunk)), 2048), (part) => {
        bytes += part.byteLength
        return part
      })
      return Effect.gen(function* () {
        const error = yield* Effect.flip(Users.me)
        assert.isTrue(ITwinApiError.isITwinApiError(error))
        assert.isBelow(bytes, 300 * 1024)
      }).pipe(Effect.provide(streaming(large, status)))
    }
  )
})
