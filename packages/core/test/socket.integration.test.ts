// What only a real connection shows: redirects that fetch would follow, connections that break, answers that stall.
import type { ServerResponse } from "node:http"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Environment, ITwin, ITwinHttpClient, RetryPolicy, SecretProvider, TokenCache } from "@effect-itwin/core"
import { Duration, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { listen, token } from "./server.ts"
import { credentials } from "./support.ts"

const layerFor = (
  url: string,
  client: typeof FetchHttpClient.layer,
  environment = Environment.custom({ tokenEndpoint: `${url}/connect/token`, apiBaseUrl: url })
) =>
  ITwin.layerWith({}).pipe(
    Layer.provide([
      client,
      SecretProvider.layerStatic(credentials),
      RetryPolicy.layer(RetryPolicy.make({ attempts: 1, attemptTimeout: Duration.millis(500) })),
      Environment.layer(environment)
    ])
  )

const getToken = Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get())

describe.each([
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layerNodeHttp]
])("over %s", (_name, client) => {
  it.live("a redirect of the token request is refused, and the secret goes nowhere", () =>
    Effect.gen(function* () {
      for (const status of [301, 302, 303, 307, 308]) {
        const other = yield* listen((_request, response) => token(response))
        const ims = yield* listen((_request, response) => {
          response.writeHead(status, { location: `${other.url}/connect/token` }).end()
        })
        const error = yield* Effect.flip(Effect.provide(getToken, layerFor(ims.url, client)))
        assert.deepInclude(error.reason, { _tag: "RedirectRefused", followed: false })
        assert.strictEqual(other.requests.length, 0)
        assert.strictEqual(ims.requests.length, 1)
      }
    })
  )

  it.live("an API redirect to another origin loses the token", () =>
    Effect.gen(function* () {
      const other = yield* listen((_request, response) => response.end("file"))
      const ims = yield* listen((request, response) =>
        request.method === "POST" ? token(response) : response.writeHead(302, { location: `${other.url}/file` }).end()
      )
      const response = yield* Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (api) => api.get("/storage")).pipe(
        Effect.provide(layerFor(ims.url, client))
      )
      assert.strictEqual(ims.requests[1]?.authorization, "Bearer fake.token")
      assert.strictEqual(yield* response.text, "file")
      assert.deepStrictEqual(
        other.requests.map((request) => request.authorization),
        [undefined]
      )
    })
  )

  it.live("an endpoint is the same however its URL is written", () =>
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
    ["a connection lost before the answer", (response) => response.socket?.destroy(), "Transport"],
    [
      "a connection lost amid the body",
      (response) => {
        response.writeHead(200, { "content-length": "100" }).write('{"access_token":')
        setTimeout(() => response.socket?.destroy(), 20)
      },
      "Transport"
    ],
    [
      "a whole answer in two parts",
      (response) => {
        response.write('{"access_token":"fake.to')
        setTimeout(() => response.end('ken","token_type":"Bearer"}'), 20)
      },
      "ok"
    ],
    ["an empty body", (response) => response.end(), "InvalidResponse"],
    ["a body far too large", (response) => response.end("x".repeat(300 * 1024)), "ResponseTooLarge"]
  ])("%s", ([_name, answer, outcome]) =>
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
