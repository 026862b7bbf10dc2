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
import { Cause, DateTime, Duration, Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { credentials, json, type Step, scripted, tokenAnswer } from "./support.ts"

const token = "fake.token"

/** A client over a script whose first response is a token. */
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
  ])("fails before a byte is sent when the URL of an API call is %s", (url) => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(get(url))
      assert.strictEqual(error._tag, "TokenError")
      assert.strictEqual(error.reason._tag, "OriginRefused")
      assert.include(error.message, "https://api.bentley.com")
      assert.strictEqual(script.requests.length, 0)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("sends a path to the API when it looks like another host", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      yield* get("//evil.example/x")
      assert.strictEqual(new URL(script.requests[1]?.url ?? "").origin, "https://api.bentley.com")
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("sends the token to another origin when the options list that", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      yield* get("https://files.example.com/a")
      assert.strictEqual(script.requests[1]?.headers.authorization, `Bearer ${token}`)
    }).pipe(Effect.provide(over(script, { origins: ["https://files.example.com"] })))
  })

  it.effect("fails when a mapRequest on the client, or on the given one, moves the request", () =>
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

  it.effect("shows the token in no response and no error when these are inspected in any way", () => {
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
      assert.strictEqual(given._tag === "ConfigError" ? given._tag : given.reason._tag, "StatusCodeError")
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

  it.effect("returns the same text and bytes of a response as the given client", () => {
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

  it.effect("keeps fetch and its options when they are provided to FetchHttpClient.layer only", () => {
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

  it.effect.each([
    "http://files.example.com",
    "files.example.com",
    "localhost:3000",
    "https://files.example.com/a",
    "data:"
  ])("fails to build the client when %s is listed as an origin", (origin) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.provide(get("/x"), over(answering(json({})), { origins: [origin] })))
      assert.include(String(exit), "Expected")
    })
  )

  it.effect("fails an API call when the URL is a blob: of an allowed origin", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(get("blob:https://api.bentley.com/0-1"))
      assert.strictEqual(error.reason._tag, "OriginRefused")
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("requests a token for the scopes that the client's options name", () => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      yield* get("/x")
      const body = script.requests[0]?.body
      assert.include(body?._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "", "scope=users%3Aread")
    }).pipe(Effect.provide(over(script, { scopes: Scopes.make("users:read") })))
  })

  it.effect("uses the API of the cache's environment when another one is provided to the client only", () => {
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

  it.effect("fails an API call with the TokenError when there is no token", () => {
    const script = scripted(json({ error: "invalid_client" }, { status: 401 }))
    return Effect.gen(function* () {
      const tag = yield* get("/x").pipe(
        Effect.catchReason("TokenError", "InvalidClient", (reason) => Effect.succeed(reason._tag))
      )
      assert.strictEqual(tag, "InvalidClient")
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("sends API calls to the API of the cache's environment", () => {
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
  it.effect("returns the app's user without the fields that are null", () =>
    Effect.gen(function* () {
      const me = yield* Users.me
      const { clientEmail } = yield* (yield* SecretProvider.SecretProvider).credentials
      assert.strictEqual(me.givenName, "Quick Start")
      assert.strictEqual(me.email, clientEmail)
      assert.notProperty(me, "phone")
      assert.isTrue(DateTime.isDateTime(me.createdDateTime))
    }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest({ app: { name: "Quick Start" } })))))
  )

  it.effect("returns a user when the response has only an id, and reads seven fractional digits of a date", () => {
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
      "Bad token"
    ],
    [401, { statusCode: 401, message: "Invalid JWT." }, "Unauthorized", "Invalid JWT"],
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
  ])("fails with the reason of the status when the API returns %d with %j: %s", ([status, body, tag, text]) => {
    const script = answering(
      () =>
        new Response(status === 204 ? null : typeof body === "string" ? body : JSON.stringify(body), {
          status,
          headers: { "x-correlation-id": "0123456789abcdef0123456789abcdef", "retry-after": "9" }
        })
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Users.me)
      assert.instanceOf(error, ITwinApiError.ITwinApiError)
      assert.strictEqual(error.reason._tag, tag)
      assert.include(error.message, text)
      assert.include(error.message, "GET https://api.bentley.com/users/me")
      assert.strictEqual(error.correlationId, "0123456789abcdef0123456789abcdef")
      if (error.reason._tag === "RateLimited") {
        assert.deepStrictEqual(error.reason.retryAfter, Duration.seconds(9))
      }
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("quotes neither the token, nor control characters, nor a complete response in an API error", () => {
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
        assert.notInclude(error.message, "\u001b")
        for (const text of [error.message, JSON.stringify(error)]) {
          assert.notInclude(text, token)
          assert.isBelow(text.length, 4000)
        }
      }
    }).pipe(Effect.provide(over(script)))
  })

  it.effect(
    "fails with the reason of the status when the body of an API error is too large, and does not read the rest",
    () => {
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
    }
  )

  it.effect("quotes the response in an API error when its body was read before", () => {
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

  it.effect("returns a user when the date is not readable, and shows no query in an error", () => {
    const script = answering(json({ user: { id: "1", createdDateTime: "" } }), json({}, { status: 404 }))
    return Effect.gen(function* () {
      assert.deepStrictEqual({ ...(yield* Users.me) }, { id: "1" })
      const api = yield* ITwinHttpClient.ITwinHttpClient
      const error = yield* api.get("/x?token=y").pipe(Effect.flatMap(ITwinApiError.fromResponse), Effect.flip)
      assert.include(error.message, "GET https://api.bentley.com/x,")
    }).pipe(Effect.provide(over(script)))
  })
})
