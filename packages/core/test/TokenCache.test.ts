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
import { Context, Duration, Effect, Exit, Fiber, Layer, Redacted, Schema, Scope } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { credentials, json, type Step, scripted, tokenAnswer } from "./support.ts"

const cached = (options?: TokenCache.Options) =>
  TokenCache.layerWith(options ?? {}).pipe(Layer.provideMerge(FakeIms.layerTest()))

const requests = Effect.flatMap(FakeIms.FakeIms, (fake) => Effect.map(fake.tokenRequests, (list) => list.length))
const get = (scopes?: Scopes.Scopes) => Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get(scopes))

/** A cache over a scripted client; time passes only as the test says. */
const over = (script: ReturnType<typeof scripted>, options: TokenCache.Options = {}) =>
  TokenCache.layerWith(options).pipe(
    Layer.provide([script.layer, SecretProvider.layerStatic(credentials), RetryPolicy.layer(RetryPolicy.none)])
  )

const slow = (duration: Duration.Input, ...steps: ReadonlyArray<Step>) => {
  const script = scripted(...steps)
  const client = HttpClient.transform(script.client, (effect) => Effect.delay(effect, duration))
  return { ...script, client, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

describe("TokenCache", () => {
  it.effect("asks once, serves a thousand from memory, and asks once again when the life is over", () =>
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

  it.effect("makes one request for 1,000 concurrent first callers, and all get its token", () =>
    Effect.gen(function* () {
      const tokens = yield* Effect.all(
        Array.from({ length: 1000 }, () => get()),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(tokens).size, 1)
      assert.strictEqual(yield* requests, 1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("shares a failure among those who wait, and keeps it for nobody", () => {
    const script = slow("1 second", json({}, { status: 500 }), tokenAnswer())
    return Effect.gen(function* () {
      const fibers = yield* Effect.all(Array.from({ length: 10 }, () => Effect.forkChild(Effect.flip(get()))))
      yield* TestClock.adjust("1 second")
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "ServerError")
      assert.strictEqual(script.requests.length, 1)
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).tokenType, "Bearer")
      assert.strictEqual(script.requests.length, 2)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("lets the flight run on when all its callers have left, and keeps its token", () => {
    const script = slow("2 seconds", tokenAnswer())
    return Effect.gen(function* () {
      const impatient = Effect.timeoutOption(get(), "1 second")
      const fibers = yield* Effect.all([Effect.forkChild(impatient), Effect.forkChild(impatient)])
      yield* TestClock.adjust("1 second")
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "None")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* get()).tokenType, "Bearer")
      assert.strictEqual(script.requests.length, 1)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("does not let an interrupted first caller harm the second", () => {
    const script = slow("2 seconds", tokenAnswer())
    return Effect.gen(function* () {
      const first = yield* Effect.forkChild(get())
      yield* TestClock.adjust("1 second")
      const second = yield* Effect.forkChild(get())
      yield* Effect.yieldNow
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(second)).tokenType, "Bearer")
      assert.strictEqual(script.requests.length, 1)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("never mixes two scope sets, and finds the same set in any spelling", () =>
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

  it.effect("asks for the scopes of its options by default", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(get())
      assert.deepInclude(error.reason, { _tag: "InvalidScope", scopes: "users:read" })
      assert.include(error.message, "users:read")
    }).pipe(Effect.provide(cached({ scopes: Scopes.make("users:read") })))
  )

  it.effect("refresh asks although there is a token, and joins a flight in progress", () => {
    const script = slow("1 second", tokenAnswer())
    return Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const first = yield* Effect.forkChild(cache.get())
      const joined = yield* Effect.forkChild(cache.refresh())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(first), yield* Fiber.join(joined))
      const refreshed = yield* Effect.forkChild(cache.refresh())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(refreshed), yield* cache.get())
      assert.strictEqual(script.requests.length, 2)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("invalidate forgets that token, and no newer one", () =>
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

  it.effect("hands a token without life to those who wait for it, and does not keep it", () => {
    const script = scripted(tokenAnswer({ expires_in: 0 }))
    return Effect.gen(function* () {
      const tokens = yield* Effect.all([get(), get(), get()], { concurrency: "unbounded" })
      assert.strictEqual(new Set(tokens).size, 1)
      assert.strictEqual(script.requests.length, 1)
      yield* get()
      assert.strictEqual(script.requests.length, 2)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("asks again when the clock stands before the token's birth", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(10_000_000)
      yield* get()
      yield* TestClock.setTime(5_000_000)
      yield* get()
      assert.strictEqual(yield* requests, 2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("keeps at most maxKeys tokens: the least recently used goes", () => {
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

  it.effect("fails with Closed when its layer closes amid a flight, and afterwards", () => {
    const script = scripted(() => Effect.never)
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(over(script), scope)
      const cache = Context.get(context, TokenCache.TokenCache)
      const waiting = yield* Effect.forkChild(Effect.flip(cache.get()))
      yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "Closed")
      assert.strictEqual((yield* Effect.flip(cache.get())).reason._tag, "Closed")
    })
  })

  it.effect("tells why the secret could not be read, without asking IMS", () => {
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

  it.effect("uses nothing that a caller of get provides", () =>
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

  it.effect("gives three tenants at once three tokens, if each has a layer of its own", () =>
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
  it.effect("shows its value nowhere and cannot be encoded", () =>
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
