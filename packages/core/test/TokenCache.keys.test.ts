// One token for each scope set, up to a limit.
import { assert, describe, it } from "@effect/vitest"
import { Scopes, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { assertRequests, cached, get, reasonOf, script, times } from "./cacheSupport.ts"
import { credentials, scripted, tokenAnswer } from "./support.ts"

describe("keys", () => {
  const app = { name: "Scopes", scopes: ["a", "b"] }
  it.effect("requests two tokens at the same time when two callers ask for two keys", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.delay("3 seconds")), Fault.once(Fault.delay("1 second")))
      const a = yield* Effect.forkChild(get(Scopes.make("a")))
      const b = yield* Effect.forkChild(get(Scopes.make("b")))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(a)).requestedScopes, Scopes.make("a"))
      assert.strictEqual((yield* Fiber.join(b)).requestedScopes, Scopes.make("b"))
      assert.deepStrictEqual(yield* times, [0, 0])
      const fake = yield* FakeIms.FakeIms
      assert.deepStrictEqual(
        (yield* fake.tokenRequests).map(({ form }) => form.scope),
        ["a", "b"]
      )
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect("keeps the tokens of other keys when a token is invalidated", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const [a, b] = [yield* cache.get(Scopes.make("a")), yield* cache.get(Scopes.make("b"))]
      yield* cache.invalidate(a)
      assert.strictEqual(yield* cache.get(Scopes.make("b")), b)
      assert.notStrictEqual(yield* cache.get(Scopes.make("a")), a)
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect("keeps 1,000 tokens by default, and drops the least recently used one", () => {
    const ims = scripted(tokenAnswer())
    return Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const key = (i: number) => Scopes.make(`s${i}`)
      for (let i = 0; i <= 1100; i++) {
        yield* TestClock.adjust("1 millis")
        yield* get(key(i))
        yield* get(key(0))
      }
      assert.strictEqual(ims.requests.length, 1101)
      assert.isDefined(cache.peekUnsafe(key(0)))
      assert.isUndefined(cache.peekUnsafe(key(1)))
      const kept = Array.from({ length: 1101 }, (_, i) => cache.peekUnsafe(key(i))).filter(Boolean)
      assert.strictEqual(kept.length, 1000)
    }).pipe(Effect.provide(TokenCache.layer.pipe(Layer.provide([ims.layer, SecretProvider.layerStatic(credentials)]))))
  })

  it.effect("counts peekUnsafe as a use of the token", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const [a, b] = [Scopes.make("a"), Scopes.make("b")]
      yield* cache.get(a)
      yield* TestClock.adjust("1 second")
      yield* cache.get(b)
      yield* TestClock.adjust("1 second")
      assert.isDefined(cache.peekUnsafe(a))
      yield* TestClock.adjust("1 second")
      yield* cache.get(Scopes.make("a b"))
      assert.isDefined(cache.peekUnsafe(a))
      assert.isUndefined(cache.peekUnsafe(b))
    }).pipe(Effect.provide(cached({ maxKeys: 2 }, { app })))
  )

  it.effect("forgets a failed key after about two minutes when others fail", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      for (let i = 0; i < 50; i++) {
        yield* reasonOf(get(Scopes.make(`s${i}`)))
        yield* TestClock.adjust("10 seconds")
      }
      assert.isAtMost((yield* cache.status).length, 15)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("keeps the newest token when the wall clock was set back and the cache is full", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(3_600_000)
      yield* get(Scopes.make("a"))
      yield* TestClock.setTime(0)
      yield* get(Scopes.make("b"))
      yield* get(Scopes.make("b"))
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached({ maxKeys: 1 }, { app })))
  )
})
