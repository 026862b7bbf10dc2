// Rule 3 under other options: inline mode, other thresholds, warm-up; and what `status` tells.
import { assert, describe, it } from "@effect/vitest"
import { Scopes, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Cause, Duration, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  assertRequests,
  cached,
  down,
  get,
  invalidClient,
  last,
  reasonOf,
  route,
  script,
  seconds,
  soft
} from "./cacheSupport.ts"

const at = (moment: number) => TestClock.setTime(moment * 1000)

describe("inline", () => {
  it.effect("the caller that finds the token past soft renews it, and nothing runs beside", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* at(soft)
      yield* script(Fault.once(Fault.delay("1 second")))
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.notStrictEqual(yield* Fiber.join(fiber), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached({ refresh: "inline" })))
  )

  it.effect.each<readonly [string, Fault.Fault]>([
    ["passes", down],
    ["lasts", invalidClient]
  ])("falls back to the old token on a failure that %s, and is quiet for 30 s", ([_name, fault]) =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* at(soft)
      yield* script(Fault.always(fault))
      assert.strictEqual(yield* get(), old)
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached({ refresh: "inline" })))
  )

  it.effect("does not fall back to a token that expired while IMS was silent, or was invalidated", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const renew = Effect.gen(function* () {
        yield* TestClock.adjust("16 seconds")
        yield* script(Fault.once(Fault.hang))
        return yield* Effect.forkChild(reasonOf(get()))
      })
      yield* get()
      const late = yield* renew
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(late), "Timeout")
      const token = yield* get()
      const invalidated = yield* renew
      yield* TestClock.adjust("1 second")
      yield* cache.invalidate(token)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* Fiber.join(invalidated), "Timeout")
    }).pipe(Effect.provide(cached({ refresh: "inline" }, { app: { name: "Short", tokenLife: "20 seconds" } })))
  )
})

describe("options", () => {
  it.effect("soft and hard can be moved", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* at(1799)
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(1)
      yield* at(1800)
      yield* script(Fault.once(down))
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
      yield* at(3000)
      assert.notStrictEqual(yield* get(), old)
    }).pipe(
      Effect.provide(
        cached({ soft: { ofLife: 0.5, atMost: "1 hour" }, hard: { ofLife: 1, atMost: Duration.minutes(10) } })
      )
    )
  )

  it.effect("warmUp asks when the layer is built, waits for nothing, and serves the first caller", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script(route, Fault.once(Fault.delay("2 seconds")))
      const cache = yield* TokenCache.make({ warmUp: true })
      yield* fake.awaitRequest(route)
      assert.strictEqual(yield* seconds, 0)
      yield* TestClock.adjust("2 seconds")
      assert.isDefined(cache.peekUnsafe())
      yield* cache.get()
      yield* fake.assertTokenRequests(1)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.effect("a warmUp that fails breaks neither the layer nor the first caller", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script(route, Fault.once(invalidClient))
      const cache = yield* TokenCache.make({ warmUp: true, replayFailures: false })
      yield* fake.awaitRequest(route)
      assert.strictEqual((yield* cache.get()).tokenType, "Bearer")
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )
})

describe("status", () => {
  it.effect("tells of each scope set how it stands, and asks nobody", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const other = Scopes.make("other")
      const states = Effect.map(cache.status, (list) => list.map(({ scopes, state }) => [scopes, state]))
      assert.deepStrictEqual(yield* states, [[Scopes.itwinPlatform, "empty"]])
      yield* assertRequests(0)
      const token = yield* get()
      yield* reasonOf(get(other))
      assert.deepStrictEqual(yield* states, [
        [Scopes.itwinPlatform, "fresh"],
        [other, "cooling"]
      ])
      const [first, second] = yield* cache.status
      assert.deepStrictEqual(first?.expiresAt, token.expiresAt)
      assert.isUndefined(first?.lastFailure)
      assert.strictEqual(second?.lastFailure?.reason._tag, "InvalidScope")
      yield* at(soft)
      assert.deepStrictEqual(yield* states, [
        [Scopes.itwinPlatform, "stale"],
        [other, "empty"]
      ])
      yield* at(last)
      assert.strictEqual((yield* cache.status)[0]?.state, "empty")
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("forgets the last failure with the next success", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      yield* script(Fault.once(down))
      yield* reasonOf(get())
      assert.strictEqual((yield* cache.status)[0]?.lastFailure?.reason._tag, "ServerError")
      yield* get()
      assert.isUndefined((yield* cache.status)[0]?.lastFailure)
    }).pipe(Effect.provide(cached()))
  )
})

describe("an option that makes no sense", () => {
  it.effect.each<readonly [string, TokenCache.Options]>([
    ["maxKeys must be an integer of at least 1, not 0", { maxKeys: 0 }],
    ["maxKeys must be an integer of at least 1, not NaN", { maxKeys: Number.NaN }],
    ["jitter must be from 0 to 1, not 20", { jitter: 20 }],
    ["jitter must be from 0 to 1, not NaN", { jitter: Number.NaN }],
    ["soft.ofLife must be from 0 to 1, not 25", { soft: { ofLife: 25, atMost: "1 minute" } }],
    ["hard.ofLife must be from 0 to 1, not -1", { hard: { ofLife: -1, atMost: "1 minute" } }]
  ])("is a defect when the cache is built, and names it: %s", ([message, options]) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.provide(get(), cached(options)))
      assert.strictEqual(Exit.isFailure(exit) && String(Cause.squash(exit.cause)), `RangeError: TokenCache: ${message}`)
    })
  )
})
