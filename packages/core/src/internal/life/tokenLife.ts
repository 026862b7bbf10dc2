// The life of tokens: phases, one shared request for each key, and one backoff. `acquire(key)` requests a token. This
// module knows neither where credentials come from nor how a token is requested.
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { AccessToken } from "../../AccessToken.ts"
import type { RetryPolicy } from "../../RetryPolicy.ts"
import * as TokenError from "../../TokenError.ts"
import { detached } from "../detached.ts"
import { makeBackoff, type Pause, replay } from "./backoff.ts"
import { ageOf, type Instant, type Margins, monotonicMillis, type Phase } from "./phase.ts"
import { type Asked, makeSingleFlight, withoutDefects } from "./singleFlight.ts"
import { makeTelemetry } from "./telemetry.ts"
import { type Entry, isSame, look, makeEntry, makeTokens } from "./tokens.ts"

/** What `acquire` gets to know, and has to call. */
export interface Attempt {
  /** The first request after a failure: one attempt, one read of the secret. */
  readonly isProbe: boolean
  /** Returns the time left until the time limit. */
  readonly timeLeft: () => Duration.Duration
  /**
   * Run before each step that sends a request to a server, because another request may have begun a pause meanwhile.
   */
  readonly mayContinue: Effect.Effect<void, TokenError.TokenError>
  /** Names the client for which a token is about to be requested. Tokens of another client are dropped. */
  readonly useClient: (clientId: string) => Effect.Effect<void>
  /** Whether a caller wants a token from IMS, whatever else has one. */
  readonly isInsistent: boolean
  /** The token in memory and the milliseconds that it has left, unless it has expired or nearly so. */
  readonly held: () => { readonly token: AccessToken; readonly left: number } | undefined
  /** Begins the pause that another replica was told of. */
  readonly pause: (told: Paused) => void
}

/** A pause of another replica, in milliseconds. */
export interface Paused {
  readonly error: TokenError.TokenError
  readonly length: number
  readonly left: number
  readonly isStated: boolean
}

export interface Acquired {
  readonly token: AccessToken
  /** When the token's life began, in milliseconds of the monotonic clock. */
  readonly bornAt: number
}

export interface Options<K extends string, R> {
  readonly name: string
  readonly endpoint: string
  readonly acquire: (key: K, attempt: Attempt) => Effect.Effect<Acquired, TokenError.TokenError, R>
  readonly keyAttribute?: string | undefined
  /** Run before a request for a token that replaces this one, which an API rejected. */
  readonly onRejected?: ((token: AccessToken) => void) | undefined
  readonly policy: Pick<RetryPolicy, "totalTimeout" | "maxRetryAfter">
  readonly margins: Margins
  readonly maxKeys: number
  readonly replayFailures: boolean
  readonly renewal: "background" | "inline"
}

export interface Status {
  readonly state: Exclude<Phase, "over"> | "none"
  readonly expiresAt: AccessToken["expiresAt"] | undefined
  readonly lastFailure: TokenError.TokenError | undefined
  readonly nextAttemptIn: Duration.Duration | undefined
}

export interface TokenLife<K> {
  readonly get: (key: K) => Effect.Effect<AccessToken, TokenError.TokenError>
  readonly refresh: (key: K) => Effect.Effect<AccessToken, TokenError.TokenError>
  readonly replace: (key: K, token: AccessToken) => Effect.Effect<Option.Option<AccessToken>>
  readonly invalidate: (key: K, token: AccessToken) => void
  readonly peek: (key: K) => AccessToken | undefined
  readonly isReady: (key: K) => Effect.Effect<boolean>
  /** Requests a token until one is obtained. */
  readonly warmUp: (key: K) => Effect.Effect<void>
  readonly status: (key: K) => Status
  /** The keys that have a token or an own failure. */
  readonly keys: () => ReadonlyArray<K>
  readonly isInProgress: (key: K) => boolean
  /** Keeps a token that another replica requested. */
  readonly adopt: (key: K, token: AccessToken) => Effect.Effect<void>
  /** Drops all that is known of the key. */
  readonly forget: (key: K) => void
}

const millisLeft = (entry: Entry, at: Instant): number => Duration.toMillis(entry.token.life) - ageOf(entry, at)

const secondsLeft = (entry: Entry, at: Instant): number => millisLeft(entry, at) / 1000

/** The program's generator may throw or return anything. A failure must be followed by a pause nevertheless. */
const safeRandom = Effect.map(
  Effect.catchCause(Random.next, () => Effect.succeed(0)),
  (random) => (random >= 0 && random < 1 ? random : 0)
)

/** A rejected token that is younger than this is not replaced, because another one would be rejected too. */
const replaceAfter = 30_000

/** The age from which `refresh` ignores a pause that no server stated. */
const insistAfter = 10_000

const quietly: Asked = { isAwaited: false, isInsistent: false }
const awaited: Asked = { isAwaited: true, isInsistent: false }
const insistently: Asked = { isAwaited: true, isInsistent: true }

export const makeTokenLife = Effect.fnUntraced(function* <K extends string, R>(
  options: Options<K, R>
): Effect.fn.Return<TokenLife<K>, never, R | Scope.Scope> {
  const { endpoint, maxKeys } = options
  const totalTimeout = Duration.toMillis(options.policy.totalTimeout)
  const maxRetryAfter = Duration.toMillis(options.policy.maxRetryAfter)
  const clock = yield* Clock.Clock
  const monotonic = () => monotonicMillis(clock)
  const now = (): Instant => ({ wall: clock.currentTimeMillisUnsafe(), monotonic: monotonic() })
  const tokens = makeTokens<K>(maxKeys)
  const backoff = makeBackoff<K>({ replays: options.replayFailures, capacity: maxKeys })
  const telemetry = makeTelemetry(options.name)
  const { counts } = telemetry
  let currentClient: string | undefined

  const errorOf = (reason: TokenError.TokenErrorReason) => new TokenError.TokenError({ reason, endpoint })

  /** Returns the token in memory, unless it has expired or nearly so. */
  const usable = (key: K): Entry | undefined => {
    const entry = tokens.get(key)
    return entry !== undefined && look(entry, now()) !== "over" ? entry : undefined
  }

  const isShort = (pause: Pause, at: number, deadline: number): boolean =>
    pause.until <= pause.statedUntil && pause.until - at <= maxRetryAfter && pause.until < deadline

  /** Waits for the end of a short pause that the server stated. Fails with the error of any other pause. */
  const pass = (
    key: K,
    deadline: number,
    blocks: (pause: Pause) => boolean
  ): Effect.Effect<void, TokenError.TokenError> =>
    Effect.suspend(() => {
      const at = monotonic()
      const pause = backoff.holding(key, at, blocks)
      if (pause === undefined) return Effect.void
      return isShort(pause, at, deadline)
        ? // Check again, because another failure may have begun a new pause meanwhile.
          Effect.andThen(Effect.sleep(Duration.millis(Math.ceil(pause.until - at))), pass(key, deadline, blocks))
        : Effect.fail(replay(pause, at))
    })

  const blocksFor =
    ({ isInsistent }: Asked) =>
    ({ from, statedUntil }: Pause): boolean => {
      const at = monotonic()
      return !isInsistent || at < statedUntil || at - from < insistAfter
    }

  const useClient = (clientId: string) =>
    Effect.suspend(() => {
      const previous = currentClient
      currentClient = clientId
      if (previous === undefined || previous === clientId) return Effect.void
      tokens.clear()
      return Effect.ignoreCause(
        Effect.logWarning(
          `The secret provider returned the client id ${clientId} instead of ${previous}. The tokens of ${previous} are dropped.`
        )
      )
    })

  const acquire = (key: K, deadline: number, startedAt: number, { isInsistent }: Asked) => {
    const timeLeft = () => Duration.millis(Math.max(0, deadline - monotonic()))
    const attempt: Attempt = {
      isProbe: backoff.last(key) !== undefined,
      timeLeft,
      // Pauses that held when the request began were handled before it.
      mayContinue: pass(key, deadline, (pause) => pause.from >= startedAt),
      useClient,
      isInsistent,
      held: () => {
        const entry = usable(key)
        return entry === undefined ? undefined : { token: entry.token, left: millisLeft(entry, now()) }
      },
      pause: ({ left, ...told }) => {
        const at = monotonic()
        backoff.told(key, { ...told, from: at, until: at + left })
      }
    }
    return Effect.timeoutOrElse(detached(options.acquire(key, attempt)), {
      duration: timeLeft(),
      orElse: () => Effect.fail(errorOf(new TokenError.Timeout({ limit: options.policy.totalTimeout })))
    }).pipe(withoutDefects(endpoint))
  }

  const forget = (key: K) => {
    tokens.drop(key)
    backoff.forget(key)
  }

  const succeeded = (key: K, { bornAt, token }: Acquired, startedAt: number, random: number) => {
    const at = now()
    const hasRecovered = backoff.last(key) !== undefined
    const entry = makeEntry(token, bornAt, options.margins, random)
    const seconds = { took: (at.monotonic - startedAt) / 1000, left: secondsLeft(entry, at) }
    if (look(entry, at) === "over") {
      // The waiting callers get the token, but it is not kept. The pause prevents one request for each later caller.
      const error = errorOf(
        new TokenError.InvalidResponse({ detail: "the token had expired when the response arrived" })
      )
      backoff.failed(key, { error, startedAt, now: at.monotonic, random })
      return telemetry.obtained(token, seconds, false)
    }
    backoff.succeeded(key, startedAt)
    // The credentials may have been replaced by those of another client during the request.
    if (token.clientId === currentClient) tokens.put(key, entry)
    return telemetry.obtained(token, seconds, hasRecovered)
  }

  const failed = (key: K, error: TokenError.TokenError, startedAt: number, random: number, isAwaited: boolean) => {
    if (error.reason._tag === "SignedOut") return Effect.sync(() => forget(key))
    // An error that is returned again during its pause is not a new failure.
    if (error.nextAttemptIn !== undefined) return Effect.void
    const at = now()
    const previous = backoff.last(key)?.error
    const held = usable(key)
    backoff.failed(key, { error, startedAt, now: at.monotonic, random })
    return telemetry.failed(error, {
      took: (at.monotonic - startedAt) / 1000,
      left: held === undefined ? undefined : secondsLeft(held, at),
      previous,
      isAwaited
    })
  }

  const flights = yield* makeSingleFlight<K, AccessToken, R>({
    name: options.name,
    keyAttribute: options.keyAttribute,
    endpoint,
    limit: totalTimeout,
    clock,
    run: Effect.fnUntraced(function* (key, asked) {
      const deadline = monotonic() + totalTimeout
      yield* pass(key, deadline, blocksFor(asked))
      const startedAt = monotonic()
      const exit = yield* Effect.exit(acquire(key, deadline, startedAt, asked))
      const random = yield* safeRandom
      const told = Exit.isSuccess(exit)
        ? succeeded(key, exit.value, startedAt, random)
        : Effect.flatMap(Effect.flip(exit), (error) => failed(key, error, startedAt, random, asked.isAwaited))
      // The program's logger may throw. The outcome stays the same.
      yield* Effect.ignoreCause(told)
      return (yield* exit).token
    })
  })

  yield* Effect.addFinalizer(() => Effect.sync(() => tokens.clear()))

  /** Returns a token from a request. Fails at once during a pause, unless the pause is short and stated. */
  const request = (key: K, asked: Asked): Effect.Effect<AccessToken, TokenError.TokenError> =>
    Effect.suspend(() => {
      if (flights.isInProgress(key) || flights.isClosed()) return flights.join(key, asked)
      const at = monotonic()
      const pause = backoff.holding(key, at, blocksFor(asked))
      return pause === undefined || isShort(pause, at, at + totalTimeout)
        ? flights.join(key, asked)
        : Effect.fail(replay(pause, at))
    })

  /** Returns a token from a request. If that fails, returns the one in memory as long as it is usable. */
  const requestOrKeep = (key: K, asked: Asked): Effect.Effect<AccessToken, TokenError.TokenError> =>
    Effect.catch(request(key, asked), (error) => usable(key)?.succeed ?? Effect.fail(error))

  const mayStart = (key: K): boolean =>
    !flights.isInProgress(key) && !flights.isClosed() && backoff.holding(key, monotonic()) === undefined

  const start = (key: K) => Effect.suspend(() => (mayStart(key) ? flights.start(key) : Effect.void))

  const get = (key: K): Effect.Effect<AccessToken, TokenError.TokenError> => {
    const entry = tokens.get(key)
    if (entry === undefined) return miss(key)
    const wall = clock.currentTimeMillisUnsafe()
    return wall < entry.freshUntil && wall >= entry.freshFrom ? hit(entry) : getSlowly(key, entry, wall)
  }

  const hit = (entry: Entry) => {
    tokens.use(entry)
    counts.hit++
    return entry.succeed
  }

  const getSlowly = (key: K, entry: Entry, wall: number): Effect.Effect<AccessToken, TokenError.TokenError> => {
    const phase = look(entry, { wall, monotonic: monotonic() })
    if (phase === "fresh") return hit(entry)
    if (phase === "over") return miss(key)
    tokens.use(entry)
    counts.stale++
    // During a pause, or another caller's request, a due token is returned from memory.
    if (phase === "due") {
      if (options.renewal === "background") return Effect.andThen(start(key), entry.succeed)
      return mayStart(key) ? requestOrKeep(key, awaited) : entry.succeed
    }
    return backoff.holding(key, monotonic()) === undefined ? requestOrKeep(key, awaited) : entry.succeed
  }

  /** The first token may come from a replica that requested it long ago. */
  const startIfDue = (key: K) =>
    Effect.suspend(() => {
      const entry = tokens.get(key)
      const isDue = entry !== undefined && look(entry, now()) !== "fresh"
      return isDue && options.renewal === "background" ? start(key) : Effect.void
    })

  const miss = (key: K) => {
    counts.miss++
    return Effect.tap(requestOrKeep(key, awaited), () => startIfDue(key))
  }

  const isYoung = (token: AccessToken, entry: Entry | undefined): boolean => {
    const at = now()
    // The age of a token that is not in memory is known only on the wall clock, and not if that was set back.
    const age =
      entry !== undefined && isSame(entry.token, token) ? ageOf(entry, at) : at.wall - token.issuedAt.epochMilliseconds
    return age >= 0 && age < replaceAfter
  }

  const warmUp = (key: K): Effect.Effect<void> =>
    Effect.catch(Effect.asVoid(requestOrKeep(key, quietly)), () =>
      Effect.suspend(() => {
        if (flights.isClosed()) return Effect.void
        const at = monotonic()
        const wait = Math.max(1_000, Math.ceil((backoff.holding(key, at)?.until ?? at) - at))
        return Effect.andThen(Effect.sleep(Duration.millis(wait)), warmUp(key))
      })
    )

  return {
    get,
    refresh: (key) => request(key, insistently),
    replace: (key, token) =>
      Effect.suspend(() => {
        const entry = usable(key)
        if (entry !== undefined && !isSame(entry.token, token)) return Effect.succeedSome(entry.token)
        if (isYoung(token, entry) || backoff.holding(key, monotonic()) !== undefined) return Effect.succeedNone
        options.onRejected?.(token)
        return Effect.map(
          Effect.option(flights.join(key, awaited)),
          Option.filter((another) => !isSame(another, token))
        )
      }),
    invalidate: (key, token) => {
      const entry = tokens.get(key)
      if (entry !== undefined && isSame(entry.token, token)) tokens.drop(key)
    },
    peek: (key) => {
      const entry = tokens.get(key)
      if (entry === undefined) return undefined
      const wall = clock.currentTimeMillisUnsafe()
      const isKnown = wall < entry.freshUntil && wall >= entry.freshFrom
      if (isKnown || look(entry, { wall, monotonic: monotonic() }) === "fresh") {
        hit(entry)
        return entry.token
      }
      return undefined
    },
    isReady: (key) =>
      Effect.suspend(() => {
        const entry = tokens.get(key)
        const phase = entry === undefined ? "over" : look(entry, now())
        return phase === "fresh" ? Effect.succeed(true) : Effect.as(start(key), phase !== "over")
      }),
    warmUp,
    status: (key) => {
      const at = now()
      const entry = tokens.get(key)
      const pause = backoff.holding(key, at.monotonic)
      const phase = entry === undefined ? "over" : look(entry, at)
      return {
        state: phase === "over" ? "none" : phase,
        expiresAt: entry?.token.expiresAt,
        lastFailure: backoff.last(key)?.error,
        nextAttemptIn: pause === undefined ? undefined : Duration.millis(pause.until - at.monotonic)
      }
    },
    keys: () => [...tokens.keys(), ...backoff.keys()],
    isInProgress: flights.isInProgress,
    adopt: (key, token) => {
      const held = tokens.get(key)?.token
      const isNews =
        held === undefined ||
        (!isSame(held, token) && held.issuedAt.epochMilliseconds <= token.issuedAt.epochMilliseconds)
      if (!isNews) return Effect.void
      return Effect.map(safeRandom, (random) => {
        const at = now()
        // The clock of the other replica may be ahead. Otherwise its token would count as one of the future.
        const issuedAt = Math.min(at.wall, token.issuedAt.epochMilliseconds)
        const entry = makeEntry(token, at.monotonic - (at.wall - issuedAt), options.margins, random)
        tokens.put(key, { ...entry, issuedAt: { ...entry.issuedAt, wall: issuedAt } })
      })
    },
    forget
  }
})
