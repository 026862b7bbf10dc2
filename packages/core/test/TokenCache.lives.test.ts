// Rule 5: short lives, and clocks that jump.
import { assert, describe, it } from "@effect/vitest"
import { TokenCache } from "@effect-itwin/core"
import { Fault } from "@effect-itwin/testing"
import { DateTime, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  assertRequests,
  cached,
  clear,
  down,
  get,
  hard,
  invalidClient,
  reasonOf,
  refresh,
  script,
  soft
} from "./cacheSupport.ts"

const at = (moment: number) => TestClock.setTime(moment * 1000)

describe("short lives", () => {
  it.effect("a token that lives shorter than its flight goes to all who wait, and is not kept", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.delay("4 seconds")))
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(get()))
      yield* TestClock.adjust("4 seconds")
      const tokens = yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(new Set(tokens).size, 1)
      yield* assertRequests(1)
      assert.isUndefined((yield* TokenCache.TokenCache).peekUnsafe())
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached({}, { app: { name: "Short", tokenLife: "3 seconds" } })))
  )

  it.effect("a token without life leaves an older valid one where it is", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.once(Fault.fields({ expires_in: 0 })))
      const dead = yield* refresh()
      assert.notStrictEqual(dead, old)
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("a token of 10 s serves for 9 s, and its status says so", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const token = yield* get()
      yield* at(7)
      assert.strictEqual(yield* get(), token)
      assert.strictEqual((yield* cache.status)[0]?.state, "fresh")
      yield* script(Fault.always(down))
      yield* at(8.5)
      assert.strictEqual(yield* get(), token)
      assert.strictEqual((yield* cache.status)[0]?.state, "stale")
      yield* at(9)
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
      assert.strictEqual((yield* cache.status)[0]?.state, "empty")
    }).pipe(Effect.provide(cached({}, { app: { name: "Short", tokenLife: "10 seconds" } })))
  )

  it.effect("the life counts from the moment before the request was sent", () =>
    Effect.gen(function* () {
      yield* at(1000)
      yield* script(Fault.once(Fault.delay("3 seconds")))
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("3 seconds")
      const token = yield* Fiber.join(fiber)
      assert.strictEqual(DateTime.toEpochMillis(token.issuedAt), 1_000_000)
      assert.strictEqual(DateTime.toEpochMillis(token.expiresAt), 4_600_000)
      yield* at(1000 + hard)
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )
})

describe("clocks", () => {
  it.effect("a machine that slept past expiry asks before it hands out anything", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* TestClock.setTime(30 * 24 * 3600 * 1000)
      assert.notStrictEqual(yield* get(), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("a clock set back before the token's birth counts as past hard: ask, and else the old token", () =>
    Effect.gen(function* () {
      yield* at(10_000)
      const old = yield* get()
      yield* at(9_999)
      yield* script(Fault.always(down))
      assert.isUndefined((yield* TokenCache.TokenCache).peekUnsafe())
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
      yield* clear
      assert.notStrictEqual(yield* get(), old)
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached()))
  )

  it.effect.each<readonly [string, Fault.Fault]>([
    ["a refusal", invalidClient],
    ["a cooling", Fault.rateLimit(60)]
  ])("a clock set back by a day does not stretch %s by a day", ([_name, fault]) =>
    Effect.gen(function* () {
      yield* at(200_000)
      yield* script(Fault.once(fault))
      yield* Effect.flip(get())
      yield* Effect.flip(get())
      yield* assertRequests(1)
      yield* at(100_000)
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("a clock set back does not stretch the quiet after a failed renewal", () =>
    Effect.gen(function* () {
      yield* get()
      yield* at(soft + 100)
      yield* script(Fault.once(down))
      yield* get()
      yield* at(soft + 10)
      yield* get()
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached()))
  )
})
