/**
 * Keeps users signed in: gives a valid access token for a session, and renews it with the refresh token.
 *
 * A session begins with {@link UserTokens.open}, after `AuthorizationCode.redeem`. Its id is the secret that the user's
 * browser keeps in a cookie. `cacheOf(id)` is a `TokenCache` for that one user, so `ITwinHttpClient` and the functions
 * over it work for users as they do for the app.
 *
 * **Details**
 *
 * - The `SessionStore` is read on each use. So a sign-out holds on every replica at once, and a token that another
 *   replica renewed is used.
 * - The life of a token is that of `TokenCache`: one renewal at a time, in the background before the token expires, and
 *   one pause after a failure. A failure of the app (its secret, a rate limit) holds for all users; one of a user's
 *   refresh token only for this session.
 * - Renewals of one session run one after the other in all replicas, under the lock of the store. The store is read again
 *   under the lock. The new refresh token is stored before the access token is handed out.
 * - A renewal that was sent is finished: neither a caller nor the end of the layer interrupts it. If the store fails
 *   then, the new tokens are kept in memory, and stored first at the next attempt.
 * - If IMS rejects the refresh token (`invalid_grant`), and no other replica has replaced it, the session ends. If the
 *   answer to an earlier renewal was lost, it ends with the access token that it has.
 * - Without a refresh token (`offline_access` was not requested), a session ends with its access token.
 *
 * **Gotchas**
 *
 * All replicas must share one `SessionStore`. With a store for each replica, two renewals at once lose the session: IMS
 * sees the refresh token used twice, and ends it.
 *
 * **Example** (From the sign-in to the sign-out)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { AuthorizationCode, ITwinHttpClient, Scopes, SessionStore, TokenCache, Users, UserTokens } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const redirectUri = "https://app.example.com/callback"
 * const App = UserTokens.layer.pipe(
 *   Layer.provide(SessionStore.layerMemory),
 *   Layer.provideMerge(FakeIms.layerTest({ app: { name: "Web", type: "web", redirectUris: [redirectUri] } }))
 * )
 *
 * it.effect("calls an API as the user", () =>
 *   Effect.gen(function* () {
 *     const fake = yield* FakeIms.FakeIms
 *     yield* fake.addUser({ email: "ada@example.com" })
 *     const users = yield* UserTokens.UserTokens
 *     const credentials = yield* users.credentials
 *     const { transaction, url } = yield* AuthorizationCode.start({
 *       clientId: credentials.clientId,
 *       redirectUri,
 *       scopes: Scopes.make("itwin-platform offline_access openid")
 *     })
 *     const callback = yield* fake.signIn(Redacted.value(url))
 *     const id = yield* users.open(yield* AuthorizationCode.redeem(callback.searchParams, transaction, credentials))
 *
 *     const client = yield* ITwinHttpClient.make().pipe(
 *       Effect.provideService(TokenCache.TokenCache, users.cacheOf(id))
 *     )
 *     const me = yield* Users.me.pipe(Effect.provideService(ITwinHttpClient.ITwinHttpClient, client))
 *     assert.strictEqual(me.email, "ada@example.com")
 *
 *     yield* users.close(id)
 *     const error = yield* Effect.flip(users.get(id))
 *     assert.strictEqual(error.reason._tag, "SignedOut")
 *   }).pipe(Effect.provide(App))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { AccessToken } from "./AccessToken.ts"
import type { IdToken, SignedIn } from "./AuthorizationCode.ts"
import { type ClientCredentials, PublicClient } from "./ClientCredentials.ts"
import * as Environment from "./Environment.ts"
import { checkCount, checkLimit } from "./internal/checkOption.ts"
import { pinTransport } from "./internal/http/pinTransport.ts"
import { type Ask, makeAcquireToken } from "./internal/life/acquireToken.ts"
import { lastKnownGoodOf, marginsOf } from "./internal/life/options.ts"
import * as phase from "./internal/life/phase.ts"
import { readCredentials } from "./internal/life/readCredentials.ts"
import { makeRunRequest } from "./internal/life/runRequest.ts"
import { type Attempt, makeTokenLife, type TokenLife } from "./internal/life/tokenLife.ts"
import { isSame } from "./internal/life/tokens.ts"
import { makeCacheOf } from "./internal/session/cacheOf.ts"
import { type Client, type Known, makeRenewal } from "./internal/session/renewal.ts"
import { randomText } from "./internal/store/aead.ts"
import { revoke as revokeToken } from "./internal/users/revoke.ts"
import { RetryPolicy } from "./RetryPolicy.ts"
import type * as Scopes from "./Scopes.ts"
import { SecretProvider } from "./SecretProvider.ts"
import type { SecretProviderError } from "./SecretProviderError.ts"
import { makeId, Session, type SessionId, SessionStore } from "./SessionStore.ts"
import type * as TokenCache from "./TokenCache.ts"
import type * as TokenError from "./TokenError.ts"

/**
 * Describes a session without its tokens.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionInfo {
  /** Names the session in logs and spans. Not its id. */
  readonly key: string
  readonly clientId: string
  readonly scopes: Scopes.Scopes
  /** The claims of the user. */
  readonly user: IdToken | undefined
  readonly signedInAt: DateTime.Utc
  /** When the user must sign in again. */
  readonly expiresAt: DateTime.Utc
}

/**
 * Provides the access tokens of users by the ids of their sessions.
 *
 * @category services
 * @since 0.1.0
 */
export class UserTokens extends Context.Service<
  UserTokens,
  {
    /** Begins a session under a new id. Fails with `SessionUnavailable` if it can't be stored. */
    readonly open: (signedIn: SignedIn) => Effect.Effect<SessionId, TokenError.TokenError>
    /** Reads the session. Fails with `SignedOut` if there is none. */
    readonly session: (id: SessionId) => Effect.Effect<SessionInfo, TokenError.TokenError>
    /** Reads the session, and returns a valid access token. Fails with `SignedOut` if there is none. */
    readonly get: (id: SessionId) => Effect.Effect<AccessToken, TokenError.TokenError>
    /**
     * Returns the tokens of one session as a `TokenCache`. Its `get` and `refresh` accept scopes of the session only;
     * others fail with `InvalidScope`. Its `peekUnsafe` always returns undefined, because the store must be read.
     * `refresh` fails with `SignedOut` if the session has no refresh token.
     */
    readonly cacheOf: (id: SessionId) => TokenCache.TokenCache["Service"]
    /**
     * Ends the session: removes it from the store, then revokes its refresh token at IMS. A failed revocation is logged.
     * Returns the id token, which `AuthorizationCode.endSessionUrl` accepts.
     */
    readonly close: (
      id: SessionId
    ) => Effect.Effect<{ readonly idToken: Redacted.Redacted | undefined }, TokenError.TokenError>
    /** Reads the credentials of the app, within `totalTimeout` of `RetryPolicy`. */
    readonly credentials: Effect.Effect<ClientCredentials | PublicClient, SecretProviderError>
    /** The environment with which the layer was built. */
    readonly environment: Environment.Environment
  }
>()("@effect-itwin/core/UserTokens") {}

/**
 * Sets the options of users' tokens.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The name in metrics and logs; `users` by default. */
  readonly name?: string | undefined
  /** How long a user stays signed in, whatever is renewed meanwhile; 24 h by default. */
  readonly life?: Duration.Input | undefined
  /** When renewal begins: `{ ofLife: 0.25, atMost: "15 minutes" }` before expiry by default. */
  readonly soft?: TokenCache.Margin | undefined
  /** When callers wait for the new token: `{ ofLife: 0.1, atMost: "1 minute" }` before expiry by default. */
  readonly hard?: TokenCache.Margin | undefined
  /** The part of the life, from 0 to 1, by which renewal may begin earlier: random for each token, 0.1 by default. */
  readonly jitter?: number | undefined
  /** The number of sessions to remember in this process, at least 1; 10,000 by default. The store keeps the others. */
  readonly maxKeys?: number | undefined
  /** As in `TokenCache.Options`. */
  readonly replayFailures?: boolean | undefined
  /** As in `TokenCache.Options`. */
  readonly renewal?: "background" | "inline" | undefined
}

/**
 * Sets the options of a web app, whose secret a `SecretProvider` reads.
 *
 * @category models
 * @since 0.1.0
 */
export interface WebOptions extends Options {
  /** How long the credentials read last are used while their backend is unreachable or throttles; 24 h by default. */
  readonly lastKnownGood?: Duration.Input | undefined
}

/**
 * Sets the options of a public client: a native or a single-page app.
 *
 * @category models
 * @since 0.1.0
 */
export interface PublicOptions extends Options {
  readonly clientId: string
}

interface Services {
  readonly environment: Environment.Environment
  readonly now: () => number
}

/** What differs between an app with a secret and a public client. */
interface App {
  readonly credentials: Effect.Effect<Client, SecretProviderError>
  readonly acquire: (
    services: Services,
    ask: Ask<string, Client>
  ) => Parameters<typeof makeTokenLife<string, never>>[0]["acquire"]
}

type Life = TokenLife<string>

const makeWith = Effect.fnUntraced(function* (
  app: App,
  options: Options
): Effect.fn.Return<UserTokens["Service"], Config.ConfigError, SessionStore | HttpClient.HttpClient | Scope.Scope> {
  const { maxKeys = 10_000, name = "users" } = options
  checkCount("UserTokens: maxKeys", maxKeys)
  const longest = checkLimit("UserTokens: life", options.life ?? "24 hours")
  const margins = marginsOf("UserTokens", options, phase.defaults.soft)
  const store = yield* SessionStore
  const environment = yield* Environment.configured
  const clock = yield* Clock.Clock
  const policy = yield* RetryPolicy
  const client = yield* HttpClient.HttpClient
  const endpoint = environment.tokenEndpoint
  const now = () => phase.monotonicMillis(clock)

  const sessions = new Map<string, Known>()
  const forget = (key: string) => {
    sessions.delete(key)
    life.forget(key)
  }
  const withOwnTransport = yield* pinTransport(client)
  const run = makeRunRequest({ environment, policy, now, client, withOwnTransport })

  /** A refresh token that is not revoked ends by itself, so a failure is only logged. */
  const revoke = (token: Redacted.Redacted): Effect.Effect<void> =>
    app.credentials.pipe(
      Effect.flatMap((credentials) => revokeToken(environment, credentials, token, "refresh_token")),
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.updateContext(withOwnTransport),
      Effect.provideService(RetryPolicy, policy),
      Effect.timeout(policy.totalTimeout),
      Effect.catchCause((cause) => {
        const error = Option.getOrUndefined(Cause.findErrorOption(cause))
        const why = error === undefined || Cause.hasDies(cause) ? "The program failed." : error.message
        return Effect.ignoreCause(Effect.logWarning(`A refresh token was not revoked, and stays valid at IMS. ${why}`))
      }),
      Effect.annotateLogs("itwin.auth.cache", name)
    )

  // Before the life of the tokens, so that its end comes later: it waits for the renewals that were sent.
  const renewal = yield* makeRenewal({
    store,
    endpoint,
    clock,
    now,
    run,
    known: (key) => sessions.get(key),
    unsaved: () => [...sessions.values()].filter(({ unsaved }) => unsaved !== undefined),
    forget,
    revoke
  })
  const acquire = app.acquire({ environment, now }, renewal.ask)
  const life: Life = yield* makeTokenLife<string, never>({
    name,
    keyAttribute: "itwin.session",
    endpoint,
    policy,
    margins,
    maxKeys,
    replayFailures: options.replayFailures ?? true,
    renewal: options.renewal ?? "background",
    acquire: (key, attempt) => {
      // The token for which the renewal was started, not one that another replica brings meanwhile.
      const held = attempt.held()
      return acquire(key, { ...attempt, held: () => held })
    }
  })

  /** Remembers the session. Forgets the one that was used longest ago, unless it is being renewed. */
  const remember = (id: SessionId, key: string): Known => {
    const known = sessions.get(key) ?? { id, key, rejected: undefined, lost: undefined, unsaved: undefined }
    sessions.delete(key)
    sessions.set(key, known)
    if (sessions.size > maxKeys) {
      for (const [other, { unsaved }] of sessions) {
        if (unsaved !== undefined || other === key || life.isInProgress(other)) continue
        sessions.delete(other)
        break
      }
    }
    return known
  }

  /** Reads the session from the store, and takes the token that it has now. */
  const look = Effect.fnUntraced(
    function* (id: SessionId) {
      const session = yield* renewal.read(id, "unknown")
      const { accessToken, key, refreshToken } = session
      if (refreshToken === undefined) return session
      const { rejected } = remember(id, key)
      if (rejected === undefined || !isSame(rejected, accessToken)) yield* life.adopt(key, accessToken)
      return session
    },
    Effect.provideService(Clock.Clock, clock)
  )

  const cacheOf = makeCacheOf({
    environment,
    life,
    look,
    reject: (key, token) => {
      const known = sessions.get(key)
      if (known !== undefined) known.rejected = token
    }
  })

  const stored = Effect.mapError(renewal.unavailable)

  return {
    environment,
    credentials: app.credentials,
    open: Effect.fnUntraced(
      function* ({ accessToken, claims, idToken, refreshToken }: SignedIn) {
        const id = yield* makeId
        const signedInAt = yield* DateTime.now
        const latest = DateTime.addDuration(signedInAt, longest)
        const session = new Session({
          key: randomText(12),
          clientId: accessToken.clientId,
          scopes: accessToken.scopes,
          accessToken,
          refreshToken,
          idToken,
          user: claims,
          signedInAt,
          expiresAt: refreshToken === undefined ? DateTime.min(latest, accessToken.expiresAt) : latest
        })
        const isLost = refreshToken === undefined ? Effect.void : revoke(refreshToken)
        yield* Effect.tapError(stored(store.set(id, session, { create: true })), () => isLost)
        return id
      },
      Effect.provideService(Clock.Clock, clock)
    ),
    session: (id) =>
      Effect.map(look(id), ({ clientId, expiresAt, key, scopes, signedInAt, user }) => ({
        key,
        clientId,
        scopes,
        user,
        signedInAt,
        expiresAt
      })),
    get: (id) => cacheOf(id).get(),
    cacheOf,
    close: Effect.fnUntraced(
      function* (id: SessionId) {
        const session = Option.getOrUndefined(yield* stored(store.get(id)))
        const ending = Effect.gen(function* () {
          // Also one that is unreadable here: another replica may have its key.
          yield* stored(store.remove(id))
          if (session === undefined) return
          const { key, refreshToken } = session
          const unsaved = sessions.get(key)?.unsaved
          forget(key)
          for (const token of [refreshToken, unsaved?.session.refreshToken])
            if (token !== undefined) yield* revoke(token)
        })
        yield* renewal.finish(ending)
        return { idToken: session?.idToken }
      },
      Effect.provideService(Clock.Clock, clock)
    )
  }
})

/**
 * Builds the tokens of a web app's users. Its secret is read for each renewal, so that a rotated one is used.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options?: WebOptions
) => Effect.Effect<
  UserTokens["Service"],
  Config.ConfigError,
  SecretProvider | SessionStore | HttpClient.HttpClient | Scope.Scope
> = Effect.fnUntraced(function* (options: WebOptions = {}) {
  const provider = yield* SecretProvider
  const { totalTimeout } = yield* RetryPolicy
  const lastKnownGood = lastKnownGoodOf("UserTokens", options.lastKnownGood)
  return yield* makeWith(
    {
      credentials: readCredentials(provider, totalTimeout),
      acquire: ({ environment, now }, ask) =>
        makeAcquireToken({ provider, endpoint: environment.tokenEndpoint, lastKnownGood, now, ask })
    },
    options
  )
})

/**
 * Builds the tokens of the users of a public client: a native or a single-page app.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makePublic: (
  options: PublicOptions
) => Effect.Effect<UserTokens["Service"], Config.ConfigError, SessionStore | HttpClient.HttpClient | Scope.Scope> = (
  options
) =>
  Effect.suspend(() => {
    const client = new PublicClient({ clientId: options.clientId })
    return makeWith(
      {
        credentials: Effect.succeed(client),
        acquire: (_services, ask) => (key: string, attempt: Attempt) =>
          attempt.mayContinue.pipe(
            Effect.andThen(attempt.useClient(client.clientId)),
            Effect.andThen(ask(client, key, attempt))
          )
      },
      options
    )
  })

/**
 * Provides the tokens of a web app's users, with a new memory on each use.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: WebOptions
): Layer.Layer<UserTokens, Config.ConfigError, SecretProvider | SessionStore | HttpClient.HttpClient> =>
  Layer.fresh(Layer.effect(UserTokens, make(options)))

/**
 * Provides the tokens of a web app's users with the default options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<UserTokens, Config.ConfigError, SecretProvider | SessionStore | HttpClient.HttpClient> =
  layerWith({})

/**
 * Provides the tokens of the users of a public client, with a new memory on each use.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPublic = (
  options: PublicOptions
): Layer.Layer<UserTokens, Config.ConfigError, SessionStore | HttpClient.HttpClient> =>
  Layer.fresh(Layer.effect(UserTokens, makePublic(options)))
