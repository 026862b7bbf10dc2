/**
 * Provides a valid access token. Concurrent callers share one token request, and a token in memory is renewed in the
 * background before it expires.
 *
 * **Details**
 *
 * - Each requested scope set has its own token and its own shared request.
 * - A request reads the secret, then requests a token from IMS. It belongs to the cache, not to the caller that started
 *   it: interrupting a caller does not end it. Only closing the layer ends a request early. Then `get` fails with
 *   `Closed`.
 * - A token is `fresh` until 25 % of its life (at most 15 min, plus a random part) is left. It is returned from memory.
 *   Then the token is `due`: it is returned from memory, and one renewal runs in the background. When 10 %
 *   (at most 60 s) is left, the token is `late`: callers wait for the request. If the request fails, they get the old
 *   token, until 5 s before it expires.
 * - The age of a token is the larger of its ages on the wall clock and on the monotonic clock.
 * - A failed request does not affect callers while the token in memory is usable. After a failure, no request is made
 *   for 1 s. This pause doubles until a success, up to 10 s for failures that may pass, and up to 60 s for others. A
 *   wait that the server stated is respected, up to 15 min. During the pause, callers without a token get the same
 *   error at once, with `nextAttemptIn`. If the server stated a short wait, they wait.
 * - The secret is read for each request, so a rotated secret is used. After `InvalidClient` it is read once more. While
 *   the backend is unreachable or throttles, the credentials read last are used for at most 24 h.
 * - With a `TokenStore`, the replicas of an app share their tokens. The store is asked after the secret was read, and
 *   only where a token would be requested from IMS. By default a token is then `due` at 50 % of its life, at most 30 min.
 * - All services are those with which the layer was built. Services that a caller of `get` provides (`HttpClient`,
 *   `Environment`, `ConfigProvider`) do not change where the secret is sent.
 *
 * **Gotchas**
 *
 * {@link layer} and {@link layerWith} build a new cache on each use, so that two tenants in one program never share a
 * token. Each cache makes its own token requests: write the layer once, in one `const App`, and provide that.
 *
 * **Example** (Reading a token from memory)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, TokenCache } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("makes one token request for all callers", () =>
 *   Effect.gen(function* () {
 *     const cache = yield* TokenCache.TokenCache
 *     const fake = yield* FakeIms.FakeIms
 *     yield* Effect.all([cache.get(), cache.get()], { concurrency: "unbounded" })
 *     assert.strictEqual((yield* fake.tokenRequests).length, 1)
 *     assert.isTrue(yield* cache.isReady)
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { AccessToken } from "./AccessToken.ts"
import * as Environment from "./Environment.ts"
import { checkCount } from "./internal/checkOption.ts"
import { pinTransport } from "./internal/http/pinTransport.ts"
import { type Ask, makeAcquireToken } from "./internal/life/acquireToken.ts"
import { lastKnownGoodOf, marginsOf } from "./internal/life/options.ts"
import * as phase from "./internal/life/phase.ts"
import { makeRunRequest } from "./internal/life/runRequest.ts"
import { makeTokenLife } from "./internal/life/tokenLife.ts"
import { TokenStore } from "./internal/store/reference.ts"
import { RetryPolicy } from "./RetryPolicy.ts"
import * as Scopes from "./Scopes.ts"
import { SecretProvider } from "./SecretProvider.ts"
import type * as TokenError from "./TokenError.ts"
import * as TokenRequest from "./TokenRequest.ts"

/**
 * Describes what the cache knows about one scope set.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  readonly scopes: Scopes.Scopes
  /**
   * `fresh`: `get` returns the token from memory. `due`: the next `get` also starts a renewal. `late`: the next
   * `get` waits for a new token, and returns the old one if that fails. `none`: there is no usable token.
   */
  readonly state: "fresh" | "due" | "late" | "none"
  /** When the token in memory expires, if there is one. */
  readonly expiresAt: AccessToken["expiresAt"] | undefined
  /** Why the last request failed, if none has succeeded since. */
  readonly lastFailure: TokenError.TokenError | undefined
  /** The time until the next request may be made, during a pause. */
  readonly nextAttemptIn: Duration.Duration | undefined
}

/**
 * Provides access tokens, and tells their state.
 *
 * @category services
 * @since 0.1.0
 */
export class TokenCache extends Context.Service<
  TokenCache,
  {
    /** Returns a valid token for the scopes: from memory, from the request in progress, or from a new one. */
    readonly get: (scopes?: Scopes.Scopes) => Effect.Effect<AccessToken, TokenError.TokenError>
    /**
     * Returns a token from IMS, even if one is in memory: from the request in progress, or from a new one. The pause
     * after a failure applies to `refresh` too, but for 10 s at most if no server stated it.
     */
    readonly refresh: (scopes?: Scopes.Scopes) => Effect.Effect<AccessToken, TokenError.TokenError>
    /**
     * Removes this token from memory and from the `TokenStore`, so that the next `get` requests one. A newer token of
     * the same scopes stays.
     */
    readonly invalidate: (token: AccessToken) => Effect.Effect<void>
    /**
     * Returns a token other than `token`, which an API rejected: the newer cached one if there is one, otherwise a new
     * one. Returns none if `token` is younger than 30 s, a pause holds, or the request fails. `token` stays in memory
     * until there is a new one.
     */
    readonly replace: (token: AccessToken) => Effect.Effect<Option.Option<AccessToken>>
    /** Returns the token from memory if it is `fresh`, otherwise undefined. For code that can't run an effect. */
    readonly peekUnsafe: (scopes?: Scopes.Scopes) => AccessToken | undefined
    /** Describes the default scope set, and each one that has a token or an own failure. Makes no request. */
    readonly status: Effect.Effect<ReadonlyArray<Status>>
    /**
     * Returns whether there is a usable token for the default scopes, for readiness probes. If there is none or it is
     * due, and no pause holds, this starts a request without waiting for it. So a replica without traffic becomes ready
     * too.
     */
    readonly isReady: Effect.Effect<boolean>
    /** The environment with which the cache was built. */
    readonly environment: Environment.Environment
  }
>()("@effect-itwin/core/TokenCache") {}

/**
 * Describes a time before the expiry of a token: a part of its life, limited by `atMost`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Margin {
  /** A part of the token's life, from 0 to 1. */
  readonly ofLife: number
  readonly atMost: Duration.Input
}

/**
 * Sets the options of the cache.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The cache's name in metrics and logs; `default` by default. */
  readonly name?: string | undefined
  /** The scopes of `get()` without arguments; `itwin-platform` by default. */
  readonly scopes?: Scopes.Scopes | undefined
  /**
   * When renewal begins: `{ ofLife: 0.25, atMost: "15 minutes" }` before expiry by default. With a `TokenStore`,
   * `{ ofLife: 0.5, atMost: "30 minutes" }`: a fleet that shares its tokens can renew early, and outlasts longer outages.
   */
  readonly soft?: Margin | undefined
  /** When callers wait for the new token: `{ ofLife: 0.1, atMost: "1 minute" }` before expiry by default. */
  readonly hard?: Margin | undefined
  /** The part of the life, from 0 to 1, by which renewal may begin earlier: random for each token, 0.1 by default. */
  readonly jitter?: number | undefined
  /** The number of tokens to keep, at least 1; 1,000 by default. The least recently used token is dropped first. */
  readonly maxKeys?: number | undefined
  /** How long the credentials read last are used while their backend is unreachable or throttles; 24 h by default. */
  readonly lastKnownGood?: Duration.Input | undefined
  /**
   * Whether the pause after a failure grows; true by default. During a pause, callers without a token get the last
   * error again, without a request. If false, a pause that no server stated always lasts 1 s: for an interactive tool,
   * where a person fixes something and retries immediately.
   */
  readonly replayFailures?: boolean | undefined
  /**
   * `background`, the default: a renewal runs in the background. `inline`: the caller that finds the token due waits
   * for the renewal, and gets the old token if that fails. Then no request runs without a caller, which serverless and
   * edge runtimes need.
   */
  readonly renewal?: "background" | "inline" | undefined
  /**
   * Requests the first token when the layer is built, and again until the first success. The build does not wait for
   * it. Each failure is logged as a warning. False by default.
   */
  readonly warmUp?: boolean | undefined
}

/**
 * Builds a token cache that is closed with the scope. Fails with a `ConfigError` if no `Environment` is provided and
 * the variables of `Environment.config` are invalid. Dies with a `RangeError` if an option is invalid.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options?: Options
) => Effect.Effect<TokenCache["Service"], Config.ConfigError, SecretProvider | HttpClient.HttpClient | Scope.Scope> =
  Effect.fnUntraced(function* (options: Options = {}) {
    const { name = "default", scopes: defaultScopes = Scopes.itwinPlatform, maxKeys = 1000 } = options
    checkCount("TokenCache: maxKeys", maxKeys)
    const store = yield* TokenStore
    const softDefault = store === undefined ? phase.defaults.soft : phase.softWithStore
    const margins = marginsOf("TokenCache", options, softDefault)
    const environment = yield* Environment.configured
    const clock = yield* Clock.Clock
    const now = () => phase.monotonicMillis(clock)
    const policy = yield* RetryPolicy
    const client = yield* HttpClient.HttpClient
    const replayFailures = options.replayFailures ?? true
    const sharing = store?.share({ clock, endpoint: environment.tokenEndpoint, replayFailures })

    const run = makeRunRequest({ environment, policy, now, client, withOwnTransport: yield* pinTransport(client) })
    const send: Ask<Scopes.Scopes> = (credentials, scopes, attempt) =>
      Effect.map(run(TokenRequest.send({ credentials, scopes }), attempt), ({ answer, bornAt }) => ({
        token: answer,
        bornAt
      }))

    const life = yield* makeTokenLife({
      name,
      endpoint: environment.tokenEndpoint,
      policy,
      margins,
      maxKeys,
      replayFailures,
      renewal: options.renewal ?? "background",
      onRejected: sharing?.reject,
      acquire: makeAcquireToken({
        provider: yield* SecretProvider,
        endpoint: environment.tokenEndpoint,
        lastKnownGood: lastKnownGoodOf("TokenCache", options.lastKnownGood),
        now,
        ask: sharing?.ask(send) ?? send
      })
    })

    if (options.warmUp === true) yield* Effect.forkScoped(life.warmUp(defaultScopes))

    const getDefault = Effect.suspend(() => life.get(defaultScopes))

    return {
      environment,
      get: (scopes) => (scopes === undefined ? getDefault : Effect.suspend(() => life.get(scopes))),
      refresh: (scopes = defaultScopes) => {
        const refresh = life.refresh(scopes)
        return sharing?.fromIms(refresh) ?? refresh
      },
      replace: (token) => life.replace(token.requestedScopes, token),
      invalidate: (token) =>
        Effect.suspend(() => {
          life.invalidate(token.requestedScopes, token)
          return sharing?.drop(token) ?? Effect.void
        }),
      peekUnsafe: (scopes = defaultScopes) => life.peek(scopes),
      isReady: life.isReady(defaultScopes),
      status: Effect.sync(() =>
        [...new Set([defaultScopes, ...life.keys()])].map((scopes) => ({ scopes, ...life.status(scopes) }))
      )
    }
  })

/**
 * Builds a token cache with options, a new one on each use.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: Options
): Layer.Layer<TokenCache, Config.ConfigError, SecretProvider | HttpClient.HttpClient> =>
  Layer.fresh(Layer.effect(TokenCache, make(options)))

/**
 * Builds the token cache with its defaults, a new one on each use.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<TokenCache, Config.ConfigError, SecretProvider | HttpClient.HttpClient> = layerWith({})
