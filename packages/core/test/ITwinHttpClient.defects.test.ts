// What an API call shows when the program's HttpClient throws, and what its span contains.
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinApiError, ITwinHttpClient, SecretProvider, TokenError } from "@effect-itwin/core"
import { Cause, Effect, Exit, Layer, Option, Stream, Tracer } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { Otlp } from "effect/observability"
import { credentials, json, type Step, scripted, tokenAnswer } from "./support.ts"

const token = "fake-secret-token-Ab+Cd/Ef=="

const answering = (...steps: ReadonlyArray<Step>) => scripted(tokenAnswer({ access_token: token }), ...steps)

const over = (client: HttpClient.HttpClient) =>
  ITwin.layerWith({}).pipe(
    Layer.provide([Layer.succeed(HttpClient.HttpClient, client), SecretProvider.layerStatic(credentials)])
  )

const get = Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (client) => client.get("/x"))

const isTokenRequest = (request: HttpClientRequest.HttpClientRequest) => request.url.includes("connect/token")

/** Returns every string of a value that a program can print. */
const printed = (value: unknown): string =>
  [
    inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true }),
    inspect(value, { depth: 30, showHidden: true, customInspect: false }),
    JSON.stringify(value, (_key, value) => (typeof value === "bigint" ? String(value) : value)),
    String(value),
    Exit.isExit(value) && Exit.isFailure(value) ? Cause.pretty(value.cause) : ""
  ].join("\n")

class Broken extends Error {
  readonly request: HttpClientRequest.HttpClientRequest
  constructor(request: HttpClientRequest.HttpClientRequest) {
    super(`cannot send ${JSON.stringify({ ...request.headers })}`)
    this.request = request
  }
}

/** Clients that throw or die with the request that contains the token, each in another way. */
const breaking: ReadonlyArray<readonly [string, string, (client: HttpClient.HttpClient) => HttpClient.HttpClient]> = [
  [
    "dies with the request",
    "Broken",
    (client) =>
      HttpClient.transform(client, (effect, request) =>
        isTokenRequest(request) ? effect : Effect.die(new Broken(request))
      )
  ],
  [
    "throws in its transformation of a request",
    "Broken",
    HttpClient.mapRequestInput((request) => {
      if (isTokenRequest(request)) return request
      throw new Broken(HttpClientRequest.bearerToken(request, token))
    })
  ],
  [
    "throws before it returns an effect",
    "Error",
    (client) =>
      HttpClient.makeWith(
        (request: Effect.Effect<HttpClientRequest.HttpClientRequest, HttpClientError.HttpClientError>) => {
          const seen = Effect.runSync(Effect.exit(request))
          const isToken = Exit.isFailure(seen) || isTokenRequest(seen.value)
          if (isToken) return client.postprocess(request)
          throw new Error(JSON.stringify(seen.value.headers) + token)
        },
        Effect.succeed
      )
  ],
  [
    "fails and dies at once",
    "Broken",
    (client) =>
      HttpClient.transform(client, (effect, request) =>
        isTokenRequest(request)
          ? effect
          : Effect.failCause(
              Cause.combine(
                Cause.fail(
                  new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request }) })
                ),
                Cause.die(new Broken(request))
              )
            )
      )
  ],
  [
    "interrupts itself",
    "Interrupt",
    (client) => HttpClient.transform(client, (effect, request) => (isTokenRequest(request) ? effect : Effect.interrupt))
  ],
  [
    "returns a response that throws",
    "Error",
    (client) =>
      HttpClient.transform(client, (effect, request) =>
        isTokenRequest(request)
          ? effect
          : Effect.map(effect, (response) =>
              Object.create(response, {
                status: {
                  get: () => {
                    throw new Error(token)
                  }
                }
              })
            )
      )
  ]
]

/** Records the spans of a program, with their exits. */
const makeTracer = () => {
  const spans: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const exits = () =>
    spans
      .filter((span) => span.kind === "client")
      .map(({ status }) => (status._tag === "Ended" ? status.exit : undefined))
  return { spans, tracer, exits }
}

describe("a given HttpClient", () => {
  it.effect.each(breaking)(
    "fails the API call with a Defect that shows nothing when the given client %s",
    ([_how, errorName, wrap]) => {
      const { exits, spans, tracer } = makeTracer()
      return Effect.gen(function* () {
        for (const _ of [1, 2]) {
          const exit = yield* Effect.exit(get)
          const error = Option.getOrUndefined(Exit.findErrorOption(exit))
          assert.isTrue(TokenError.isTokenError(error))
          assert.deepInclude(error?.reason, { _tag: "Defect", module: "HttpClient", errorName })
          assert.isFalse(TokenError.isTokenError(error) && error.isRetryable)
          for (const text of [printed(exit), printed(spans), printed(exits())]) assert.notInclude(text, token)
        }
      }).pipe(Effect.provide(over(wrap(answering(json({})).client))), Effect.provideService(Tracer.Tracer, tracer))
    }
  )

  it.effect("fails reading a body, and shows nothing, when the body dies with the token", () => {
    const defect = new Error(`Bearer ${token}`)
    const script = answering(json({}))
    const dying = HttpClient.transformResponse(
      script.client,
      Effect.map((response) =>
        isTokenRequest(response.request)
          ? response
          : Object.create(response, { stream: { get: () => Stream.die(defect) } })
      )
    )
    return Effect.gen(function* () {
      const reads = [
        (response: HttpClientResponse.HttpClientResponse) => response.text,
        (response: HttpClientResponse.HttpClientResponse) => response.json,
        (response: HttpClientResponse.HttpClientResponse) => Stream.runDrain(response.stream),
        ITwinApiError.fromResponse
      ]
      for (const read of reads) {
        const exit = yield* Effect.exit(Effect.flatMap(get, read))
        assert.include(String(exit), "This is a bug in the program")
        assert.isFalse(HttpClient.isTransientError(Option.getOrUndefined(Exit.findErrorOption(exit))))
        assert.notInclude(printed(exit), token)
      }
    }).pipe(Effect.provide(over(dying)))
  })

  it.effect("fails the API call without the text of the given client's error when that quotes the token", () => {
    const script = answering(() =>
      Effect.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({
            request: HttpClientRequest.bearerToken(HttpClientRequest.get("https://api.bentley.com/x"), token),
            description: `sent Bearer ${token}`,
            cause: Object.assign(new Error(token), { code: "ECONNRESET" })
          })
        })
      )
    )
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(get)
      assert.include(String(exit), "Transport: ECONNRESET")
      assert.notInclude(printed(exit), token)
    }).pipe(Effect.provide(over(script.client)))
  })

  it.effect("fails without quoting the body when a response is not JSON", () => {
    const script = answering(() => new Response(token))
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.flatMap(get, (response) => response.json))
      assert.include(String(exit), "the body of the response could not be read")
      assert.notInclude(printed(exit), token)
    }).pipe(Effect.provide(over(script.client)))
  })
})

describe("the span of an API call", () => {
  const echo = (status: number) => () => new Response(token, { status, headers: { "x-echo": token } })

  it.effect.each<readonly [string, Step, Readonly<Record<string, unknown>>, Exit.Exit<void, string>]>([
    ["200", echo(200), { "http.response.status_code": 200 }, Exit.void],
    ["403", echo(403), { "http.response.status_code": 403, "error.type": "403" }, Exit.fail("403")],
    ["503", echo(503), { "http.response.status_code": 503, "error.type": "503" }, Exit.fail("503")],
    ["a defect", () => Effect.die(new Error(token)), { "error.type": "Defect" }, Exit.fail("Defect")]
  ])(
    "ends the span with the status or the kind of failure, and nothing else, when the outcome is %s",
    ([_what, step, attributes, end]) => {
      const { exits, spans, tracer } = makeTracer()
      const script = answering(step)
      return Effect.gen(function* () {
        yield* Effect.exit(get)
        assert.deepStrictEqual(exits(), [end])
        const span = spans.find((span) => span.kind === "client")
        assert.strictEqual(span?.name, "GET")
        assert.deepStrictEqual(Object.fromEntries(span?.attributes ?? []), {
          "http.request.method": "GET",
          "url.full": "https://api.bentley.com/x",
          "server.address": "api.bentley.com",
          ...attributes
        })
        assert.notInclude(printed([spans, exits()]), token)
        const [ims, api] = script.requests
        assert.isUndefined(ims?.headers.traceparent)
        assert.isString(api?.headers.traceparent)
      }).pipe(Effect.provide(over(script.client)), Effect.provideService(Tracer.Tracer, tracer))
    }
  )

  it.effect("shows no token when an OTLP exporter sends the span of an API call", () => {
    const bodies: Array<string> = []
    const collector = HttpClient.make((request, _url) =>
      Effect.sync(() => {
        if (request.body._tag === "Uint8Array") bodies.push(new TextDecoder().decode(request.body.body))
        return scripted().client
      }).pipe(Effect.flatMap((client) => client.execute(request)))
    )
    const otlp = Otlp.layerJson({ baseUrl: "http://collector.example", resource: { serviceName: "test" } }).pipe(
      Layer.provide(Layer.succeed(HttpClient.HttpClient, collector))
    )
    return Effect.gen(function* () {
      const statuses = [200, 403, 503]
      const steps = statuses.map(echo)
      const calls = Effect.forEach([...steps, ...breaking], (step) => {
        const client = typeof step === "function" ? answering(step).client : step[2](answering(json({})).client)
        return Effect.exit(get).pipe(Effect.withSpan("caller"), Effect.provide(over(client)))
      })
      yield* Effect.provide(calls, otlp)
      const sent = bodies.join("\n")
      for (const part of ["url.full", "403", "Defect"]) assert.include(sent, part)
      assert.notInclude(sent, token)
      assert.notInclude(sent, "fake-secret")
    })
  })

  it.effect(
    "returns the response when the tracer throws after the API call, and fails with Defect when it throws before",
    () => {
      const script = answering(json({}))
      let when: "span" | "end" = "end"
      const fail = (at: typeof when) => {
        if (at === when) throw new TypeError("no tracer")
      }
      const tracer = Tracer.make({
        span: (options) => {
          if (options.kind === "client") fail("span")
          const span = new Tracer.NativeSpan(options)
          if (options.kind !== "client") return span
          return Object.assign(span, {
            end: () => fail("end")
          })
        }
      })
      return Effect.gen(function* () {
        assert.strictEqual((yield* get).status, 200)
        when = "span"
        const error = yield* Effect.flip(get)
        assert.deepInclude(error.reason, { _tag: "Defect", module: "Tracer", errorName: "TypeError" })
      }).pipe(Effect.provide(over(script.client)), Effect.provideService(Tracer.Tracer, tracer))
    }
  )
})
