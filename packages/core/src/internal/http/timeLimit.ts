// Limits how long an API call may be silent. A call that makes progress, for example a large download, is not limited.
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { detached } from "../detached.ts"

/** Waits until `progress` stays the same for the length of the limit. */
const silence = (limit: Duration.Duration, progress: () => number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const before = progress()
    return Effect.flatMap(Effect.sleep(limit), () => (progress() === before ? Effect.void : silence(limit, progress)))
  })

/** Fails with `onSilence` if `progress` does not change for the length of the limit while `self` runs. */
export const withTimeLimit = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  limit: Duration.Duration,
  onSilence: () => E2,
  progress: () => number = () => 0
): Effect.Effect<A, E | E2, R> =>
  Duration.isFinite(limit)
    ? Effect.raceFirst(
        detached(self),
        Effect.flatMap(silence(limit, progress), () => Effect.fail(onSilence()))
      )
    : self
