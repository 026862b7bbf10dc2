// What only a real connection shows: redirects that fetch would follow, closed connections, responses that stall.
import type { ServerResponse } from "node:http"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Environment, ITwin, ITwinHttpClient, RetryPolicy, SecretProvider, TokenCache } from "@effect-itwin/core"
import { Deferred, Duration, Effect, Fiber, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { listen, token } from "./server.ts"
import { credentials } from "./support.ts"

const layerFor = (
  url: string,
  client: typeof FetchHttpClient.layer,
  environment = Environment.custom({ tokenEndpoint: `${url}/connect/token`, apiBaseUrl: url }),
  options: ITwinHttpClient.Options = {}
) =>
  ITwin.layerWith(options).pipe(
    Layer.provide([
      client,
      SecretProvider.layerStatic(credentials),
      RetryPolicy.layer(RetryPolicy.make({ attempts: 1, attemptTimeout: Duration.seconds(2) })),
      Environment.layer(environment)
    ])
  )

const getToken = Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get())

/** A client that provides one of fetch's own services to itself, as for a proxy. */
const providing = (provide: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>) =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (client) => HttpClient.transformResponse(client, provide))
  ).pipe(Layer.provide(FetchHttpClient.layer))

describe.each([
  ["fetch", FetchHttpClient.layer],
  [
    "fetch with options of its own",
    providing(Effect.provideService(FetchHttpClient.RequestInit, { keepalive: false }))
  ],
  ["a fetch of its own", providing(Effect.provideService(FetchHttpClient.Fetch, (url, init) => fetch(url, init)))],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layerNodeHttp]
])("over %s", (_name, client) => {
  it.live("fails when the token request is redirected, and does not send the secret there", () =>
    Effect.gen(function* () {
      for (const status of [301, 302, 303, 307, 308]) {
        const other = yield* listen((_request, response) => token(response))
        const ims = yield* listen((_request, response) => {
          response.writeHead(status, { location: `${other.url}/connect/token` }).end()
        })
        const error = yield* Effect.flip(Effect.provide(getToken, layerFor(ims.url, client)))
        assert.deepInclude(error._tag === "ConfigError" ? error : error.reason, {
          _tag: "RedirectRefused",
          followed: false
        })
        assert.strictEqual(other.requests.length, 0)
        assert.strictEqual(ims.requests.length, 1)
      }
    })
  )

  it.live(
    "returns a redirect of an API, and sends nothing further, when it leads to an origin that is not listed",
    () =>
      Effect.gen(function* () {
        for (const status of [301, 302, 303, 307, 308]) {
          const other = yield* listen((_request, response) => response.end("file"))
          const ims = yield* listen((request, response) =>
            request.url === "/connect/token"
              ? token(response)
              : response.writeHead(status, { location: `${other.url}/file` }).end("moved")
          )
          const [answer, text] = yield* Effect.gen(function* () {
            const api = yield* ITwinHttpClient.ITwinHttpClient
            const answer = yield* api.execute(HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post("/x"), { a: 1 }))
            return [answer, yield* answer.text] as const
          }).pipe(Effect.provide(layerFor(ims.url, client)))
          assert.strictEqual(answer.status, status)
          assert.strictEqual(answer.headers.location, `${other.url}/file`)
          assert.strictEqual(text, "moved")
          assert.strictEqual(ims.requests[1]?.authorization, "Bearer fake.token")
          assert.strictEqual(other.requests.length, 0)
        }
      })
  )

  it.live("follows a redirect of an API with token and body when it leads to a listed origin", () =>
    Effect.gen(function* () {
      const other = yield* listen((_request, response) => response.end("file"))
      const ims = yield* listen((request, response) =>
        request.url === "/connect/token"
          ? token(response)
          : response.writeHead(307, { location: `${other.url}/file?a=b%20c` }).end("moved")
      )
      const text = yield* Effect.gen(function* () {
        const api = yield* ITwinHttpClient.ITwinHttpClient
        const answer = yield* api.execute(HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post("/x"), { a: 1 }))
        return yield* answer.text
      }).pipe(Effect.provide(layerFor(ims.url, client, undefined, { origins: [other.url] })))
      assert.strictEqual(text, "file")
      assert.deepStrictEqual(other.requests, [
        { path: "/file?a=b%20c", authorization: "Bearer fake.token", body: '{"a":1}' }
      ])
    })
  )

  it.live("sends the API's own host when a caller sets Host", () =>
    Effect.gen(function* () {
      const hosts: Array<string | undefined> = []
      const ims = yield* listen((request, response) => {
        if (request.url === "/connect/token") return token(response)
        hosts.push(request.headers.host)
        response.end()
      })
      yield* Effect.gen(function* () {
        const api = yield* ITwinHttpClient.ITwinHttpClient
        yield* api.get("/x", { headers: { Host: "evil.example" } })
      }).pipe(
        Effect.provide(
          layerFor(ims.url, client).pipe(
            Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { headers: { host: "evil.example" } }))
          )
        )
      )
      assert.deepStrictEqual(hosts, [new URL(ims.url).host])
    })
  )

  it.live("does not use undici options that a caller provides around an API call", () =>
    Effect.gen(function* () {
      const ims = yield* listen((request, response) =>
        request.url === "/connect/token" ? token(response) : response.end()
      )
      yield* Effect.gen(function* () {
        const api = yield* ITwinHttpClient.ITwinHttpClient
        yield* api.get("/x").pipe(Effect.provideService(NodeHttpClient.UndiciOptions, { query: { evil: "1" } }))
      }).pipe(Effect.provide(layerFor(ims.url, client)))
      assert.deepStrictEqual(
        ims.requests.map(({ path }) => path),
        ["/connect/token", "/x"]
      )
    })
  )

  it.live("closes the connection when the caller of an API is interrupted", () =>
    Effect.gen(function* () {
      const arrived = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const ims = yield* listen((request, response) => {
        if (request.url === "/connect/token") return token(response)
        response.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
        Deferred.doneUnsafe(arrived, Effect.void)
      })
      yield* Effect.gen(function* () {
        const api = yield* ITwinHttpClient.ITwinHttpClient
        const fiber = yield* Effect.forkChild(api.get("/x"))
        yield* Deferred.await(arrived)
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(closed)
      }).pipe(Effect.provide(layerFor(ims.url, client)))
    })
  )

  it.live("fails an API call when the response, or the rest of it, does not arrive in time", () =>
    Effect.gen(function* () {
      const ims = yield* listen((request, response) => {
        if (request.url === "/connect/token") return token(response)
        if (request.url === "/stall") response.writeHead(200).write("a")
      })
      const messages = yield* Effect.gen(function* () {
        const api = yield* ITwinHttpClient.ITwinHttpClient
        const silent = yield* Effect.flip(api.get("/silent"))
        const stalled = yield* Effect.flip(Effect.flatMap(api.get("/stall"), ({ text }) => text))
        return [silent.message, stalled.message]
      }).pipe(Effect.provide(layerFor(ims.url, client, undefined, { timeout: "300 millis" })))
      assert.include(messages[0], "the API sent no response for 300 ms")
      assert.include(messages[1], "the API sent no further part of its response for 300 ms")
    })
  )

  it.live("returns the 401 of an API when its body breaks off", () =>
    Effect.gen(function* () {
      const ims = yield* listen((request, response) => {
        if (request.url === "/connect/token") return token(response)
        response.writeHead(401, { "content-length": "100" }).write('{"error":')
        return setTimeout(() => response.socket?.destroy(), 20)
      })
      const answer = yield* Effect.gen(function* () {
        const api = yield* ITwinHttpClient.ITwinHttpClient
        return yield* api.get("/x")
      }).pipe(Effect.provide(layerFor(ims.url, client)))
      assert.strictEqual(answer.status, 401)
    })
  )

  it.live("requests a token from the same endpoint however its URL is written", () =>
    Effect.gen(function* () {
      const ims = yield* listen((_request, response) => token(response))
      for (const url of [`${ims.url}/`, ims.url.replace("http", "HTTP"), `${ims.url}/o/token/`, `${ims.url}/a/../b`]) {
        const environment = Environment.custom({ tokenEndpoint: url, apiBaseUrl: ims.url })
        const got = yield* getToken.pipe(Effect.provide(layerFor(ims.url, client, environment)))
        assert.strictEqual(got.tokenType, "Bearer")
      }
      assert.deepStrictEqual(
        ims.requests.map((request) => request.path),
        ["/", "/", "/o/token/", "/b"]
      )
    })
  )

  it.live.each<readonly [string, (response: ServerResponse) => void, string]>([
    ["headers that never come", () => {}, "Timeout"],
    ["a body that stalls", (response) => response.writeHead(200).write('{"access_token":'), "Timeout"],
    ["a connection closed before the response", (response) => response.socket?.destroy(), "Transport"],
    [
      "a connection closed within the body",
      (response) => {
        response.writeHead(200, { "content-length": "100" }).write('{"access_token":')
        setTimeout(() => response.socket?.destroy(), 20)
      },
      "Transport"
    ],
    [
      "a complete response in two parts",
      (response) => {
        response.write('{"access_token":"fake.to')
        setTimeout(() => response.end('ken","token_type":"Bearer"}'), 20)
      },
      "ok"
    ],
    ["an empty body", (response) => response.end(), "InvalidResponse"],
    ["a body that is too large", (response) => response.end("x".repeat(300 * 1024)), "ResponseTooLarge"]
  ])("returns a token or a typed error when the response is %s", ([_name, answer, outcome]) =>
    Effect.gen(function* () {
      const ims = yield* listen((_request, response) => answer(response))
      const tag = yield* getToken.pipe(
        Effect.match({ onSuccess: () => "ok", onFailure: (error) => error.reason._tag }),
        Effect.provide(layerFor(ims.url, client))
      )
      assert.strictEqual(tag, outcome)
    })
  )
})
