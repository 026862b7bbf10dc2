/**
 * The token, valid whenever it is asked for: one request however many ask, memory while the token is young, renewal in
 * the background before it is old.
 *
 * **Details**
 *
 * - The key is the requested scope set; each has its own token and its own flight.
 * - A flight (read the secret, ask IMS) belongs to the cache, not to the caller that started it: callers share its
 *   outcome, come and go, and none harms another. Only closing the layer ends it early; then `get` fails with `Closed`.
 * - Two thresholds. Before *soft* (25 % of the life, at most 15 min, before expiry, less a random part) the token comes
 *   from memory. Between soft and *hard* (10 %, at most 60 s) it does too, and one renewal runs in the background. After
 *   hard, callers wait for the flight; if that fails for a reason that may pass, the old token serves until 5 s before
 *   it expires.
 * - A renewal that fails fails nobody who holds a token, and is not repeated for 30 s. A `Retry-After` of IMS holds back
 *   all requests, at most 15 min.
 * - Failures are not cached; but one that lasts (`InvalidClient`, `UnauthorizedClient`, `InvalidScope`) is replayed for
 *   5 s, doubling to 60 s. `refresh` goes past that.
 * - The secret is read once in each flight, so a rotated one is picked up by itself; after `InvalidClient` it is read
 *   once more. While the backend is down, the last credentials that gave a token serve, at most 24 h.
 * - All services are taken when the layer is built. What a caller of `get` provides (`HttpClient`, `Environment`,
 *   `ConfigProvider` …) has no effect on where the secret goes.
 *
 * **Gotchas**
 *
 * Layers are memoised by reference: two tenants that both use the constant {@link layer} in one graph share one cache,
 * and so one token. Give each its own {@link layerWith}, or wrap the tenant's whole stack in `Layer.fresh`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { AccessToken } from "./AccessToken.ts"
import * as Environment from "./Environment.ts"
import { checkCount, checkDuration, checkOption } from "./internal/checkOption.ts"
import { withoutRedirects } from "./internal/http/fetchOptions.ts"
import { makeFlight } from "./internal/life/acquireToken.ts"
import { makeSetbacks } from "./internal/life/backoff.ts"
import * as thresholds from "./internal/life/phase.ts"
import { makeFlights } from "./internal/life/singleFlight.ts"
import { makeTelemetry } from "./internal/life/telemetry.ts"
import { type Entry, isSame, makeEntry, makeTokenStore } from "./internal/life/tokens.ts"
import * as Scopes from "./Scopes.ts"
import { SecretProvider } from "./SecretProvider.ts"
import * as TokenError from "./TokenError.ts"

/**
 * What is known of one scope set, without asking anybody.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  readonly scopes: Scopes.Scopes
  /**
   * `fresh`: a token from memory; `stale`: a token that is due for renewal, and serves, or that is being replaced;
   * `cooling`: no token, and IMS is not asked for a while; `empty`: no token, and the next `get` asks.
   */
  readonly state: "fresh" | "stale" | "cooling" | "empty"
  readonly expiresAt: AccessToken["expiresAt"] | undefined
  /** Why the last flight failed, if it did. */
  readonly lastFailure: TokenError.TokenError | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class TokenCache extends Context.Service<
  TokenCache,
  {
    /** A valid token for the scopes: from memory, from a flight in progress, or from a new one. */
    readonly get: (scopes?: Scopes.Scopes) => Effect.Effect<AccessToken, TokenError.TokenError>
    /** A token from IMS, whatever is in memory: joins the flight in progress, else starts one. */
    readonly refresh: (scopes?: Scopes.Scopes) => Effect.Effect<AccessToken, TokenError.TokenError>
    /** Forgets this token, so that the next `get` asks. A newer token of the same scopes stays. */
    readonly invalidate: (token: AccessToken) => Effect.Effect<void>
    /**
     * Another token than this one, which an API refused: the one that came meanwhile, or a new one. None for a token
     * younger than 30 s, after another such request for the scopes less than 30 s ago, and if there is no new token;
     * the old one stays then.
     */
    readonly replace: (token: AccessToken) => Effect.Effect<Option.Option<AccessToken>>
    /** The token from memory, if it is not due for renewal; for code that can't wait. */
    readonly peekUnsafe: (scopes?: Scopes.Scopes) => AccessToken | undefined
    /** The state of each scope set that was asked for, and of the default one. For readiness probes: no network. */
    readonly status: Effect.Effect<ReadonlyArray<Status>>
    /** Where tokens come from, and where they may be sent. */
    readonly environment: Environment.Environment
  }
>()("@effect-itwin/core/TokenCache") {}

/**
 * How long before a token expires: a part of its life, and at most this long.
 *
 * @category models
 * @since 0.1.0
 */
export interface Margin {
  /** From 0 to 1. */
  readonly ofLife: number
  readonly atMost: Duration.Input
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The cache's name in metrics and logs; `default` by default. */
  readonly name?: string | undefined
  /** The scopes of `get()` without arguments; `itwin-platform` by default. */
  readonly scopes?: Scopes.Scopes | undefined
  /** When renewal begins: `{ ofLife: 0.25, atMost: "15 minutes" }` before expiry by default. */
  readonly soft?: Margin | undefined
  /** When callers wait for the new token: `{ ofLife: 0.1, atMost: "1 minute" }` before expiry by default. */
  readonly hard?: Margin | undefined
  /** The part of the life, from 0 to 1, by which renewal may begin earlier, at random for each token; 0.1 by default. */
  readonly jitter?: number | undefined
  /** Tokens kept, one for each scope set, at least 1; the least recently used goes first. 1,000 by default. */
  readonly maxKeys?: number | undefined
  /** How long the last credentials that gave a token serve while their backend is down; 24 h by default. */
  readonly lastKnownGood?: Duration.Input | undefined
  /** Whether failures that last are replayed for a while without asking IMS; true by default. */
  readonly replayFailures?: boolean | undefined
  /**
   * `background`, the default: renewal runs beside the program. `inline`: the caller that finds the token due renews it,
   * and gets the old one if that fails; nothing runs when no caller waits, as serverless and edge runtimes want it.
   */
  readonly refresh?: "background" | "inline" | undefined
  /**
   * Starts the first flight when the layer is built, without waiting for it; false by default. Its failure is logged as
   * a warning and does not fail the layer.
   */
  readonly warmUp?: boolean | undefined
}

const replaceMillis = 30_000

const millisOf = (name: string, input: Duration.Input): number =>
  Duration.toMillis(checkDuration(`TokenCache: ${name}`, input))

const marginOf = (name: string, { atMost, ofLife }: Margin): thresholds.Margin => {
  checkOption(`TokenCache: ${name}.ofLife`, ofLife, ofLife >= 0 && ofLife <= 1, "from 0 to 1")
  return { ofLife, atMost: millisOf(`${name}.atMost`, atMost) }
}

/**
 * Builds a token cache that lives as long as the scope. An option beyond its limits is a defect: a `RangeError`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options?: Options
) => Effect.Effect<TokenCache["Service"], never, SecretProvider | HttpClient.HttpClient | Scope.Scope> =
  Effect.fnUntraced(function* (options: Options = {}) {
    const environment = yield* Environment.current
    const clock = yield* Clock.Clock
    const provider = yield* SecretProvider
    const {
      name = "default",
      scopes: defaultScopes = Scopes.itwinPlatform,
      maxKeys = 1000,
      jitter = thresholds.defaults.jitter
    } = options
    checkCount("TokenCache: maxKeys", maxKeys)
    checkOption("TokenCache: jitter", jitter, jitter >= 0 && jitter <= 1, "from 0 to 1")
    const margins: thresholds.Margins = {
      soft: marginOf("soft", options.soft ?? thresholds.defaults.soft),
      hard: marginOf("hard", options.hard ?? thresholds.defaults.hard),
      jitter
    }
    const endpoint = environment.tokenEndpoint
    const now = () => clock.currentTimeMillisUnsafe()
    const tokens = makeTokenStore(maxKeys)
    const setbacks = makeSetbacks({ capacity: maxKeys, replay: options.replayFailures ?? true })
    const telemetry = makeTelemetry(name)
    const replacedAt = new Map<Scopes.Scopes, number>()
    let clientId: string | undefined

    const flight = makeFlight({
      provider,
      endpoint,
      now,
      lastKnownGood: millisOf("lastKnownGood", options.lastKnownGood ?? "24 hours"),
      tokenOf: (key) => tokens.get(key)?.token,
      requestInit: yield* withoutRedirects(yield* HttpClient.HttpClient),
      onRead: (credentials) => {
        const previous = clientId
        clientId = credentials.clientId
        if (previous === undefined || previous === clientId) return Effect.void
        tokens.clear()
        return Effect.logWarning(
          `The secret provider gives another client id: ${clientId} after ${previous}. The old client's tokens are dropped.`
        )
      }
    })

    const flights = yield* makeFlights({
      endpoint,
      name,
      run: flight,
      onSuccess: (key, token, started, random) =>
        Effect.suspend(() => {
          const recovered = setbacks.lastFailure(key) !== undefined
          setbacks.succeeded(key)
          const entry = makeEntry(token, margins, random, now())
          const old = tokens.get(key)
          if (old?.isRefused === true) tokens.drop(key, old)
          // One that is over by now is handed to those who wait, and not kept: nobody loops. Nor is one of another
          // client, whose credentials were replaced while it was on its way.
          if (now() < entry.hard && token.clientId === clientId) tokens.put(key, entry)
          return telemetry.obtained(token, started, now(), recovered)
        }),
      onFailure: (key, error, started, random, isAsked) =>
        Effect.suspend(() => {
          setbacks.failed(key, error, now(), random)
          return telemetry.failed(error, started, now(), tokens.get(key)?.expiry, isAsked)
        }),
      onEnd: (key) => {
        const entry = tokens.get(key)
        if (entry !== undefined) entry.isRefused = false
      }
    })

    yield* Effect.addFinalizer(() => Effect.sync(() => tokens.clear()))

    /** The old token after all: if it lives and the failure may pass, or it was only held back to be replaced. */
    const oldToken = (
      key: Scopes.Scopes,
      error: TokenError.TokenError
    ): Effect.Effect<AccessToken, TokenError.TokenError> => {
      const entry = tokens.get(key)
      const mayPass = error.isRetryable || error.reason._tag === "Transport"
      const at = now()
      const serves = entry !== undefined && (mayPass ? at < entry.last : entry.issuedAt <= at && at < entry.hard)
      return serves ? entry.succeed : Effect.fail(error)
    }

    const cooling = (): TokenError.TokenError | undefined => {
      const retryAfter = setbacks.cooling(now())
      return retryAfter === undefined
        ? undefined
        : new TokenError.TokenError({ reason: new TokenError.RateLimited({ retryAfter }), endpoint })
    }

    /** No token, or one past hard: the caller waits. */
    const wait = (key: Scopes.Scopes) =>
      Effect.suspend(() => {
        telemetry.count("miss")
        if (!flights.isFlying(key) && !flights.isClosed()) {
          const refusal = setbacks.refusal(key, now())
          if (refusal !== undefined) return Effect.fail(refusal)
          const held = cooling()
          if (held !== undefined) return oldToken(key, held)
        }
        return Effect.catch(flights.join(key), (error) => oldToken(key, error))
      })

    const mayRenew = (key: Scopes.Scopes) => {
      const at = now()
      return (
        !flights.isFlying(key) &&
        !setbacks.isQuiet(key, at) &&
        setbacks.cooling(at) === undefined &&
        setbacks.refusal(key, at) === undefined
      )
    }

    /** Between soft and hard: the token serves, and is renewed. */
    const renew = (key: Scopes.Scopes, entry: Entry) => {
      telemetry.count("stale")
      entry.lastUsed = now()
      if (!mayRenew(key)) return entry.succeed
      if (options.refresh === "inline") {
        // The flight took its time: the token may have come to its end meanwhile, or been dropped.
        return Effect.catch(flights.join(key), (error) =>
          tokens.get(key) === entry && now() < entry.last ? entry.succeed : Effect.fail(error)
        )
      }
      return Effect.andThen(flights.start(key), entry.succeed)
    }

    const get = (scopes: Scopes.Scopes = defaultScopes) =>
      Effect.suspend(() => {
        const entry = tokens.get(scopes)
        if (entry !== undefined) {
          const at = clock.currentTimeMillisUnsafe()
          // A clock that stands before the token's birth can't tell its age: that counts as past hard.
          if (at >= entry.issuedAt && !entry.isRefused) {
            if (at < entry.soft) {
              entry.lastUsed = at
              telemetry.count("hit")
              return entry.succeed
            }
            if (at < entry.hard) return renew(scopes, entry)
          }
        }
        return wait(scopes)
      })

    const refresh = (scopes: Scopes.Scopes = defaultScopes) =>
      Effect.suspend(() => {
        const held = flights.isFlying(scopes) || flights.isClosed() ? undefined : cooling()
        return held === undefined ? flights.join(scopes) : Effect.fail(held)
      })

    const replace = (token: AccessToken) =>
      Effect.suspend(() => {
        const key = token.requestedScopes
        const entry = tokens.get(key)
        const at = now()
        if (entry !== undefined && !isSame(entry.token, token) && at < entry.hard && !entry.isRefused) {
          return Effect.succeedSome(entry.token)
        }
        if (!flights.isFlying(key)) {
          const tooSoon = at < token.issuedAt.epochMilliseconds + replaceMillis
          const justDone = at < (replacedAt.get(key) ?? Number.NEGATIVE_INFINITY) + replaceMillis
          if (tooSoon || justDone || cooling() !== undefined) return Effect.succeedNone
          if (replacedAt.size >= maxKeys) replacedAt.clear()
          replacedAt.set(key, at)
        }
        // It serves nobody until the flight has landed, and again if there is no new one.
        if (entry !== undefined) entry.isRefused = true
        return Effect.option(flights.join(key))
      })

    const statusOf = (key: Scopes.Scopes): Status => {
      const at = now()
      const entry = tokens.get(key)
      const serves = entry !== undefined && at >= entry.issuedAt && at < entry.last
      const isHeld = setbacks.cooling(at) !== undefined || setbacks.refusal(key, at) !== undefined
      return {
        scopes: key,
        state: serves ? (at < entry.soft && !entry.isRefused ? "fresh" : "stale") : isHeld ? "cooling" : "empty",
        expiresAt: entry?.token.expiresAt,
        lastFailure: setbacks.lastFailure(key)
      }
    }

    if (options.warmUp === true) yield* flights.start(defaultScopes)

    return {
      environment,
      get,
      refresh,
      replace,
      invalidate: (token) =>
        Effect.sync(() => {
          const entry = tokens.get(token.requestedScopes)
          if (entry !== undefined && isSame(entry.token, token)) tokens.drop(token.requestedScopes, entry)
        }),
      peekUnsafe: (scopes = defaultScopes) => {
        const entry = tokens.get(scopes)
        const at = now()
        if (entry === undefined || entry.isRefused || at < entry.issuedAt || at >= entry.soft) return undefined
        entry.lastUsed = at
        return entry.token
      },
      status: Effect.sync(() =>
        [...new Set([defaultScopes, ...tokens.keys(), ...setbacks.keys()])].map((key) => statusOf(key))
      )
    }
  })

/**
 * A token cache with options. Each call gives a layer of its own, which is what several tenants in one graph need.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<TokenCache, never, SecretProvider | HttpClient.HttpClient> =>
  Layer.effect(TokenCache, make(options))

/**
 * The token cache with its defaults.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<TokenCache, never, SecretProvider | HttpClient.HttpClient> = layerWith({})
