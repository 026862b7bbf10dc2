// Rules 2 and 10: what the close of the layer does, and whose child the span of a flight is.
import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Scopes, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Redacted, Scope, Tracer } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { down, hard, invalidClient, route } from "./cacheSupport.ts"

describe("closed", () => {
  const build = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const cache = Context.get(
      yield* Layer.buildWithScope(
        TokenCache.layerWith({}).pipe(Layer.provide(RetryPolicy.layer(RetryPolicy.none))),
        scope
      ),
      TokenCache.TokenCache
    )
    return { cache, close: Scope.close(scope, Exit.void) }
  })
  const assertClosed = (cache: TokenCache.TokenCache["Service"]) =>
    Effect.gen(function* () {
      for (const asked of [cache.get(), cache.refresh(), cache.get(Scopes.make("new"))]) {
        assert.strictEqual((yield* Effect.flip(asked)).reason._tag, "Closed")
      }
      assert.isUndefined(cache.peekUnsafe())
    })

  it.effect("with a token in memory: it is forgotten", () =>
    Effect.gen(function* () {
      const { cache, close } = yield* build
      yield* cache.get()
      yield* close
      yield* assertClosed(cache)
      yield* (yield* FakeIms.FakeIms).assertTokenRequests(1)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("amid a flight: all who wait are told, and nothing goes on", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { cache, close } = yield* build
      yield* fake.script(route, Fault.once(Fault.delay("1 second")))
      const fibers = yield* Effect.forEach([1, 2], () => Effect.forkChild(Effect.flip(cache.get())))
      yield* fake.awaitRequest(route)
      yield* close
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "Closed")
      yield* TestClock.adjust("1 minute")
      yield* assertClosed(cache)
      assert.strictEqual((yield* fake.tokenRequests)[0]?.outcome, "unanswered")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("amid a background renewal: even he who held a token is told afterwards", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { cache, close } = yield* build
      yield* cache.get()
      yield* fake.script(route, Fault.once(Fault.hang))
      yield* TestClock.setTime((hard - 1) * 1000)
      yield* cache.get()
      yield* close
      yield* assertClosed(cache)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each<readonly [string, Fault.Fault]>([
    ["refused", invalidClient],
    ["cooling down", Fault.rateLimit(60)],
    ["failing", down]
  ])("while it is %s: that is no news any more", ([_name, fault]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { cache, close } = yield* build
      yield* fake.script(route, Fault.always(fault))
      yield* Effect.flip(cache.get())
      yield* close
      yield* assertClosed(cache)
      yield* fake.assertTokenRequests(1)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})

describe("the flight's span", () => {
  /** The span above the request that all of these asked for at once. */
  const spanOf = (
    asked: (
      get: TokenCache.TokenCache["Service"]["get"]
    ) => ReadonlyArray<ReturnType<TokenCache.TokenCache["Service"]["get"]>>
  ) =>
    Effect.gen(function* () {
      const seen: Array<Tracer.Span> = []
      const client = yield* HttpClient.HttpClient
      const watched = HttpClient.transform(client, (effect) =>
        Effect.andThen(
          Effect.flatMap(Effect.orDie(Effect.currentSpan), (span) => Effect.sync(() => seen.push(span))),
          effect
        )
      )
      const go = yield* Deferred.make<void>()
      const provider = yield* SecretProvider.SecretProvider
      const cache = yield* TokenCache.make().pipe(
        Effect.provideService(HttpClient.HttpClient, watched),
        Effect.provideService(SecretProvider.SecretProvider, {
          credentials: Effect.andThen(Deferred.await(go), provider.credentials)
        })
      )
      const fibers = yield* Effect.forEach(asked(cache.get), (asking) => Effect.forkChild(asking))
      yield* Effect.yieldNow
      yield* Deferred.succeed(go, undefined)
      yield* Effect.forEach(fibers, Fiber.join)
      let top = seen[0]
      while (top?.parent._tag === "Some" && top.parent.value._tag === "Span") top = top.parent.value
      return top
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  const spans = (callers: ReadonlyArray<string>) =>
    spanOf((get) => callers.map((name) => get().pipe(Effect.withSpan(name))))

  it.effect("is a root with links to all its callers", () =>
    Effect.gen(function* () {
      const top = yield* spans(["one", "two", "three"])
      assert.strictEqual(top?.name, "TokenCache.flight")
      assert.strictEqual(top?.parent._tag, "None")
      assert.deepStrictEqual(
        top?.links.map(({ span }) => (span._tag === "Span" ? span.name : "?")),
        ["one", "two", "three"]
      )
      assert.strictEqual(top?.attributes.get("itwin.auth.cache"), "default")
      assert.strictEqual(top?.attributes.get("itwin.scopes"), "itwin-platform")
    }).pipe(Effect.withSpan("the test"))
  )

  it.effect("is linked to each of them once, and to no more than 128", () =>
    Effect.gen(function* () {
      const often = yield* spanOf((get) => [get(), get(), get()]).pipe(Effect.withSpan("one caller"))
      assert.deepStrictEqual(
        often?.links.map(({ span }) => (span._tag === "Span" ? span.name : "?")),
        ["one caller"]
      )
      const many = yield* spans(Array.from({ length: 200 }, (_, i) => `caller ${i}`))
      assert.strictEqual(many?.links.length, 128)
    })
  )

  it.effect("may break with the program's tracer: the failure is a TokenError all the same", () =>
    Effect.gen(function* () {
      const broken = Tracer.make({
        span: () => {
          throw new Error("exporter broke")
        }
      })
      const cache = yield* TokenCache.make().pipe(Effect.withTracer(broken))
      assert.deepInclude((yield* Effect.flip(cache.get())).reason, { _tag: "Transport", code: "DEFECT" })
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.effect("may refuse its links: those who ask get their token", () =>
    Effect.gen(function* () {
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          span.addLinks = () => {
            throw new Error("links broke")
          }
          return span
        }
      })
      const fake = yield* FakeIms.FakeIms
      const cache = yield* TokenCache.make().pipe(Effect.withTracer(tracer))
      yield* fake.script(route, Fault.once(Fault.delay("1 second")))
      const fibers = yield* Effect.forEach(["one", "two"], (name) =>
        Effect.forkChild(cache.get().pipe(Effect.withSpan(name)), { startImmediately: true })
      )
      yield* fake.awaitRequest(route)
      yield* TestClock.adjust("1 second")
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber)).tokenType, "Bearer")
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.effect("is not needed: with tracing off, tokens come", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.make()
      assert.isNotEmpty(Redacted.value((yield* cache.get()).value))
    }).pipe(Effect.scoped, Effect.withTracerEnabled(false), Effect.provide(FakeIms.layerTest()))
  )
})
