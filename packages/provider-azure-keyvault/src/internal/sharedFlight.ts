// One run for all who ask while it lasts. Readers come and go without harm to each other; when the last one has left,
// the run is ended; the next to ask begins another.
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"

interface Flight<A, E> {
  readonly landed: Deferred.Deferred<A, E>
  fiber: Fiber.Fiber<void> | undefined
  waiting: number
}

/** Runs in the context in which this is built, and until its scope ends: then all fail with `closed`. */
export const makeSharedFlight = Effect.fnUntraced(function* <A, E>(
  run: Effect.Effect<A, E>,
  closed: E
): Effect.fn.Return<Effect.Effect<A, E>, never, Scope.Scope> {
  const fibers = yield* FiberSet.make<void, never>()
  const fork = yield* FiberSet.runtime(fibers)<never>()
  let current: Flight<A, E> | undefined
  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
    })
  )

  /** New readers no longer join it. */
  const leave = (flight: Flight<A, E>) => {
    if (current === flight) current = undefined
  }

  const start = (): Flight<A, E> => {
    const flight: Flight<A, E> = { landed: Deferred.makeUnsafe(), fiber: undefined, waiting: 0 }
    current = flight
    flight.fiber = fork(
      run.pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            leave(flight)
            Deferred.doneUnsafe(flight.landed, isClosed && Exit.isFailure(exit) ? Effect.fail(closed) : exit)
          })
        ),
        Effect.exit,
        Effect.asVoid
      )
    )
    return flight
  }

  return Effect.suspend(() => {
    if (isClosed) return Effect.fail(closed)
    const flight = current ?? start()
    flight.waiting++
    return Effect.onInterrupt(Deferred.await(flight.landed), () =>
      Effect.suspend(() => {
        flight.waiting--
        if (flight.waiting > 0 || flight.fiber === undefined) return Effect.void
        leave(flight)
        return Fiber.interrupt(flight.fiber)
      })
    )
  })
})
