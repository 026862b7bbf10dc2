// Runs one step of a store. The store's code is foreign: it may throw, fail with another value, never end, or refuse to
// be interrupted.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { detached } from "../detached.ts"
import { defectOf, describeDefect } from "../shown/defect.ts"
import { formatDuration } from "../shown/formatDuration.ts"

export type Kind = "timeout" | "unavailable" | "refused"

/** Runs a step for at most so many milliseconds. `errorOf` builds the error of this store. */
export type RunStep<E> = <A>(millis: number, step: () => Effect.Effect<A, E>) => Effect.Effect<A, E>

export const makeRunStep = <E>(
  isError: (value: unknown) => value is E,
  errorOf: (kind: Kind, detail: string) => E
): RunStep<E> => {
  const errorIn = (cause: Cause.Cause<unknown>): E => {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (isError(error) && !Cause.hasDies(cause)) return error
    return errorOf("unavailable", `its code ${describeDefect(defectOf(cause))}`)
  }
  return (millis, step) =>
    Effect.suspend(() => detached(Effect.suspend(step))).pipe(
      Effect.timeoutOrElse({
        duration: Duration.millis(millis),
        orElse: () =>
          Effect.fail(errorOf("timeout", `a step did not end within ${formatDuration(Duration.millis(millis))}.`))
      }),
      Effect.catchCause((cause) => Effect.fail(errorIn(cause)))
    )
}
