// The engine under both fakes: routes, bodies, journal and script, with a host and routes made for the test.
import { assert, describe, it } from "@effect/vitest"
import { Fault, type Journal } from "@effect-itwin/testing"
import { Clock, Effect, Exit, Fiber, Stream } from "effect"
import { HttpClientRequest, type HttpMethod, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { fromSeed } from "../src/internal/engine/entropy.ts"
import { type Call, type Engine, type Host, makeEngine } from "../src/internal/engine/handler.ts"
import { redactText } from "../src/internal/engine/redact.ts"

const host: Host = {
  name: "test",
  refuse: (refusal, entry) => {
    entry.outcome = refusal._tag
    return HttpServerResponse.empty({
      status: { NotFound: 404, MethodNotAllowed: 405, ContentTooLarge: 413 }[refusal._tag]
    })
  }
}

const make = (journalLimit?: number) =>
  Effect.map(Clock.Clock, (clock) => {
    const engine = makeEngine({
      clock,
      entropy: fromSeed("engine"),
      journalLimit,
      redact: (text) => redactText(text, ["hidden"])
    })
    const ok = (call: Call) => {
      call.entry.outcome = "ok"
      return HttpServerResponse.jsonUnsafe({ params: call.params, body: call.body })
    }
    engine.add({ host, method: "GET", paths: ["/things/:id"], serve: ok })
    engine.add({ host, method: "GET", paths: ["/things/all"], serve: () => HttpServerResponse.text("all") })
    engine.add({ host, method: "DELETE", paths: ["/things/:id"], serve: ok })
    engine.add({ host, method: "POST", paths: ["/things", "/other"], serve: ok })
    return engine
  })

const send = (
  engine: Engine,
  method: HttpMethod.HttpMethod,
  url: string,
  change: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest = (request) => request
) =>
  Effect.provideService(
    engine.handler(host),
    HttpServerRequest.HttpServerRequest,
    HttpServerRequest.fromClientRequest(change(HttpClientRequest.make(method)(`http://fake${url}`)))
  )

const jsonOf = ({ body }: HttpServerResponse.HttpServerResponse): unknown =>
  body._tag === "Uint8Array" ? JSON.parse(new TextDecoder().decode(body.body)) : undefined

const last = (engine: Engine): Journal.Entry | undefined => engine.journal.entries().at(-1)

describe("routes", () => {
  it.effect.each<readonly [HttpMethod.HttpMethod, string, number, string]>([
    ["GET", "/things/1", 200, "GET /things/:id"],
    ["GET", "/things/1?a=b", 200, "GET /things/:id"],
    ["GET", "/things/all", 200, "GET /things/all"],
    ["POST", "/other", 200, "POST /things"],
    ["HEAD", "/things/1", 200, "GET /things/:id"],
    ["GET", "/things/", 404, "none"],
    ["GET", "/things/1/", 404, "none"],
    ["GET", "/Things/1", 404, "none"],
    ["GET", "//things/1", 404, "none"],
    ["GET", "/things/%E0%A4%A", 404, "none"],
    ["POST", "/things/", 404, "none"],
    ["POST", "/things/1", 405, "none"],
    ["PUT", "/things", 405, "none"]
  ])("answers %s %s with %i and journals %s", ([method, url, status, route]) =>
    Effect.gen(function* () {
      const engine = yield* make()
      assert.strictEqual((yield* send(engine, method, url)).status, status)
      assert.deepInclude(last(engine), { route, method, status })
    })
  )

  it.effect("answers with the allowed methods when the method is wrong", () =>
    Effect.gen(function* () {
      const response = yield* send(yield* make(), "PATCH", "/things/1")
      assert.strictEqual(response.headers.allow, "GET, HEAD, DELETE")
    })
  )

  it.effect("decodes the parameters of a path", () =>
    Effect.gen(function* () {
      assert.deepInclude(jsonOf(yield* send(yield* make(), "GET", "/things/a%2Fb")), { params: { id: "a/b" } })
    })
  )

  it.effect("answers HEAD with the headers of GET and without a body", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      const get = yield* send(engine, "GET", "/things/1")
      const head = yield* send(engine, "HEAD", "/things/1")
      assert.deepStrictEqual({ ...head.headers }, { ...get.headers })
      assert.strictEqual(head.body._tag, "Empty")
    })
  )

  it.effect("lists its routes when a script, a count or a wait names an unknown one", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      const message = /no route "POST \/thing".*GET \/things\/:id, GET \/things\/all/
      assert.throws(() => engine.script("POST /thing"), message)
      assert.throws(() => engine.count("POST /thing"), message)
      const exit = yield* Effect.exit(engine.arrival("POST /thing", 1))
      assert.isTrue(Exit.hasDies(exit))
    })
  )
})

describe("bodies", () => {
  const bytes = (size: number) => HttpClientRequest.bodyUint8Array(new Uint8Array(size).fill(97), "text/plain")

  it.effect("accepts a body of 1 MiB, and answers 413 to one byte more", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      assert.strictEqual((yield* send(engine, "POST", "/things", bytes(1024 * 1024))).status, 200)
      assert.strictEqual((yield* send(engine, "POST", "/things", bytes(1024 * 1024 + 1))).status, 413)
    })
  )

  it.effect("stops reading a body that never ends", () =>
    Effect.gen(function* () {
      const endless = Stream.forever(Stream.succeed(new Uint8Array(65_536)))
      const response = yield* send(yield* make(), "POST", "/things", HttpClientRequest.bodyStream(endless))
      assert.strictEqual(response.status, 413)
    })
  )
})

describe("journal", () => {
  it.effect("shows query, headers and body without credentials in the journal", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      yield* send(engine, "POST", "/things?$top=5&access_token=abc&$filter=hidden", (request) =>
        request.pipe(
          HttpClientRequest.setHeaders({
            accept: "application/vnd.bentley.itwin-platform.v2+json",
            authorization: "Bearer eyJhbGciOiJub25lIn0.e30.",
            cookie: "session=1",
            "x-api-key": "key"
          }),
          HttpClientRequest.bodyText('{"a":"fake-secret-a+b/c=","b":"hidden","c":1}', "application/json")
        )
      )
      assert.deepInclude(last(engine), {
        path: "/things",
        query: { $top: "5", access_token: "<redacted>", $filter: "<redacted>" },
        body: '{"a":"<redacted>","b":"<redacted>","c":1}'
      })
      assert.deepInclude(last(engine)?.headers, {
        accept: "application/vnd.bentley.itwin-platform.v2+json",
        authorization: "Bearer <redacted>",
        cookie: "<redacted>",
        "x-api-key": "<redacted>"
      })
    })
  )

  it.effect("shows the first 16,384 characters of a body, and no part of a secret at their end", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      const before = "a".repeat(16_380)
      yield* send(engine, "POST", "/things", HttpClientRequest.bodyText(`${before}hidden${before}`, "text/plain"))
      assert.strictEqual(last(engine)?.body, `${before}<red`)
    })
  )

  it.effect("keeps the newest entries of the journal, and counts all requests", () =>
    Effect.gen(function* () {
      const engine = yield* make(3)
      for (const id of [1, 2, 3, 4, 5]) yield* send(engine, "GET", `/things/${id}`)
      assert.deepStrictEqual(
        engine.journal.entries().map(({ number, path }) => [number, path]),
        [
          [3, "/things/3"],
          [4, "/things/4"],
          [5, "/things/5"]
        ]
      )
      assert.strictEqual(engine.journal.dropped(), 2)
      assert.strictEqual(engine.count("GET /things/:id"), 5)
      assert.strictEqual((yield* engine.arrival("GET /things/:id", 4)).path, "/things/4")
      const exit = yield* Effect.exit(engine.arrival("GET /things/:id", 2))
      assert.isTrue(Exit.hasDies(exit))
    })
  )

  it.effect("returns a request as soon as it arrives", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      engine.script("GET /things/:id").add([Fault.always(Fault.hang)])
      const waiting = yield* Effect.forkChild(engine.arrival("GET /things/:id", 2))
      yield* Effect.forkChild(send(engine, "GET", "/things/1"))
      yield* Effect.forkChild(send(engine, "GET", "/things/2"))
      assert.deepInclude(yield* Fiber.join(waiting), { path: "/things/2", concurrency: 2 })
      assert.strictEqual(engine.maxConcurrent(), 2)
    })
  )
})

describe("script", () => {
  it.effect("applies no step to a request that the gate of its route refuses", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      let open = false
      engine.add({
        host,
        method: "GET",
        paths: ["/gated"],
        gate: () => (open ? undefined : HttpServerResponse.empty({ status: 401 })),
        serve: () => HttpServerResponse.empty({ status: 200 })
      })
      engine.script("GET /gated").add([Fault.once(Fault.respond({ status: 503 }))])
      assert.strictEqual((yield* send(engine, "GET", "/gated")).status, 401)
      open = true
      assert.strictEqual((yield* send(engine, "GET", "/gated")).status, 503)
      assert.deepInclude(last(engine), { fault: "Respond", outcome: "fault", status: 503 })
      assert.strictEqual((yield* send(engine, "GET", "/gated")).status, 200)
    })
  )

  it.effect("rejects steps that make no sense and says where they are wrong", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      const script = engine.script("POST /things")
      for (const [step, where] of [
        [Fault.once(Fault.respond({ status: 9999 })), /fault\.status/],
        [Fault.times(Fault.hang, -3), /times/],
        [Fault.times(Fault.hang, 0), /times/],
        [Fault.after(Fault.once(Fault.hang), -1), /after/],
        [Fault.once(Fault.delay("-1 second")), /fault\.duration/],
        [Fault.forDuration(Fault.hang, "Infinity"), /forDuration/],
        [
          Fault.once(Fault.respond({ status: 200, headers: { "a b": "c" } })),
          /fault.headers\["a b"\]: Expected the name/
        ],
        [Fault.once(Fault.respond({ status: 200, headers: { a: "b\r\nc: d" } })), /fault\.headers\.a/],
        [Fault.once(Fault.chaos("a", [0, "none"])), /fault\.weights/]
      ] as const) {
        assert.throws(() => script.add([step]), where)
      }
      assert.deepStrictEqual(script.unused(), [])
    })
  )

  it.effect("applies random faults in the same order for the same seed, in proportion to their weights", () =>
    Effect.gen(function* () {
      const outcomes = (seed: string) =>
        Effect.gen(function* () {
          const engine = yield* make()
          const chaos = Fault.chaos(seed, [8, "none"], [2, Fault.respond({ status: 503 })])
          engine.script("GET /things/:id").add([Fault.always(chaos)])
          return yield* Effect.forEach(Array.from({ length: 500 }), () =>
            Effect.map(send(engine, "GET", "/things/1"), ({ status }) => status)
          )
        })
      const first = yield* outcomes("one")
      assert.deepStrictEqual(yield* outcomes("one"), first)
      assert.notDeepEqual(yield* outcomes("two"), first)
      const failed = first.filter((status) => status === 503).length
      assert.isAbove(failed, 60)
      assert.isBelow(failed, 140)
    })
  )

  it.effect("leaves an answer that is not a JSON object as it is when fields are to be changed", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      const bodies = ["not JSON", "[1]", "7"]
      const contentType = "application/json"
      engine.add({
        host,
        method: "GET",
        paths: ["/bodies/:n"],
        serve: ({ params }) => HttpServerResponse.text(bodies[Number(params.n)] ?? "", { contentType })
      })
      engine.script("GET /bodies/:n").add([Fault.always(Fault.fields({ a: 1 }))])
      for (const [n, expected] of bodies.entries()) {
        const { body } = yield* send(engine, "GET", `/bodies/${n}`)
        assert.strictEqual(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "", expected)
      }
    })
  )

  it.effect("sends a body one byte at a time", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      engine.script("GET /things/all").add([Fault.once(Fault.dribble("1 second"))])
      const { body } = yield* send(engine, "GET", "/things/all")
      assert(body._tag === "Stream")
      const chunks: Array<number> = []
      const reading = yield* Effect.forkChild(
        Stream.runForEach(body.stream, (chunk) => Effect.sync(() => void chunks.push(chunk.byteLength)))
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(chunks, [1, 1])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reading)
      assert.deepStrictEqual(chunks, [1, 1, 1])
    })
  )

  it.effect("breaks off in the middle of a body with bytes that are not HTTP", () =>
    Effect.gen(function* () {
      const engine = yield* make()
      engine.script("GET /things/all").add([Fault.once(Fault.garbage)])
      const { body } = yield* send(engine, "GET", "/things/all")
      assert(body._tag === "Stream")
      const error = yield* Effect.flip(Stream.runDrain(body.stream))
      assert.deepInclude(error, { _tag: "ConnectionBroken", how: "garbage" })
    })
  )
})
