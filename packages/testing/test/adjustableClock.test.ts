import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { makeAdjustableClock } from "../src/internal/engine/clock.ts"

const make = Effect.map(Clock.Clock, makeAdjustableClock)

describe("the clock of the admin API", () => {
  it.effect("runs like the clock below it, ahead by the time that it was advanced", () =>
    Effect.gen(function* () {
      const clock = yield* make
      const start = yield* Clock.currentTimeMillis
      clock.advance(5_000)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* clock.currentTimeMillis, start + 6_000)
      assert.strictEqual(yield* clock.currentTimeNanos, BigInt(start + 6_000) * 1_000_000n)
      assert.strictEqual(clock.offset(), 5_000)
      clock.reset()
      assert.strictEqual(yield* clock.currentTimeMillis, start + 1_000)
    })
  )

  it.effect("ends a sleep when its time has passed, on the clock below, by advancing, or by both", () =>
    Effect.gen(function* () {
      const clock = yield* make
      const sleep = Effect.forkChild(Effect.provideService(Effect.sleep("10 seconds"), Clock.Clock, clock), {
        startImmediately: true
      })
      const ends = Effect.fnUntraced(function* (fiber: Fiber.Fiber<void>, last: Effect.Effect<void>) {
        yield* TestClock.adjust(0)
        assert.isUndefined(fiber.pollUnsafe())
        yield* last
        yield* TestClock.adjust(0)
        assert.isDefined(fiber.pollUnsafe())
        yield* Fiber.join(fiber)
      })
      const advance = (millis: number) => Effect.sync(() => clock.advance(millis))

      const alone = yield* sleep
      yield* TestClock.adjust("9999 millis")
      yield* ends(alone, TestClock.adjust("1 millis"))

      const advanced = yield* sleep
      yield* advance(9_999)
      yield* ends(advanced, advance(1))

      const both = yield* sleep
      yield* advance(6_000)
      yield* TestClock.adjust("3999 millis")
      yield* ends(both, TestClock.adjust("1 millis"))
    })
  )
})
