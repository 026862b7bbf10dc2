import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import {
  Environment,
  ITwin,
  ITwinApiError,
  ITwinHttpClient,
  Scopes,
  SecretProvider,
  TokenCache,
  Users
} from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Cause, DateTime, Duration, Effect, Layer, Stream, Tracer } from "effect"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { credentials, json, type Step, scripted, tokenAnswer } from "./support.ts"

const token = "fake.token"

/** A client over a script that answers the token request first. */
const over = (script: ReturnType<typeof scripted>, options: ITwinHttpClient.Options = {}) =>
  ITwin.layerWith(options).pipe(Layer.provide([script.layer, SecretProvider.layerStatic(credentials)]))

const answering = (...steps: ReadonlyArray<Step>) => scripted(tokenAnswer(), ...steps)

const get = (url: string) => Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (client) => client.get(url))

describe("ITwinHttpClient", () => {
  it.effect.each(["/users/me", "users/me", "https://api.bentley.com/users/me"])(
    "sends %s to the API, with the token",
    (url) => {
      const script = answering(json({}))
      return Effect.gen(function* () {
        yield* get(url)
        assert.strictEqual(script.requests[1]?.url, "https://api.bentley.com/users/me")
        assert.strictEqual(script.requests[1]?.headers.authorization, `Bearer ${token}`)
      }).pipe(Effect.provide(over(script)))
    }
  )

  it.effect.each([
    "https://api.bentley.com.evil.example/x",
    "https://evil.example/https://api.bentley.com",
    "http://api.bentley.com/x",
    "https://api.bentley.com:8443/x",
    "https://api.bentley.com@evil.example/x",
    "HTTPS://EVIL.example/x",
    "data:text/plain,x",
    "file:///etc/passwd"
  ])("refuses %s before a byte is sent", (url) => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(get(url))
      assert.strictEqual(error._tag, "TokenError")
      assert.strictEqual(error.reason._tag, "OriginRefused")
      assert.include(error.message, "https://api.bentley.com")
      assert.strictEqual(script.requests.length, 0)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("keeps what looks like another host inside the API's", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      yield* get("//evil.example/x")
      assert.strictEqual(new URL(script.requests[1]?.url ?? "").origin, "https://api.bentley.com")
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("sends the token to the origins the user lists", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      yield* get("https://files.example.com/a")
      assert.strictEqual(script.requests[1]?.headers.authorization, `Bearer ${token}`)
    }).pipe(Effect.provide(over(script, { origins: ["https://files.example.com"] })))
  })

  it.effect("does not let a mapRequest on top, or on the given client, move the token", () =>
    Effect.gen(function* () {
      const move = HttpClient.mapRequest((request: HttpClientRequest.HttpClientRequest) =>
        request.url.includes("connect/token") ? request : HttpClientRequest.setUrl(request, "https://evil.example/x")
      )
      const script = answering(json({}))
      const above = yield* ITwinHttpClient.ITwinHttpClient.pipe(
        Effect.flatMap((client) => Effect.flip(move(client).get("/users/me"))),
        Effect.provide(over(script))
      )
      const below = yield* Effect.flip(get("/users/me")).pipe(
        Effect.provide(
          ITwin.layer.pipe(
            Layer.provide([
              Layer.succeed(HttpClient.HttpClient, move(script.client)),
              SecretProvider.layerStatic(credentials)
            ])
          )
        )
      )
      for (const error of [above, below]) assert.strictEqual(error.reason._tag, "OriginRefused")
      assert.strictEqual(script.requests.filter((request) => request.url.includes("evil")).length, 0)
    })
  )

  it.effect("shows the token in no response and no error, not even to a debugger", () => {
    const dead: Step = () =>
      Effect.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({
            request: HttpClientRequest.bearerToken(HttpClientRequest.get("https://api.bentley.com/x"), token),
            cause: Object.assign(new Error(`sent Bearer ${token}`), { code: "ECONNRESET" })
          })
        })
      )
    const broken = () =>
      new Response(new ReadableStream({ pull: (controller) => controller.error(new Error(`Bearer ${token}`)) }))
    const script = answering(
      json({ a: 1 }),
      json({}, { status: 403 }),
      () => new Response("{"),
      dead,
      broken,
      tokenAnswer(),
      json({}, { status: 403 })
    )
    return Effect.gen(function* () {
      const client = yield* ITwinHttpClient.ITwinHttpClient
      const response = yield* client.get("/x")
      assert.isUndefined(response.request.headers.authorization)
      assert.deepStrictEqual(yield* response.json, { a: 1 })
      const status = yield* Effect.flip(HttpClient.filterStatusOk(client).get("/x"))
      const decode = yield* client.get("/x").pipe(
        Effect.flatMap((response) => response.json),
        Effect.flip
      )
      const transport = yield* Effect.flip(client.get("/x"))
      assert.include(transport.message, "ECONNRESET")
      const stream = yield* client.get("/x").pipe(
        Effect.flatMap((response) => Stream.runDrain(response.stream)),
        Effect.flip
      )
      assert.isTrue(stream._tag === "HttpClientError" && stream.request.headers.authorization === undefined)
      const given = yield* Effect.flip(
        Effect.provide(
          get("/x"),
          ITwin.layerWith({}).pipe(
            Layer.provide([
              Layer.succeed(
                HttpClient.HttpClient,
                HttpClient.transform(script.client, (effect, request) =>
                  request.url.includes("token") ? effect : Effect.flatMap(effect, HttpClientResponse.filterStatusOk)
                )
              ),
              SecretProvider.layerStatic(credentials)
            ])
          )
        )
      )
      assert.strictEqual(given.reason._tag, "StatusCodeError")
      for (const thing of [response, status, decode, transport, stream, given]) {
        for (const text of [
          inspect(thing, { showHidden: true, depth: 20 }),
          inspect(thing, { customInspect: false, depth: 20 }),
          inspect(thing, { customInspect: false, showHidden: true, depth: 20 }),
          JSON.stringify(thing),
          String(thing),
          Cause.pretty(Cause.fail(thing))
        ]) {
          assert.notInclude(text, token)
        }
      }
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("gives text, bytes and stream of a response as the given client does", () => {
    const script = answering(json({ a: 1 }))
    return Effect.gen(function* () {
      const client = yield* ITwinHttpClient.ITwinHttpClient
      assert.strictEqual(yield* Effect.flatMap(client.get("/x"), (response) => response.text), '{"a":1}')
      const bytes = yield* Effect.flatMap(client.get("/x"), (response) => response.arrayBuffer)
      assert.strictEqual(bytes.byteLength, 7)
      const response = yield* client.get("/x")
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-type"], "application/json")
      assert.strictEqual(
        yield* HttpClientResponse.schemaBodyJson(Users.User)(response).pipe(
          Effect.flip,
          Effect.map((e) => e._tag)
        ),
        "SchemaError"
      )
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("goes by the transport of its build, whatever a caller provides", () => {
    const calls: Array<string> = []
    const fetch =
      (name: string): typeof globalThis.fetch =>
      (url, init) => {
        calls.push(`${name} ${new Headers(init?.headers).get("x-init") ?? "-"}`)
        return Promise.resolve(
          String(url).includes("connect/token")
            ? Response.json({ access_token: token, token_type: "Bearer" })
            : Response.json({})
        )
      }
    return Effect.gen(function* () {
      yield* get("/x").pipe(
        Effect.provideService(FetchHttpClient.Fetch, fetch("evil")),
        Effect.provideService(FetchHttpClient.RequestInit, { headers: { "x-init": "evil" } })
      )
      assert.deepStrictEqual(calls, ["build build", "build build"])
    }).pipe(
      Effect.provide(
        ITwin.layer.pipe(
          Layer.provide([FetchHttpClient.layer, SecretProvider.layerStatic(credentials)]),
          Layer.provide([
            Layer.succeed(FetchHttpClient.Fetch, fetch("build")),
            Layer.succeed(FetchHttpClient.RequestInit, { headers: { "x-init": "build" } })
          ])
        )
      )
    )
  })

  it.effect("gives API calls a client span and trace headers, and the token request none of either", () => {
    const script = answering(json({}, { status: 503 }))
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span(options) {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.gen(function* () {
      yield* get("/x?a=b")
      const [ims, api] = script.requests
      assert.isUndefined(ims?.headers.traceparent)
      assert.isString(api?.headers.traceparent)
      const span = spans.find((span) => span.kind === "client")
      assert.strictEqual(span?.name, "GET")
      assert.strictEqual(span?.attributes.get("http.response.status_code"), 503)
      assert.strictEqual(spans.filter((span) => span.kind === "client").length, 1)
    }).pipe(Effect.provide(over(script)), Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("keeps fetch and its options when they were given to FetchHttpClient.layer alone", () => {
    const calls: Array<unknown> = []
    const fetch: typeof globalThis.fetch = (url, init) => {
      calls.push([init?.cache, init?.redirect])
      return Promise.resolve(
        Response.json(String(url).includes("token") ? { access_token: token, token_type: "Bearer" } : {})
      )
    }
    const client = FetchHttpClient.layer.pipe(
      Layer.provide([
        Layer.succeed(FetchHttpClient.Fetch, fetch),
        Layer.succeed(FetchHttpClient.RequestInit, { cache: "no-store" })
      ])
    )
    return Effect.gen(function* () {
      yield* get("/x").pipe(Effect.provideService(FetchHttpClient.RequestInit, { cache: "reload" }))
      assert.deepStrictEqual(calls, [
        ["no-store", "manual"],
        ["no-store", "manual"]
      ])
    }).pipe(Effect.provide(ITwin.layerWith({}).pipe(Layer.provide([client, SecretProvider.layerStatic(credentials)]))))
  })

  it.effect("turns a defect of the given client into a failure that holds nothing of it", () => {
    const script = answering(() => Effect.die(new Error(`cannot send Bearer ${token}`)))
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(get("/x"))
      assert.include(String(exit), "failed with a defect")
      assert.notInclude(inspect(exit, { showHidden: true, depth: 20 }), token)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("turns a defect amid a body into a failure that holds nothing of it", () => {
    const script = answering(json({}))
    const defect = new Error(`Bearer ${token}`)
    const text = { get: () => Effect.die(defect) }
    const stream = { get: () => Stream.die(defect) }
    const dying = HttpClient.transformResponse(
      script.client,
      Effect.map((response) =>
        response.request.url.includes("connect/token") ? response : Object.create(response, { text, stream })
      )
    )
    return Effect.gen(function* () {
      const response = yield* get("/x")
      for (const read of [response.text, Stream.runDrain(response.stream), ITwinApiError.fromResponse(response)]) {
        const exit = yield* Effect.exit(read)
        assert.include(String(exit), "failed with a defect")
        assert.notInclude(inspect(exit, { showHidden: true, depth: 20 }), token)
      }
    }).pipe(
      Effect.provide(
        ITwin.layerWith({}).pipe(
          Layer.provide([Layer.succeed(HttpClient.HttpClient, dying), SecretProvider.layerStatic(credentials)])
        )
      )
    )
  })

  it.effect("sends no Host that a caller sets", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      const api = yield* ITwinHttpClient.ITwinHttpClient
      yield* api.get("/x", { headers: { host: "evil.example" } })
      assert.isUndefined(script.requests[1]?.headers.host)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([
    "http://files.example.com",
    "files.example.com",
    "localhost:3000",
    "https://files.example.com/a",
    "data:"
  ])("is not built with %s as an origin", (origin) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.provide(get("/x"), over(answering(json({})), { origins: [origin] })))
      assert.include(String(exit), "Expected")
    })
  )

  it.effect("refuses a blob: of an allowed origin", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(get("blob:https://api.bentley.com/0-1"))
      assert.strictEqual(error.reason._tag, "OriginRefused")
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("asks for the scopes of its options", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      yield* get("/x")
      const body = script.requests[0]?.body
      assert.include(body?._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "", "scope=users%3Aread")
    }).pipe(Effect.provide(over(script, { scopes: Scopes.make("users:read") })))
  })

  it.effect("uses the API of its cache's environment, not one provided to it alone", () => {
    const script = answering(json({}))
    const cache = TokenCache.layer.pipe(Layer.provide(SecretProvider.layerStatic(credentials)))
    return Effect.gen(function* () {
      yield* get("/x")
      assert.strictEqual(script.requests[1]?.url, "https://api.bentley.com/x")
    }).pipe(
      Effect.provide(
        ITwinHttpClient.layerWith({}).pipe(
          Layer.provide(Environment.layer(Environment.qa)),
          Layer.provide(cache),
          Layer.provide(script.layer)
        )
      )
    )
  })

  it.effect("fails with the TokenError when there is no token", () => {
    const script = scripted(json({ error: "invalid_client" }, { status: 401 }))
    return Effect.gen(function* () {
      const tag = yield* get("/x").pipe(
        Effect.catchReason("TokenError", "InvalidClient", (reason) => Effect.succeed(reason._tag))
      )
      assert.strictEqual(tag, "InvalidClient")
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("uses the API of the cache's environment", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      yield* get("/x")
      assert.deepStrictEqual(
        script.requests.map((request) => request.url),
        [Environment.qa.tokenEndpoint, `${Environment.qa.apiBaseUrl}/x`]
      )
    }).pipe(Effect.provide(over(script).pipe(Layer.provide(Environment.layer(Environment.qa)))))
  })
})

describe("Users.me", () => {
  it.effect("says who the app is, with what is null left out", () =>
    Effect.gen(function* () {
      const me = yield* Users.me
      const { clientEmail } = yield* (yield* SecretProvider.SecretProvider).credentials
      assert.strictEqual(me.givenName, "Quick Start")
      assert.strictEqual(me.email, clientEmail)
      assert.notProperty(me, "phone")
      assert.isTrue(DateTime.isDateTime(me.createdDateTime))
    }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest({ app: { name: "Quick Start" } })))))
  )

  it.effect("reads seven fractional digits, and needs nothing but the id", () => {
    const script = answering(
      json({ user: { id: "1", createdDateTime: "2021-08-27T10:19:07.2510000Z", unknown: 1 } }),
      json({ user: { id: "2" } })
    )
    return Effect.gen(function* () {
      const first = yield* Users.me
      assert.strictEqual(first.createdDateTime?.pipe(DateTime.formatIso), "2021-08-27T10:19:07.251Z")
      assert.deepStrictEqual({ ...(yield* Users.me) }, { id: "2" })
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each<readonly [number, unknown, string, string]>([
    [
      401,
      { error: { code: "Unauthorized", message: "Bad token.", details: [{ code: "UnknownClient" }] } },
      "Unauthorized",
      "Bad token."
    ],
    [401, { statusCode: 401, message: "Invalid JWT." }, "Unauthorized", "Invalid JWT."],
    [403, { error: { code: "InsufficientPermissions", message: "No." } }, "Forbidden", "InsufficientPermissions"],
    [404, { error: { code: "iTwinNotFound", message: "Gone." } }, "NotFound", "iTwinNotFound"],
    [
      422,
      { error: { code: "InvalidX", message: "x", details: [{ code: "A", message: "b", target: null }] } },
      "Unprocessable",
      "InvalidX"
    ],
    [429, { error: { code: "TooManyRequests", message: "Slow." } }, "RateLimited", "TooManyRequests"],
    [500, "<html>", "Unavailable", "status 500"],
    [418, {}, "Unexpected", "status 418"],
    [200, { user: {} }, "Unexpected", "id"],
    [200, "", "Unexpected", "status 200"],
    [204, "", "Unexpected", "status 204"]
  ])("turns status %d with %j into %s", ([status, body, tag, text]) => {
    const script = answering(
      () =>
        new Response(status === 204 ? null : typeof body === "string" ? body : JSON.stringify(body), {
          status,
          headers: { "x-correlation-id": "abc-1", "retry-after": "9" }
        })
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Users.me)
      assert.instanceOf(error, ITwinApiError.ITwinApiError)
      assert.strictEqual(error.reason._tag, tag)
      assert.include(error.message, text)
      assert.include(error.message, "GET https://api.bentley.com/users/me")
      assert.strictEqual(error.correlationId, "abc-1")
      if (error.reason._tag === "RateLimited") {
        assert.deepStrictEqual(error.reason.retryAfter, Duration.seconds(9))
      }
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("quotes of an answer neither the token, nor control characters, nor all of it", () => {
    const said = `Invalid JWT: ${token}\u001b[31m ${"x".repeat(9999)}`
    const headers = { "x-correlation-id": `${token}${"y".repeat(999)}` }
    const script = answering(
      json({ statusCode: 401, message: said }, { status: 401, headers }),
      json(
        { error: { code: said, message: said, details: [{ code: said, message: said, target: said }] } },
        { status: 422, headers }
      )
    )
    return Effect.gen(function* () {
      for (const error of [yield* Effect.flip(Users.me), yield* Effect.flip(Users.me)]) {
        assert.include(error.message, "Invalid JWT: <redacted>?[31m x")
        for (const text of [error.message, JSON.stringify(error)]) {
          assert.notInclude(text, token)
          assert.isBelow(text.length, 4000)
        }
      }
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("goes by the status where the body is too long, and leaves the rest of it unread", () => {
    let bytes = 0
    let cancelled = 0
    const said = new TextEncoder().encode('{"error":{"code":"x","message":"y"}}'.padEnd(1024))
    const tooLong = () =>
      new Response(
        new ReadableStream({
          pull: (controller) => {
            bytes += said.length
            controller.enqueue(said)
            if (bytes === 1024 * 1024) controller.close()
          },
          cancel: () => {
            cancelled++
          }
        }),
        { status: 404 }
      )
    return Effect.gen(function* () {
      const bare = HttpClientResponse.fromWeb(HttpClientRequest.get("https://api.bentley.com/users/me"), tooLong())
      for (const failing of [Users.me, ITwinApiError.fromResponse(bare)]) {
        bytes = 0
        const error = yield* Effect.flip(failing)
        assert.instanceOf(error, ITwinApiError.ITwinApiError)
        assert.strictEqual(error.reason._tag, "NotFound")
        assert.isUndefined(error.reason.code)
        assert.isBelow(bytes, 300 * 1024)
      }
      assert.strictEqual(cancelled, 2)
    }).pipe(Effect.provide(over(answering(tooLong))))
  })

  it.effect("quotes an answer that was read before, such as for a log", () => {
    const body = { error: { code: "Quoted", message: "y" } }
    return Effect.gen(function* () {
      const answer = Response.json(body, { status: 404 })
      const bare = HttpClientResponse.fromWeb(HttpClientRequest.get("https://api.bentley.com/x"), answer)
      for (const response of [yield* get("/x"), bare]) {
        yield* response.text
        const error = yield* Effect.flip(ITwinApiError.fromResponse(response))
        assert.include(error.message, "Quoted")
      }
    }).pipe(Effect.provide(over(answering(json(body, { status: 404 })))))
  })

  it.effect("does not fail on a date that can't be read, and keeps no query in an error", () => {
    const script = answering(json({ user: { id: "1", createdDateTime: "" } }), json({}, { status: 404 }))
    return Effect.gen(function* () {
      assert.deepStrictEqual({ ...(yield* Users.me) }, { id: "1" })
      const api = yield* ITwinHttpClient.ITwinHttpClient
      const error = yield* api.get("/x?token=y").pipe(Effect.flatMap(ITwinApiError.fromResponse), Effect.flip)
      assert.include(error.message, "GET https://api.bentley.com/x,")
    }).pipe(Effect.provide(over(script)))
  })
})
