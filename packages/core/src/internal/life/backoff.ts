// What went wrong lately, and whom it holds back, to spare IMS and the secret backend.
//
// quiet    a renewal in the background failed: no other for this key for 30 s
// cooling  IMS asked to wait (429 or 503 with Retry-After): no request at all until then, at most 15 min
// refusal  a failure that lasts is replayed for 5 s, doubling to 60 s: for all keys if it is the client that is refused,
//          for one if it is the scope
import * as Duration from "effect/Duration"
import type { Scopes } from "../../Scopes.ts"
import * as TokenError from "../../TokenError.ts"

const quietMillis = 30_000
const maxCoolingMillis = 15 * 60_000
const firstRefusalMillis = 5_000
const maxRefusalMillis = 60_000

/** A stretch of time. A clock that was set back before its beginning is not held back by it. */
interface Span {
  readonly from: number
  readonly until: number
}

const isWithin = (span: Span | undefined, now: number): span is Span =>
  span !== undefined && span.from <= now && now < span.until

interface Refusal extends Span {
  readonly error: TokenError.TokenError
  readonly pause: number
}

export interface Setbacks {
  /** Notes a failed flight; `random` is in [0, 1). */
  readonly failed: (key: Scopes, error: TokenError.TokenError, now: number, random: number) => void
  readonly succeeded: (key: Scopes) => void
  readonly isQuiet: (key: Scopes, now: number) => boolean
  /** How long IMS is not to be asked. */
  readonly cooling: (now: number) => Duration.Duration | undefined
  /** The failure to replay, with the time that is left of it. */
  readonly refusal: (key: Scopes, now: number) => TokenError.TokenError | undefined
  readonly lastFailure: (key: Scopes) => TokenError.TokenError | undefined
  /** The keys whose last flight failed. */
  readonly keys: () => Iterable<Scopes>
}

const everyKey = Symbol("every key")

const refusalKey = (key: Scopes, { reason }: TokenError.TokenError): Scopes | typeof everyKey | undefined => {
  switch (reason._tag) {
    case "InvalidClient":
    case "UnauthorizedClient":
      return everyKey
    case "InvalidScope":
      return key
    default:
      return undefined
  }
}

const asksToWait = ({ reason }: TokenError.TokenError): boolean =>
  reason._tag === "RateLimited" || (reason._tag === "ServerError" && reason.status === 503)

export const makeSetbacks = (options: { readonly capacity: number; readonly replay: boolean }): Setbacks => {
  const failures = new Map<Scopes, Span & { readonly error: TokenError.TokenError }>()
  const refusals = new Map<Scopes | typeof everyKey, Refusal>()
  let cooling: Span | undefined

  const keep = <K, V>(map: Map<K, V>, key: K, value: V) => {
    map.delete(key)
    map.set(key, value)
    const [oldest] = map.keys()
    if (map.size > options.capacity && oldest !== undefined) map.delete(oldest)
  }

  return {
    failed: (key, error, now, random) => {
      keep(failures, key, { error, from: now, until: now + quietMillis })
      if (asksToWait(error) && error.retryAfter !== undefined) {
        const wait = Math.min(Duration.toMillis(error.retryAfter), maxCoolingMillis)
        cooling = { from: now, until: Math.max(isWithin(cooling, now) ? cooling.until : 0, now + wait) }
      }
      const refused = refusalKey(key, error)
      if (refused === undefined || !options.replay) return
      const previous = refusals.get(refused)
      // One that falls into the pause of the last, asked before it began or by `refresh`, tells nothing new.
      const growth = isWithin(previous, now) ? 1 : 2
      const pause = previous === undefined ? firstRefusalMillis : Math.min(previous.pause * growth, maxRefusalMillis)
      // Jittered downwards, so that 60 s is the most.
      keep(refusals, refused, { error, pause, from: now, until: now + pause * (1 - random * 0.2) })
    },
    succeeded: (key) => {
      failures.delete(key)
      refusals.delete(key)
      refusals.delete(everyKey)
    },
    isQuiet: (key, now) => isWithin(failures.get(key), now),
    cooling: (now) => (isWithin(cooling, now) ? Duration.millis(cooling.until - now) : undefined),
    refusal: (key, now) => {
      const refusal = [refusals.get(everyKey), refusals.get(key)].find((refusal) => isWithin(refusal, now))
      if (refusal === undefined) return undefined
      const nextAttemptIn = Duration.millis(Math.ceil(refusal.until - now))
      return new TokenError.TokenError({ ...refusal.error, nextAttemptIn })
    },
    lastFailure: (key) => failures.get(key)?.error,
    keys: () => failures.keys()
  }
}
