// The span of a shared request is a root span with links to its callers.
import { assert, describe, it } from "@effect/vitest"
import { SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Deferred, Effect, Fiber, Redacted, Tracer } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { route } from "./cacheSupport.ts"

describe("the span of a request", () => {
  /** The span of the request that all of these callers share. */
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

  it.effect("makes a root span with links to all callers of the request", () =>
    Effect.gen(function* () {
      const top = yield* spans(["one", "two", "three"])
      assert.strictEqual(top?.name, "TokenCache.request")
      assert.strictEqual(top?.parent._tag, "None")
      assert.deepStrictEqual(
        top?.links.map(({ span }) => (span._tag === "Span" ? span.name : "?")),
        ["one", "two", "three"]
      )
      assert.strictEqual(top?.attributes.get("itwin.auth.cache"), "default")
      assert.strictEqual(top?.attributes.get("itwin.scopes"), "itwin-platform")
    }).pipe(Effect.withSpan("the test"))
  )

  it.effect("links the span of a request to each caller once, and to at most 128", () =>
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

  it.effect("makes no span for a renewal during a pause", () =>
    Effect.gen(function* () {
      const names: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          names.push(options.name)
          return new Tracer.NativeSpan(options)
        }
      })
      const fake = yield* FakeIms.FakeIms
      const cache = yield* TokenCache.make().pipe(Effect.withTracer(tracer))
      yield* cache.get()
      yield* fake.script(route, Fault.always(Fault.rateLimit(60)))
      yield* Effect.flip(cache.refresh())
      yield* TestClock.setTime(45 * 60_000)
      const count = () => names.filter((name) => name === "TokenCache.request").length
      yield* cache.get()
      yield* Effect.yieldNow
      assert.strictEqual(count(), 3)
      for (let i = 0; i < 10; i++) {
        yield* cache.get()
        yield* cache.isReady
        yield* TestClock.adjust("5 seconds")
      }
      assert.strictEqual(count(), 3)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.effect("returns a token when the span can't take links", () =>
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

  it.effect("returns a token when tracing is off", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.make()
      assert.isNotEmpty(Redacted.value((yield* cache.get()).value))
    }).pipe(Effect.scoped, Effect.withTracerEnabled(false), Effect.provide(FakeIms.layerTest()))
  )
})
