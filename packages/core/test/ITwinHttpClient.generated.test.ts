// The client for generated code: the version of an API, and the plain `HttpClient`.
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinHttpClient, SecretProvider, TokenError } from "@effect-itwin/core"
import { Effect, Layer, Option, Schedule } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { credentials, json, scripted, secret, tokenAnswer, transportError } from "./support.ts"

const over = (script: ReturnType<typeof scripted>) =>
  ITwin.layer.pipe(Layer.provide([script.layer, SecretProvider.layerStatic(credentials)]))

const plain = (script: ReturnType<typeof scripted>) => ITwinHttpClient.layerHttpClient.pipe(Layer.provide(over(script)))

describe("ITwinHttpClient.version", () => {
  it.effect("sets Accept to the version, over the one of the request, for each call", () => {
    const script = scripted(tokenAnswer(), json({}))
    return Effect.gen(function* () {
      const client = yield* ITwinHttpClient.ITwinHttpClient
      yield* ITwinHttpClient.version(2)(client).get("/x", { headers: { accept: "text/plain" } })
      yield* client.pipe(ITwinHttpClient.version(1)).post("/x")
      yield* client.get("/x")
      assert.deepStrictEqual(
        script.requests.slice(1).map(({ headers }) => headers.accept),
        ["application/vnd.bentley.itwin-platform.v2+json", "application/vnd.bentley.itwin-platform.v1+json", undefined]
      )
    }).pipe(Effect.provide(over(script)))
  })

  it.each([0, -1, 1.5, Number.NaN])("throws a RangeError when the version is %d", (n) => {
    assert.throws(() => ITwinHttpClient.version(n), RangeError, "ITwinHttpClient: version")
  })
})

describe("ITwinHttpClient.layerHttpClient", () => {
  it.effect("sends the token with the calls of the plain HttpClient", () => {
    const script = scripted(tokenAnswer(), json({ a: 1 }))
    return Effect.gen(function* () {
      const response = yield* HttpClient.get("/x")
      assert.deepStrictEqual(yield* response.json, { a: 1 })
      assert.isUndefined(response.request.headers.authorization)
      assert.strictEqual(script.requests[1]?.url, "https://api.bentley.com/x")
      assert.strictEqual(script.requests[1]?.headers.authorization, "Bearer fake.token")
    }).pipe(Effect.provide(plain(script)))
  })

  it.effect("fails with an EncodeError that contains the TokenError, and that no retry repeats", () => {
    const script = scripted(json({ error: "invalid_client" }, { status: 401 }))
    return Effect.gen(function* () {
      const client = HttpClient.retryTransient(yield* HttpClient.HttpClient, {
        times: 3,
        schedule: Schedule.recurs(3)
      })
      const error = yield* Effect.flip(client.get("/x"))
      assert.strictEqual(error.reason._tag, "EncodeError")
      assert.strictEqual(script.requests.length, 1)
      const inner = Option.getOrThrow(TokenError.fromHttpClientError(error))
      assert.strictEqual(inner.reason._tag, "InvalidClient")
      assert.include(error.message, inner.message)
      for (const text of [
        error.message,
        JSON.stringify(error),
        inspect(error, { depth: 20, showHidden: true, customInspect: false })
      ]) {
        assert.notInclude(text, secret)
      }
    }).pipe(Effect.provide(plain(script)))
  })

  it.effect("fails with OriginRefused, and sends nothing, when a generated client calls another host", () => {
    const script = scripted(tokenAnswer(), json({}))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(HttpClient.get("https://evil.example/x"))
      const inner = TokenError.fromHttpClientError(error)
      assert.strictEqual(Option.getOrUndefined(inner)?.reason._tag, "OriginRefused")
      assert.strictEqual(script.requests.length, 0)
    }).pipe(Effect.provide(plain(script)))
  })

  it.effect("returns no TokenError for another failure", () =>
    Effect.gen(function* () {
      const request = HttpClientRequest.get("https://api.bentley.com/x")
      const encode = (cause: unknown) =>
        new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request, cause }) })
      const script = scripted(tokenAnswer(), transportError("ECONNRESET"))
      const lost = yield* Effect.flip(Effect.provide(HttpClient.get("/x"), plain(script)))
      if (lost._tag === "ConfigError") return assert.fail(lost.message)
      assert.strictEqual(lost.reason._tag, "TransportError")
      for (const error of [lost, encode(undefined), encode(new Error("x"))]) {
        assert.isTrue(Option.isNone(TokenError.fromHttpClientError(error)))
      }
    })
  )
})
