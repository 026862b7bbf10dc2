// The store in front of a token request: the replica with the lease requests a token, the others wait for it.
//
// Nothing here makes a request fail: what the store does not answer in time is answered by IMS. The exception is a
// failure that IMS told another replica, as far as it holds all of them.
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { AccessToken } from "../../AccessToken.ts"
import type { Scopes } from "../../Scopes.ts"
import type { TokenError } from "../../TokenError.ts"
import { type Claim, type Level, type Service, TokenStoreError } from "../../TokenStore.ts"
import { type Instant, monotonicMillis } from "../life/phase.ts"
import type { Acquired, Attempt, Paused } from "../life/tokenLife.ts"
import { isSame } from "../life/tokens.ts"
import { makeGuard } from "./guard.ts"
import type { AskForScopes, Cache, Sharing } from "./reference.ts"
import type { Seal, SealedRow, Subject } from "./seal.ts"
import { failureFor, isClaimed, levelOf, pausedOfText, textOfToken, tokenOfText } from "./values.ts"

const lease = 3_000
const longestWait = 5_000

/** A token with less time left is not shared. A longer one is never `over`, whatever its life. */
const shortest = 5_000

const firstPoll = 50
const longestPoll = 500

/** The number of keys whose rejected token is remembered. */
const maxRejected = 1_000

/** Where a token is stored. */
interface Origin {
  readonly row: string
  readonly version: string
  readonly isFromStore: boolean
}

const newOwner = (): string =>
  Array.from(globalThis.crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join(
    ""
  )

const whole = (millis: number): number => Math.max(0, Math.floor(millis))

export const makeShare = (service: Service, seal: Seal): ((cache: Cache) => Sharing) => {
  const guard = makeGuard(service)
  const invalidClaim = () =>
    new TokenStoreError({
      store: service.name,
      kind: "unavailable",
      detail: "its `claim` returned neither a token, a setback, nor a lease."
    })

  return ({ clock, endpoint, replayFailures }) => {
    const monotonic = () => monotonicMillis(clock)
    const now = (): Instant => ({ wall: clock.currentTimeMillisUnsafe(), monotonic: monotonic() })
    const origins = new WeakMap<AccessToken, Origin>()
    const rejected = new Map<Scopes, AccessToken>()
    let warned = false

    /** Leaves most of the time for the token request. */
    const limitOf = (attempt: Attempt) => Duration.toMillis(attempt.timeLeft()) / 3

    const unusable = Effect.suspend(() => {
      if (warned) return Effect.void
      warned = true
      return Effect.ignoreCause(
        Effect.logWarning(
          `A value in the token store ${service.name} is not used: it was changed, or has expired by the clock of this ` +
            "machine. Check who can write to the store, and whether the clocks of the replicas are right."
        )
      )
    })

    const reject = (token: AccessToken) => {
      const key = token.requestedScopes
      rejected.delete(key)
      rejected.set(key, token)
      for (const [oldest] of rejected) if (rejected.size > maxRejected) rejected.delete(oldest)
    }

    /**
     * A caller that insists, and a cache that replays no failures, are held only by a wait that IMS asked for. An outage
     * of IMS holds only those who do not notice, because another replica's path to IMS may be the broken one.
     */
    const levelFor = (attempt: Attempt): Level => {
      if (attempt.isInsistent || !replayFailures) return 3
      return attempt.held() === undefined ? 2 : 1
    }

    /** What this request asks a row for. */
    const claimFor = (scopes: Scopes, attempt: Attempt): Claim => {
      const held = attempt.held()
      const refused = rejected.get(scopes)
      const isRejected = refused !== undefined && (held === undefined || isSame(refused, held.token))
      const version = (token: AccessToken | undefined) => token && origins.get(token)?.version
      const known = isRejected ? (version(held?.token) ?? version(refused)) : version(held?.token)
      return {
        owner: newOwner(),
        lease,
        known,
        forget: attempt.isInsistent ? "any" : isRejected && known !== undefined ? "known" : "none",
        // Another token is useful if it lives longer than the one in memory, unless that was rejected.
        minLeft: Math.max(shortest, isRejected ? 0 : whole(held?.left ?? 0)),
        level: levelFor(attempt)
      }
    }

    /** Requests a token from IMS, and shares it, or the failure. */
    const lead = Effect.fnUntraced(function* (
      send: Effect.Effect<Acquired, TokenError>,
      row: SealedRow,
      owner: string,
      attempt: Attempt,
      previous?: Paused
    ) {
      const run = <A>(step: Effect.Effect<A, TokenStoreError>) => guard.run(monotonic, limitOf(attempt), step)
      const released = service.release(row.name, owner)
      // When the cache is closed, the other replicas need not wait for the end of the lease.
      const exit = yield* Effect.exit(Effect.onInterrupt(send, () => Effect.forkDetach(run(released))))
      if (Exit.isSuccess(exit)) {
        const { bornAt, token } = exit.value
        const age = Math.ceil(monotonic() - bornAt)
        const left = whole(Duration.toMillis(token.life) - age)
        origins.set(token, { row: row.name, version: owner, isFromStore: false })
        const published = Effect.flatMap(row.seal("token", textOfToken(token)), (value) =>
          service.publish(row.name, { owner, value, age, left })
        )
        yield* run(left < shortest ? released : published)
      } else {
        const error = Option.getOrUndefined(Exit.findErrorOption(exit))
        const failure = error && failureFor(error, previous?.length, replayFailures, now())
        yield* run(
          failure === undefined
            ? released
            : Effect.flatMap(row.seal("setback", failure.text), (value) =>
                service.release(row.name, owner, { value, left: failure.left, level: failure.level })
              )
        )
      }
      return yield* exit
    })

    const pausedBy = (row: SealedRow, value: string, left: number) =>
      Effect.map(row.open("setback", value), (text) =>
        text === undefined ? undefined : pausedOfText(text, left, now())
      )

    const askFor = Effect.fnUntraced(function* (
      send: AskForScopes,
      subject: Subject,
      attempt: Attempt
    ): Effect.fn.Return<Acquired, TokenError> {
      const { credentials, scopes } = subject
      const alone = send(credentials, scopes, attempt)
      const opened = yield* Effect.cached(seal(subject))
      const ownLimit = monotonic() + Math.min(longestWait, limitOf(attempt))
      let claim = claimFor(scopes, attempt)
      let poll = firstPoll
      let hasSeenUnusable = false
      for (;;) {
        const askedAt = now()
        const step = Effect.flatMap(opened, (row) =>
          service.claim(row.name, claim).pipe(
            Effect.filterOrFail(isClaimed, invalidClaim),
            Effect.map((got) => ({ row, got }))
          )
        )
        const claimed = Option.getOrUndefined(yield* guard.run(monotonic, limitOf(attempt), step))
        if (claimed === undefined) return yield* alone
        const { got, row } = claimed
        switch (got._tag) {
          case "Token": {
            const text = yield* row.open("token", got.value)
            const acquired = text === undefined ? undefined : tokenOfText(text, got, subject, askedAt, shortest)
            const refused = rejected.get(scopes)
            if (acquired !== undefined && (refused === undefined || !isSame(refused, acquired.token))) {
              origins.set(acquired.token, { row: row.name, version: got.version, isFromStore: true })
              return acquired
            }
            if (acquired === undefined) yield* unusable
            // The second one is the work of somebody who writes to the store all the time.
            if (hasSeenUnusable) return yield* alone
            hasSeenUnusable = true
            claim = { ...claim, known: got.version, forget: acquired === undefined ? "none" : "known" }
            break
          }
          case "Held": {
            const paused = yield* pausedBy(row, got.value, got.left)
            // The level is not sealed. Somebody who raises it would make a failure of one path to IMS hold all replicas.
            const level = paused && levelOf(paused.error)
            if (paused === undefined || level === undefined || level < claim.level) yield* unusable
            // The sealed end of a setback can come a moment before the store's.
            else if (paused.left > 0) {
              attempt.pause(paused)
              // Fails, or waits for the end of a short wait that IMS asked for.
              yield* attempt.mayContinue
              break
            }
            return yield* lead(alone, row, claim.owner, attempt)
          }
          case "Busy": {
            const wait = ownLimit - monotonic()
            if (wait <= 0 || claim.forget === "any") return yield* lead(alone, row, claim.owner, attempt)
            yield* Effect.sleep(Duration.millis(Math.ceil(Math.min(poll, wait, Math.max(firstPoll, got.left)))))
            poll = Math.min(longestPoll, poll * 2)
            break
          }
          case "Lease": {
            const previous = got.previous === undefined ? undefined : yield* pausedBy(row, got.previous, 0)
            const level = previous && levelOf(previous.error)
            // This replica may have another path to IMS, and tries it as often as without a store.
            if (previous === undefined || level === undefined || level < claim.level)
              return yield* lead(alone, row, claim.owner, attempt, previous)
            const probe = send(credentials, scopes, { ...attempt, isProbe: true })
            return yield* lead(probe, row, claim.owner, attempt, previous)
          }
        }
      }
    })

    return {
      ask: (send) => (credentials, scopes, attempt) =>
        Effect.tap(askFor(send, { endpoint, credentials, scopes }, attempt), ({ token }) =>
          Effect.sync(() => {
            const refused = rejected.get(scopes)
            if (refused !== undefined && !isSame(refused, token)) rejected.delete(scopes)
          })
        ),
      reject,
      drop: (token) =>
        Effect.suspend(() => {
          reject(token)
          const origin = origins.get(token)
          if (origin === undefined) return Effect.void
          const step = service.drop(origin.row, origin.version)
          return Effect.asVoid(guard.run(monotonic, Number.POSITIVE_INFINITY, step))
        }),
      fromIms: (refresh) =>
        Effect.flatMap(refresh, (token) => (origins.get(token)?.isFromStore === true ? refresh : Effect.succeed(token)))
    }
  }
}
