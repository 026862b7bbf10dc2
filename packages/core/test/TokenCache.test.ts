import { assert, describe, it } from "@effect/vitest"
import {
  AccessToken,
  Environment,
  RetryPolicy,
  Scopes,
  SecretProvider,
  SecretProviderError,
  TokenCache
} from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Context, Duration, Effect, Exit, Layer, Redacted, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { credentials, scripted, tokenAnswer } from "./support.ts"

const cached = (options?: TokenCache.Options) =>
  TokenCache.layerWith(options ?? {}).pipe(Layer.provideMerge(FakeIms.layerTest()))

const requests = Effect.flatMap(FakeIms.FakeIms, (fake) => Effect.map(fake.tokenRequests, (list) => list.length))
const get = (scopes?: Scopes.Scopes) => Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get(scopes))

/** A cache over a scripted client, in virtual time. */
const over = (script: ReturnType<typeof scripted>, options: TokenCache.Options = {}) =>
  TokenCache.layerWith(options).pipe(
    Layer.provide([script.layer, SecretProvider.layerStatic(credentials), RetryPolicy.layer(RetryPolicy.none)])
  )

describe("TokenCache", () => {
  it.effect("makes one request for a thousand calls, and one more when the token is late", () =>
    Effect.gen(function* () {
      const first = yield* get()
      for (let i = 0; i < 1000; i++) assert.strictEqual(yield* get(), first)
      assert.strictEqual(yield* requests, 1)
      yield* TestClock.adjust("58 minutes")
      assert.strictEqual(yield* get(), first)
      yield* TestClock.adjust("1 minute")
      const second = yield* get()
      assert.notStrictEqual(Redacted.value(second.value), Redacted.value(first.value))
      for (let i = 0; i < 1000; i++) assert.strictEqual(yield* get(), second)
      assert.strictEqual(yield* requests, 2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("returns the token of one request to 1,000 concurrent first callers", () =>
    Effect.gen(function* () {
      const tokens = yield* Effect.all(
        Array.from({ length: 1000 }, () => get()),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(tokens).size, 1)
      assert.strictEqual(yield* requests, 1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("returns a token for each scope set, and the same one for each spelling of a set", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const app = yield* fake.registerApp({ name: "Two scopes", scopes: ["a", "b"] })
      const cache = yield* TokenCache.make().pipe(
        Effect.provideService(SecretProvider.SecretProvider, { credentials: Effect.succeed(app.credentials) })
      )
      const [a, b, both, again] = yield* Effect.all(
        ["a", "b", "a b", "b a"].map((scopes) => cache.get(Scopes.make(scopes))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(a?.requestedScopes, Scopes.make("a"))
      assert.strictEqual(b?.requestedScopes, Scopes.make("b"))
      assert.strictEqual(both, again)
      assert.strictEqual(yield* requests, 3)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.effect("requests the scopes of its options by default", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(get())
      assert.deepInclude(error.reason, { _tag: "InvalidScope", scopes: "users:read" })
      assert.include(error.message, "users:read")
    }).pipe(Effect.provide(cached({ scopes: Scopes.make("users:read") })))
  )

  it.effect("requests a new token when the current one was invalidated, and not when an older one was", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const old = yield* cache.get()
      yield* TestClock.adjust("1 second")
      yield* cache.invalidate(old)
      const current = yield* cache.get()
      yield* cache.invalidate(old)
      assert.strictEqual(yield* cache.get(), current)
      assert.strictEqual(yield* requests, 2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("drops the least recently used token when there are more than maxKeys", () => {
    const script = scripted(tokenAnswer())
    return Effect.gen(function* () {
      for (const scopes of ["a", "b", "a", "c", "a"]) {
        yield* TestClock.adjust("1 second")
        yield* get(Scopes.make(scopes))
      }
      assert.strictEqual(script.requests.length, 3)
      yield* get(Scopes.make("b"))
      assert.strictEqual(script.requests.length, 4)
    }).pipe(Effect.provide(over(script, { maxKeys: 2 })))
  })

  it.effect("fails with the reason of the provider, without a request, when the secret can't be read", () => {
    const script = scripted(tokenAnswer())
    const provider = Layer.succeed(SecretProvider.SecretProvider, {
      credentials: Effect.fail(
        new SecretProviderError.SecretProviderError({
          reason: new SecretProviderError.Disabled({ provider: "Vault", secretName: "itwin-secret" })
        })
      )
    })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(get())
      assert.strictEqual(error.reason._tag, "SecretUnavailable")
      assert.include(error.message, "itwin-secret is disabled")
      assert.isFalse(error.isRetryable)
      assert.strictEqual(script.requests.length, 0)
    }).pipe(Effect.provide(TokenCache.layer.pipe(Layer.provide([script.layer, provider]))))
  })

  it.effect("uses no service that a caller of get provides", () =>
    Effect.gen(function* () {
      const evil = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response("evil", { status: 500 })))
      )
      const token = yield* get().pipe(
        Effect.provideService(HttpClient.HttpClient, evil),
        Effect.provideService(FetchHttpClient.RequestInit, { headers: { "x-evil": "1" } }),
        Effect.provideService(FetchHttpClient.Fetch, () => Promise.reject(new Error("evil"))),
        Effect.provideService(Environment.Environment, Environment.qa),
        Effect.provideService(RetryPolicy.RetryPolicy, RetryPolicy.make({ totalTimeout: Duration.millis(1) })),
        Effect.provideService(SecretProvider.SecretProvider, { credentials: Effect.die("evil") })
      )
      assert.strictEqual(token.tokenType, "Bearer")
      assert.strictEqual(yield* requests, 1)
      assert.deepStrictEqual((yield* TokenCache.TokenCache).environment, Environment.production)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("returns three tokens at once when three tenants each have their own layer", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const clients = yield* Effect.forEach(
        ["One", "Two", "Three"],
        Effect.fnUntraced(function* (name) {
          const app = yield* fake.registerApp({ name })
          const context = yield* Layer.build(
            TokenCache.layerWith({}).pipe(Layer.provide(SecretProvider.layerStatic(app.credentials)))
          )
          const token = yield* Context.get(context, TokenCache.TokenCache).get()
          return [token.clientId, app.credentials.clientId]
        }),
        { concurrency: "unbounded" }
      )
      for (const [used, own] of clients) assert.strictEqual(used, own)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )
})

describe("AccessToken", () => {
  it.effect("shows no token value when an AccessToken is printed, and fails to encode it", () =>
    Effect.gen(function* () {
      const token = yield* get()
      const value = Redacted.value(token.value)
      for (const text of [
        String(token),
        JSON.stringify(token),
        JSON.stringify({ ...token }),
        `${token.authorizationHeader}`
      ]) {
        assert.notInclude(text, value)
      }
      const encode = Schema.encodeUnknownEffect(AccessToken.AccessToken)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(encode(token))))
    }).pipe(Effect.provide(cached()))
  )
})
