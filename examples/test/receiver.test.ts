import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { ITwin, Scopes, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms, FakeImsServer, Fault } from "@effect-itwin/testing"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import {
  FetchHttpClient,
  HttpClient,
  HttpClientRequest,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { TestClock } from "effect/testing"
import { Routes, Verifier } from "../receiver/server.ts"
import { start } from "./spawn.ts"

const clientId = "service-Caller"

/** The routes, and a caller that has a token of the fake. */
const App = Routes.pipe(Layer.provide(Verifier)).pipe(
  Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ CLIENT_IDS: `service-Other, ${clientId}` })))
)

const Platform = (scopes = ["itwin-platform"], id = clientId) =>
  ITwin.layerWith({ scopes: Scopes.make(scopes.join(" ")) }).pipe(
    Layer.provideMerge(FakeIms.layerTest({ algorithm: "RS256", app: { name: "Caller", clientId: id, scopes } }))
  )

const makeSend = Effect.map(
  HttpRouter.toHttpEffect(App),
  (handler) => (request: HttpClientRequest.HttpClientRequest) =>
    Effect.map(
      Effect.provideService(handler, HttpServerRequest.HttpServerRequest, HttpServerRequest.fromClientRequest(request)),
      HttpServerResponse.toClientResponse
    )
)

const withToken = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.map(
    Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get()),
    ({ value }) => HttpClientRequest.bearerToken(request, value)
  )

const get = HttpClientRequest.get("http://receiver.test/whoami")
const post = HttpClientRequest.post("http://receiver.test/reports")

describe("examples/receiver", () => {
  it.effect("returns who calls when the token is valid", () =>
    Effect.gen(function* () {
      const send = yield* makeSend
      const response = yield* send(yield* withToken(get))
      assert.strictEqual(response.status, 200)
      assert.deepStrictEqual(yield* response.json, { clientId, kind: "service", scopes: ["itwin-platform"] })
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("returns 403 when the token lacks the scope of the route, and 201 when it has it", () =>
    Effect.gen(function* () {
      const send = yield* makeSend
      assert.strictEqual((yield* send(yield* withToken(post))).status, 403)
    }).pipe(
      Effect.scoped,
      Effect.provide(Platform()),
      Effect.andThen(
        Effect.gen(function* () {
          const send = yield* makeSend
          assert.strictEqual((yield* send(yield* withToken(post))).status, 201)
        }).pipe(Effect.scoped, Effect.provide(Platform(["itwins:modify"])))
      )
    )
  )

  it.effect("returns 401 when another app calls, when there is no token, and when the token has expired", () =>
    Effect.gen(function* () {
      const send = yield* makeSend
      assert.strictEqual((yield* send(get)).status, 401)
      const request = yield* withToken(get)
      assert.strictEqual((yield* send(request)).status, 200)
      yield* TestClock.adjust("61 minutes")
      assert.strictEqual((yield* send(request)).status, 401)
    }).pipe(
      Effect.scoped,
      Effect.provide(Platform()),
      Effect.andThen(
        Effect.gen(function* () {
          const send = yield* makeSend
          assert.strictEqual((yield* send(yield* withToken(get))).status, 401)
        }).pipe(Effect.scoped, Effect.provide(Platform(["itwin-platform"], "service-Stranger")))
      )
    )
  )

  it.effect("returns 503 while the keys can't be read, and 200 afterwards", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("GET /.well-known/openid-configuration/jwks", Fault.once(Fault.html(503, "Maintenance")))
      const send = yield* makeSend
      const request = yield* withToken(get)
      const response = yield* send(request)
      assert.strictEqual(response.status, 503)
      assert.strictEqual(response.headers["retry-after"], "1")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* send(request)).status, 200)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.live("accepts a caller as a process, with a token of the fake on a socket", () =>
    Effect.gen(function* () {
      const { environment, registerApp } = yield* FakeIms.FakeIms
      const { credentials } = yield* registerApp({ name: "Caller" })
      const { url } = yield* start([fileURLToPath(new URL("../receiver/main.ts", import.meta.url))], {
        PORT: "0",
        CLIENT_IDS: credentials.clientId,
        ITWIN_TOKEN_ENDPOINT: environment.tokenEndpoint,
        ITWIN_API_URL: environment.apiBaseUrl
      })
      const token = yield* Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get()).pipe(
        Effect.provide(ITwin.layer.pipe(Layer.provide(SecretProvider.layerStatic(credentials))))
      )
      const request = HttpClientRequest.get(`${url}/whoami`)
      const accepted = yield* HttpClient.execute(HttpClientRequest.bearerToken(request, token.value))
      assert.strictEqual(accepted.status, 200)
      assert.include(yield* accepted.text, credentials.clientId)
      const rejected = yield* HttpClient.execute(HttpClientRequest.bearerToken(request, Redacted.make("fake-token")))
      assert.strictEqual(rejected.status, 401)
      assert.match(rejected.headers["www-authenticate"] ?? "", /error="invalid_token"/)
    }).pipe(Effect.scoped, Effect.provide(FakeImsServer.layer().pipe(Layer.provideMerge(FetchHttpClient.layer))))
  )
})
