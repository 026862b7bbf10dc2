// The provider, the HTTP client and the server may never end, and must not affect the cache.
import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Scopes, SecretProvider, TokenCache, TokenRequest } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { get } from "./cacheSupport.ts"
import { credentials, scripted } from "./support.ts"

const uninterruptible = Effect.uninterruptible(Effect.never)

/** A body that never arrives, and whose cancellation never ends. */
const stuck = () => new Response(new ReadableStream({ cancel: () => new Promise<void>(() => undefined) }))

describe("providers and clients that never end", () => {
  it.effect.each<readonly [string, string, Layer.Layer<SecretProvider.SecretProvider | HttpClient.HttpClient>]>([
    [
      "a provider that can't be interrupted",
      "SecretUnavailable",
      Layer.merge(Layer.succeed(SecretProvider.SecretProvider, { credentials: uninterruptible }), scripted().layer)
    ],
    [
      "a client that can't be interrupted",
      "Timeout",
      Layer.merge(
        SecretProvider.layerStatic(credentials),
        Layer.succeed(
          HttpClient.HttpClient,
          HttpClient.make(() => uninterruptible)
        )
      )
    ],
    [
      "a body whose cancellation never ends",
      "Timeout",
      Layer.merge(
        SecretProvider.layerStatic(credentials),
        Layer.succeed(
          HttpClient.HttpClient,
          HttpClient.make((request) => Effect.sync(() => HttpClientResponse.fromWeb(request, stuck())))
        )
      )
    ]
  ])("ends a request at its limit, and closes, with %s", ([_name, reason, dependencies]) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const layer = TokenCache.layerWith({}).pipe(Layer.provide([dependencies, RetryPolicy.layer(RetryPolicy.none)]))
      const cache = Context.get(yield* Layer.buildWithScope(layer, scope), TokenCache.TokenCache)
      const first = yield* Effect.forkChild(Effect.flip(cache.get()))
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* Fiber.join(first)).reason._tag, reason)
      yield* TestClock.adjust("1.2 seconds")
      const second = yield* Effect.forkChild(Effect.flip(cache.refresh()))
      yield* TestClock.adjust("1 second")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(second)).reason._tag, "Closed")
    })
  )
})

it.effect("ends a single request at its limits when the cancellation of its body never ends", () =>
  Effect.gen(function* () {
    const asked = TokenRequest.send({ credentials, scopes: Scopes.itwinPlatform }).pipe(
      Effect.provide([scripted(stuck).layer, RetryPolicy.layer(RetryPolicy.none)])
    )
    const fiber = yield* Effect.forkChild(Effect.flip(asked))
    yield* TestClock.adjust("5 seconds")
    assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "Timeout")
  })
)

describe("the given client", () => {
  it.effect("does not give the client's fetch options to the client of the secret provider", () => {
    const calls: Array<readonly [string, string | undefined, string | undefined]> = []
    const fetching = (name: string) =>
      Layer.fresh(FetchHttpClient.layer).pipe(
        Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { referrer: name })),
        Layer.provide(
          Layer.succeed(FetchHttpClient.Fetch, (_url, init) => {
            calls.push([name, init?.referrer, init?.redirect])
            return Promise.resolve(
              Response.json({ access_token: "fake.token", token_type: "Bearer", expires_in: 3600 })
            )
          })
        )
      )
    const provider = Layer.effect(
      SecretProvider.SecretProvider,
      Effect.map(HttpClient.HttpClient, (client) => ({
        credentials: Effect.as(Effect.orDie(client.get("https://vault.example/")), credentials)
      }))
    ).pipe(Layer.provide(fetching("vault")))
    return Effect.gen(function* () {
      yield* get()
      assert.deepStrictEqual(calls, [
        ["vault", "vault", undefined],
        ["ims", "ims", "manual"]
      ])
    }).pipe(Effect.provide(TokenCache.layerWith({}).pipe(Layer.provide([provider, fetching("ims")]))))
  })

  it.effect("calls the given client once for each request", () => {
    let passes = 0
    const counted = Layer.effect(
      HttpClient.HttpClient,
      Effect.map(
        HttpClient.HttpClient,
        HttpClient.transformResponse((effect) =>
          Effect.andThen(
            Effect.sync(() => passes++),
            effect
          )
        )
      )
    )
    return Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const cache = yield* TokenCache.make()
      passes = 0
      for (let i = 0; i < 3; i++) yield* cache.refresh()
      yield* fake.assertTokenRequests(3)
      assert.strictEqual(passes, 3)
    }).pipe(Effect.scoped, Effect.provide(counted.pipe(Layer.provideMerge(FakeIms.layerTest()))))
  })

  it.effect("cancels the body when the given client followed a redirect", () => {
    let isCancelled = false
    const body = new ReadableStream({
      cancel: () => {
        isCancelled = true
      }
    })
    const redirected = () =>
      Object.defineProperty(new Response(body), "url", { value: "https://elsewhere.example/connect/token" })
    return Effect.gen(function* () {
      const asked = TokenRequest.send({ credentials, scopes: Scopes.itwinPlatform })
      const error = yield* Effect.flip(asked.pipe(Effect.provide(scripted(redirected).layer)))
      assert.strictEqual(error.reason._tag, "RedirectRefused")
      assert.isTrue(isCancelled)
    })
  })
})
