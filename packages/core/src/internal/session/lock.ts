// The lock of a session: one replica at a time renews its tokens. The lock ends by itself when its holder dies, because
// the holder must renew it.
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomText } from "../store/aead.ts"

/** How long others wait for a holder that died, in milliseconds. */
export const lockLife = 5_000

/** A holder may miss two renewals. */
const renewEvery = lockLife / 3

const firstPoll = 20
const longestPoll = 100

interface Steps<E> {
  readonly tryLock: (owner: string, life: number) => Effect.Effect<boolean, E>
  readonly unlock: (owner: string) => Effect.Effect<void, E>
}

/** Waits for the lock, and holds it until the scope ends. */
export const hold = <E>({ tryLock, unlock }: Steps<E>): Effect.Effect<void, E, Scope.Scope> =>
  Effect.gen(function* () {
    const owner = randomText(16)
    const attempt = tryLock(owner, lockLife)
    // Before the first attempt: one that is interrupted may have taken the lock.
    yield* Effect.addFinalizer(() => Effect.ignore(unlock(owner)))
    for (let poll = firstPoll; !(yield* attempt); poll = Math.min(longestPoll, poll * 2)) {
      yield* Effect.sleep(Duration.millis(poll))
    }
    yield* Effect.sleep(Duration.millis(renewEvery)).pipe(
      Effect.andThen(Effect.ignore(attempt)),
      Effect.forever,
      Effect.forkScoped
    )
  })
