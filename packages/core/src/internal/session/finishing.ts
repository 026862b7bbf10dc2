// Finishes what was begun: neither a caller nor the end of the layer interrupts it, and the layer waits for it. What runs
// needs its own time limits.
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

export interface Finishing {
  /** Makes {@link Finishing.all} wait for it. It can be interrupted. */
  readonly track: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Runs it to its end, also when its caller is interrupted. */
  readonly finish: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Waits for the end of all that is tracked. */
  readonly all: Effect.Effect<void>
}

export const makeFinishing = (): Finishing => {
  const running = new Set<Deferred.Deferred<void>>()
  return {
    track: (self) =>
      Effect.suspend(() => {
        const done = Deferred.makeUnsafe<void>()
        running.add(done)
        return Effect.ensuring(
          self,
          Effect.sync(() => {
            running.delete(done)
            Deferred.doneUnsafe(done, Exit.void)
          })
        )
      }),
    // In its own fiber, which can be interrupted, so that time limits within it work.
    finish: (self) =>
      Effect.uninterruptible(Effect.flatMap(Effect.forkDetach(self, { startImmediately: true }), Fiber.join)),
    all: Effect.suspend(() => Effect.forEach(running, Deferred.await, { concurrency: "unbounded", discard: true }))
  }
}
