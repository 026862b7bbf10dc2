// Rule 3: two thresholds. Before soft, between soft and hard, after hard.
import { assert, describe, it } from "@effect/vitest"
import { TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import {
  assertRequests,
  cached,
  down,
  get,
  hard,
  invalidClient,
  last,
  reasonOf,
  script,
  seconds,
  soft,
  times
} from "./cacheSupport.ts"

const at = (moment: number) => TestClock.setTime(moment * 1000)

describe("before soft", () => {
  it.effect("the token comes from memory, up to the last moment, and nobody is asked", () =>
    Effect.gen(function* () {
      const token = yield* get()
      yield* at(soft - 0.001)
      for (let i = 0; i < 100; i++) assert.strictEqual(yield* get(), token)
      assert.strictEqual((yield* TokenCache.TokenCache).peekUnsafe(), token)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("begins a random part of up to 10 % of the life earlier, and not for two tokens alike", () =>
    Effect.gen(function* () {
      const moments: Array<number> = []
      for (let i = 0; i < 20; i++) {
        const born = yield* seconds
        const cache = yield* TokenCache.make()
        yield* cache.get()
        while (cache.peekUnsafe() !== undefined) yield* TestClock.adjust("1 second")
        moments.push((yield* seconds) - born)
      }
      for (const moment of moments) {
        assert.isAtLeast(moment, soft - 360)
        assert.isAtMost(moment, soft)
      }
      assert.isAbove(new Set(moments).size, 10)
      assert.isAbove(Math.max(...moments) - Math.min(...moments), 180)
    }).pipe(Effect.scoped, Random.withSeed("jitter"), Effect.provide(FakeIms.layerTest()))
  )
})

describe("between soft and hard", () => {
  it.effect("a thousand callers get the old token at once, and one request is made beside them", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.once(Fault.delay("2 seconds")))
      yield* at(soft)
      const tokens = yield* Effect.all(
        Array.from({ length: 1000 }, () => get()),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual([...new Set(tokens)], [old])
      assert.strictEqual(yield* seconds, soft)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* get(), old)
      yield* TestClock.adjust("1 second")
      assert.notStrictEqual(yield* get(), old)
      assert.deepStrictEqual(yield* times, [0, soft])
    }).pipe(Effect.provide(cached()))
  )

  it.effect("nothing is renewed that nobody asks for", () =>
    Effect.gen(function* () {
      yield* get()
      yield* at(hard - 1)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("the token is not there for code that can't wait", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      yield* get()
      yield* at(soft)
      assert.isUndefined(cache.peekUnsafe())
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )
})

describe("after hard", () => {
  it.effect("callers wait for the new token", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.once(Fault.delay("2 seconds")))
      yield* at(hard)
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.notStrictEqual(yield* Fiber.join(fiber), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("a renewal in progress is joined, not doubled", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.once(Fault.delay("4 seconds")))
      yield* at(hard - 1)
      assert.strictEqual(yield* get(), old)
      yield* at(hard)
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("3 seconds")
      assert.notStrictEqual(yield* Fiber.join(fiber), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect.each<readonly [string, Fault.Fault]>([
    ["500", down],
    ["503 with Retry-After", Fault.rateLimit(60, 503)],
    ["429", Fault.rateLimit()],
    ["a lost connection", Fault.reset],
    ["silence", Fault.hang]
  ])("the old token serves after all if IMS answers %s", ([_name, fault]) =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.always(fault))
      yield* at(hard)
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("the old token serves until 5 s before it expires, and no longer", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.always(down))
      yield* at(last - 0.001)
      assert.strictEqual(yield* get(), old)
      yield* at(last)
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
    }).pipe(Effect.provide(cached()))
  )

  it.effect("the old token does not serve a failure that came too late for it", () =>
    Effect.gen(function* () {
      yield* get()
      yield* script(Fault.always(Fault.hang))
      yield* at(last - 1)
      const fiber = yield* Effect.forkChild(reasonOf(get()))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "Timeout")
    }).pipe(Effect.provide(cached()))
  )

  it.effect("the old token does not serve once it was invalidated, not even amid the flight", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const old = yield* get()
      yield* script(Fault.once(Fault.hang), Fault.always(down))
      yield* at(hard)
      const fiber = yield* Effect.forkChild(reasonOf(get()))
      yield* TestClock.adjust("1 second")
      yield* cache.invalidate(old)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "Timeout")
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
    }).pipe(Effect.provide(cached()))
  )

  it.effect("the old token does not serve a failure that lasts", () =>
    Effect.gen(function* () {
      yield* get()
      yield* script(Fault.always(invalidClient))
      yield* at(hard)
      assert.strictEqual(yield* reasonOf(get()), "InvalidClient")
      assert.strictEqual(yield* reasonOf(get()), "InvalidClient")
    }).pipe(Effect.provide(cached()))
  )

  it.effect("the old token serves while the cache cools down, without a request", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.always(Fault.rateLimit(600)))
      yield* at(hard)
      assert.strictEqual(yield* get(), old)
      for (let i = 0; i < 10; i++) assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
      yield* at(last)
      assert.strictEqual(yield* reasonOf(get()), "RateLimited")
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )
})
