import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Forks `self`, so that interrupting the caller does not wait for an uninterruptible provider or client. */
export const detached = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.forkDetach(self, { startImmediately: true }), (fiber) =>
    Effect.onInterrupt(Fiber.join(fiber), () => Effect.sync(() => fiber.interruptUnsafe()))
  )
