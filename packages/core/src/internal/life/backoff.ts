// The pause after a failed request. The same rule applies to every failure of IMS and of the secret backend.
//
// A pause lasts 1 s and doubles until a success, up to 10 s if the failure may pass, otherwise up to 60 s. A random
// part of up to 20 % is added. A wait that the server stated is respected, up to 15 min. The pause holds for the key,
// or for every key if the failure concerns all of them. Times are milliseconds of the monotonic clock.
import * as Duration from "effect/Duration"
import * as TokenError from "../../TokenError.ts"

const firstPause = 1_000
const longestIfPassing = 10_000
const longestIfLasting = 60_000
const longestStated = 15 * 60_000
const jitter = 0.2

export interface Pause {
  /** The failure that caused the pause. */
  readonly error: TokenError.TokenError
  /** Without jitter. The next pause is twice as long. */
  readonly length: number
  readonly from: number
  readonly until: number
  /** Whether IMS or the secret backend asked for the wait. */
  readonly isStated: boolean
}

export interface Failed {
  readonly error: TokenError.TokenError
  /** When the request that failed began. */
  readonly startedAt: number
  readonly now: number
  /** A random number in [0, 1). */
  readonly random: number
}

export interface Backoff<K> {
  readonly failed: (key: K, failed: Failed) => void
  /** Ends the pause of the key, and the one of all keys if it began before the request that succeeded. */
  readonly succeeded: (key: K, startedAt: number) => void
  /** The pause after the last failure since the last success, even if it has ended. */
  readonly last: (key: K) => Pause | undefined
  /** The pause that holds. If two hold, the one that ends later. */
  readonly holding: (key: K, now: number) => Pause | undefined
  /** The keys that failed since their last success. */
  readonly keys: () => ReadonlyArray<K>
}

const mayPass = (error: TokenError.TokenError): boolean =>
  error.reason._tag === "Transport" || (error.isRetryable && error.reason._tag !== "RateLimited")

const concernsEveryKey = ({ reason }: TokenError.TokenError, isStated: boolean): boolean =>
  isStated ||
  reason._tag === "SecretUnavailable" ||
  reason._tag === "InvalidClient" ||
  reason._tag === "UnauthorizedClient" ||
  reason._tag === "RateLimited"

/** Returns the failure again, during its pause. */
export const replay = ({ error, until }: Pause, now: number): TokenError.TokenError =>
  new TokenError.TokenError({ ...error, nextAttemptIn: Duration.millis(Math.ceil(until - now)) })

/** `capacity`: the number of keys that are remembered. `replays: false`: a pause that no server stated lasts 1 s. */
export const makeBackoff = <K>(options: { readonly capacity: number; readonly replays: boolean }): Backoff<K> => {
  const pauses = new Map<K, Pause>()
  let pauseOfAll: Pause | undefined

  const last = (key: K): Pause | undefined => {
    const pause = pauses.get(key)
    if (pause === undefined || pauseOfAll === undefined) return pause ?? pauseOfAll
    return pause.from > pauseOfAll.from ? pause : pauseOfAll
  }

  const remember = (key: K, pause: Pause) => {
    pauses.delete(key)
    pauses.set(key, pause)
    const [oldest] = pauses.keys()
    if (pauses.size > options.capacity && oldest !== undefined) pauses.delete(oldest)
  }

  return {
    failed: (key, { error, now, random, startedAt }) => {
      const stated = Math.min(Duration.toMillis(error.retryAfter ?? Duration.zero), longestStated)
      const isStated = stated > 0
      const longest = options.replays ? (mayPass(error) ? longestIfPassing : longestIfLasting) : firstPause
      const before = last(key)
      // A request that was in progress when the pause began says nothing new.
      const growth = before !== undefined && startedAt <= before.from ? 1 : 2
      const length = before === undefined ? firstPause : Math.min(before.length * growth, longest)
      const until = now + Math.max(length, stated) * (1 + jitter * random)
      const pause = { error, length, from: now, until, isStated }
      if (!concernsEveryKey(error, isStated)) remember(key, pause)
      // Requests for several keys may fail at the same time. Keep the pause that ends last.
      else if (pauseOfAll === undefined || pauseOfAll.until <= until || pauseOfAll.until <= now) pauseOfAll = pause
    },
    succeeded: (key, startedAt) => {
      pauses.delete(key)
      if (pauseOfAll !== undefined && pauseOfAll.from < startedAt) pauseOfAll = undefined
    },
    last,
    holding: (key, now) => {
      const pause = pauses.get(key)
      const held = pause !== undefined && now < pause.until ? pause : undefined
      if (pauseOfAll === undefined || now >= pauseOfAll.until) return held
      return held !== undefined && held.until > pauseOfAll.until ? held : pauseOfAll
    },
    keys: () => [...pauses.keys()]
  }
}
