// Runs one request at a time for each key, shared by its callers. It belongs to the scope of the layer: interrupting a
// caller does not end it.
//
// Callers wait on a native promise, and a request that has not ended a second after its limit counts as lost: on
// Cloudflare's workerd, the end of the event that started a request drops the request silently.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"

const lostAfter = 1_000

interface Running<A, E> {
  readonly ended: Promise<Exit.Exit<A, E>>
  readonly lostAt: number
}

export interface Shared<A, E> {
  /** Tells whether a request for the key is in progress. */
  readonly isRunning: (key: string) => boolean
  /** Waits for the request in progress for the key, or for a new one. */
  readonly join: (key: string, run: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Starts a request for which nobody waits, unless one is in progress. */
  readonly start: (key: string, run: Effect.Effect<A, E>) => void
}

export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** `limit` in milliseconds: within it each request ends. `closed` is the failure after the end of the scope. */
export const makeShared = Effect.fnUntraced(function* <A, E>(
  limit: number,
  closed: () => E
): Effect.fn.Return<Shared<A, E>, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const running = new Map<string, Running<A, E>>()
  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
    })
  )

  const current = (key: string): Running<A, E> | undefined => {
    const found = running.get(key)
    return found !== undefined && monotonicMillis(clock) < found.lostAt ? found : undefined
  }

  const begin = (key: string, run: Effect.Effect<A, E>): Running<A, E> => {
    const { promise: ended, resolve } = Promise.withResolvers<Exit.Exit<A, E>>()
    const made: Running<A, E> = { ended, lostAt: monotonicMillis(clock) + limit + lostAfter }
    if (isClosed) {
      resolve(Exit.fail(closed()))
      return made
    }
    running.set(key, made)
    fork(
      Effect.onExit(run, (exit) =>
        Effect.sync(() => {
          if (running.get(key) === made) running.delete(key)
          resolve(Exit.isFailure(exit) && isClosed ? Exit.fail(closed()) : exit)
        })
      ).pipe(Effect.exit, Effect.asVoid)
    )
    return made
  }

  const join = (key: string, run: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const { ended, lostAt } = current(key) ?? begin(key, run)
      return Effect.timeoutOrElse(Effect.flatten(Effect.promise(() => ended)), {
        duration: Math.max(0, lostAt - monotonicMillis(clock)),
        orElse: () => join(key, run)
      })
    }).pipe(Effect.provideService(Clock.Clock, clock))

  return {
    isRunning: (key) => current(key) !== undefined,
    join,
    start: (key, run) => {
      if (current(key) === undefined) begin(key, run)
    }
  }
})
