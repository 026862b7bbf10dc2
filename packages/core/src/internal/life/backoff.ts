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
/** The longest wait that is respected if a server asks for it, in milliseconds. */
export const longestStated = 15 * 60_000
const jitter = 0.2
const forgetAfter = 60_000

export interface Pause {
  /** The failure that caused the pause. */
  readonly error: TokenError.TokenError
  /** Without jitter. The next pause is twice as long. */
  readonly length: number
  readonly from: number
  readonly until: number
  /** The end of a wait that IMS or the secret backend asked for; 0 if neither asked. */
  readonly statedUntil: number
  /** A request that began earlier succeeded since. The pause still holds, but the next one lasts 1 s again. */
  readonly isSettled: boolean
}

export interface Failed {
  readonly error: TokenError.TokenError
  /** When the request that failed began. */
  readonly startedAt: number
  readonly now: number
  /** A random number in [0, 1). */
  readonly random: number
}

/** A pause that began elsewhere: another replica of the app failed. */
interface Told {
  readonly error: TokenError.TokenError
  readonly length: number
  readonly from: number
  readonly until: number
  readonly isStated: boolean
}

export interface Backoff<K> {
  readonly failed: (key: K, failed: Failed) => void
  /** Begins a pause that another replica was told of. */
  readonly told: (key: K, told: Told) => void
  /** Ends the pause of the key, and the one of all keys if it began before the request that succeeded. */
  readonly succeeded: (key: K, startedAt: number) => void
  /** The pause after the last failure since the last success, even if it has ended. */
  readonly last: (key: K) => Pause | undefined
  /** The pause that holds and blocks. If two do, the one that ends later. */
  readonly holding: (key: K, now: number, blocks?: (pause: Pause) => boolean) => Pause | undefined
  readonly forget: (key: K) => void
  /** The keys with an own failure since their last success. */
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

/** Returns how long the server asked to wait, in milliseconds. */
export const statedBy = ({ retryAfter }: TokenError.TokenError): number =>
  Math.min(Duration.toMillis(retryAfter ?? Duration.zero), longestStated)

/** Returns the length of the pause after a failure, without jitter, if the pause before it should grow by this. */
export const lengthAfter = (error: TokenError.TokenError, previous: number | undefined, growth = 2): number =>
  previous === undefined
    ? firstPause
    : Math.min(previous * growth, mayPass(error) ? longestIfPassing : longestIfLasting)

/** Returns the failure again, during its pause. */
export const replay = ({ error, until }: Pause, now: number): TokenError.TokenError =>
  new TokenError.TokenError({ ...error, nextAttemptIn: Duration.millis(Math.ceil(until - now)) })

const always = (): boolean => true

/** `replays: false`: a pause that no server stated lasts 1 s. The oldest of more than `capacity` pauses are forgotten. */
export const makeBackoff = <K>(options: { readonly replays: boolean; readonly capacity?: number }): Backoff<K> => {
  const { capacity = Number.POSITIVE_INFINITY } = options
  const pauses = new Map<K, Pause>()
  let pauseOfAll: Pause | undefined

  const last = (key: K): Pause | undefined => {
    const pause = pauses.get(key)
    const ofAll = pauseOfAll?.isSettled === true ? undefined : pauseOfAll
    if (pause === undefined || ofAll === undefined) return pause ?? ofAll
    return pause.from > ofAll.from ? pause : ofAll
  }

  /** Forgets pauses that ended a minute ago, so that keys that are not used any more do not fill the memory. */
  const forgetOld = (now: number) => {
    for (const [key, { until }] of pauses) {
      if (now < until + forgetAfter && pauses.size <= capacity) return
      pauses.delete(key)
    }
  }

  const begin = (key: K, { error, from, isStated, length, until }: Told) => {
    const isOfAll = concernsEveryKey(error, isStated)
    // An earlier stated wait still holds.
    const replaced = isOfAll ? pauseOfAll : pauses.get(key)
    const pause: Pause = {
      error,
      length,
      from,
      until: Math.max(until, replaced?.until ?? 0),
      statedUntil: Math.max(isStated ? until : 0, replaced?.statedUntil ?? 0),
      isSettled: false
    }
    if (isOfAll) pauseOfAll = pause
    else {
      pauses.delete(key)
      pauses.set(key, pause)
      forgetOld(from)
    }
  }

  return {
    failed: (key, { error, now, random, startedAt }) => {
      const stated = statedBy(error)
      const before = last(key)
      // A request that was in progress when the pause began says nothing new.
      const growth = before !== undefined && startedAt <= before.from ? 1 : 2
      const grown = lengthAfter(error, before?.length, growth)
      const length = options.replays ? grown : firstPause
      const until = now + Math.max(length, stated) * (1 + jitter * random)
      begin(key, { error, length, from: now, until, isStated: stated > 0 })
    },
    told: begin,
    succeeded: (key, startedAt) => {
      pauses.delete(key)
      if (pauseOfAll === undefined) return
      // A request that was on its way when the pause began tells nothing of the wait, but that IMS answers.
      pauseOfAll = pauseOfAll.from < startedAt ? undefined : { ...pauseOfAll, isSettled: true }
    },
    last,
    holding: (key, now, blocks = always) => {
      const isHeld = (pause: Pause | undefined): pause is Pause =>
        pause !== undefined && now < pause.until && blocks(pause)
      const pause = pauses.get(key)
      if (!isHeld(pauseOfAll)) return isHeld(pause) ? pause : undefined
      return isHeld(pause) && pause.until > pauseOfAll.until ? pause : pauseOfAll
    },
    forget: (key) => {
      pauses.delete(key)
    },
    keys: () => [...pauses.keys()]
  }
}
