// Builds a clock that runs like another one, ahead of it by the time that it was advanced. A pending sleep ends when the
// clock is advanced past its end.
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export interface AdjustableClock extends Clock.Clock {
  /** How far it is ahead, in milliseconds. */
  readonly offset: () => number
  readonly advance: (millis: number) => void
  /** Returns to the time of the clock below. */
  readonly reset: () => void
}

export const isAdjustableClock = (clock: Clock.Clock): clock is AdjustableClock => "advance" in clock

export const makeAdjustableClock = (below: Clock.Clock): AdjustableClock => {
  let offset = 0
  const sleepers = new Set<Deferred.Deferred<void>>()
  const nanos = () => BigInt(offset) * 1_000_000n

  const move = (to: number) => {
    offset = to
    // A copy, because a sleeper that is not finished adds itself again.
    for (const moved of [...sleepers]) Deferred.doneUnsafe(moved, Effect.void)
  }

  /** Sleeps for the remaining time, and checks again whenever the clock is moved. */
  const sleepUntil = (end: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const left = end - clock.currentTimeMillisUnsafe()
      if (left <= 0) return Effect.void
      const moved = Deferred.makeUnsafe<void>()
      sleepers.add(moved)
      return Effect.race(below.sleep(Duration.millis(left)), Deferred.await(moved)).pipe(
        Effect.ensuring(Effect.sync(() => sleepers.delete(moved))),
        Effect.andThen(sleepUntil(end))
      )
    })

  const clock: AdjustableClock = {
    currentTimeMillisUnsafe: () => below.currentTimeMillisUnsafe() + offset,
    currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe()),
    currentTimeNanosUnsafe: () => below.currentTimeNanosUnsafe() + nanos(),
    currentTimeNanos: Effect.sync(() => clock.currentTimeNanosUnsafe()),
    monotonicTimeNanosUnsafe: () => below.monotonicTimeNanosUnsafe() + nanos(),
    monotonicTimeNanos: Effect.sync(() => clock.monotonicTimeNanosUnsafe()),
    sleep: (duration) =>
      Effect.suspend(() => sleepUntil(clock.currentTimeMillisUnsafe() + Duration.toMillis(duration))),
    offset: () => offset,
    advance: (millis) => move(offset + millis),
    reset: () => move(0)
  }
  return clock
}
