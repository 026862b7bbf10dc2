// Runs the steps of a store. A step that fails or takes too long has no result. Then the store is left alone for 5 s, so
// that its outage costs callers one time limit in that time, and one warning in all.
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Service, TokenStoreError } from "../../TokenStore.ts"
import { formatDuration } from "../shown/formatDuration.ts"
import { makeRunStep } from "./step.ts"

const leftAloneFor = 5_000

/** A store in which only some steps fail works again from time to time. That is one outage, with one warning. */
const calmAfter = 30_000

/** A step that had less of the store's time limit says nothing about the store: its caller had little time left. */
const tellingPart = 0.25

interface Guard {
  /** Returns none if the step failed, did not end within `limit` milliseconds, or if the store is left alone. */
  readonly run: <A>(
    now: () => number,
    limit: number,
    step: Effect.Effect<A, TokenStoreError>
  ) => Effect.Effect<Option.Option<A>>
}

export const makeGuard = ({ name, timeout }: Pick<Service, "name" | "timeout">): Guard => {
  let failedAt = Number.NEGATIVE_INFINITY
  let isFailing = false

  const runStep = makeRunStep(
    (value) => value instanceof TokenStoreError,
    (kind, detail) => new TokenStoreError({ store: name, kind, detail })
  )

  const failed = (error: TokenStoreError, now: number) =>
    Effect.suspend(() => {
      failedAt = now
      const isNews = !isFailing
      isFailing = true
      const log = isNews ? Effect.logWarning : Effect.logDebug
      return log(
        `${error.message} Each replica requests its own tokens now. The store is asked again every ${formatDuration(Duration.millis(leftAloneFor))}.`
      )
    })

  const succeeded = (now: number) =>
    Effect.suspend(() => {
      if (!isFailing || now < failedAt + calmAfter) return Effect.void
      isFailing = false
      return Effect.logInfo(`The token store ${name} works again.`)
    })

  return {
    run: (now, limit, step) =>
      Effect.suspend(() => {
        if (now() < failedAt + leftAloneFor) return Effect.succeedNone
        const full = Duration.toMillis(timeout)
        const millis = Math.min(full, limit)
        return runStep(millis, () => step).pipe(
          Effect.matchEffect({
            onSuccess: (value) => Effect.as(Effect.ignoreCause(succeeded(now())), Option.some(value)),
            onFailure: (error) => {
              const isShort = error.kind === "timeout" && millis < full * tellingPart
              return Effect.as(isShort ? Effect.void : Effect.ignoreCause(failed(error, now())), Option.none())
            }
          })
        )
      })
  }
}
