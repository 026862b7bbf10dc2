/**
 * Keeps the sessions of users in Redis, so that all replicas of an app share them.
 *
 * Provide one of the layers to `UserTokens`. What a session is, is described in `SessionStore` of `@effect-itwin/core`:
 * Redis holds sealed text under the digest of the session's id. Who can read Redis can use no session.
 *
 * **Details**
 *
 * - A session is one key, written by `SET … PX`, and by `SET … PX … XX` when it is renewed: a session that was removed
 *   does not come back. Its lock is another key, taken by `SET … NX PX`. Redis 6 or newer, or Valkey.
 * - Keys end by themselves, a session with its longest life.
 * - The connection is opened for the first step and closed when it is idle. Redis may be down when the layer is built.
 * - While Redis is unreachable, users can't be served: `UserTokens` fails with `SessionUnavailable`.
 *
 * **Gotchas**
 *
 * A Redis that loses its data signs out all users. One that evicts keys when it is full (`allkeys-lru`) signs out some of
 * them. Use `maxmemory-policy noeviction` or `volatile-ttl`, and a replica for a failover.
 *
 * **Example** (Sessions of a web app)
 *
 * ```ts
 * import { UserTokens } from "@effect-itwin/core"
 * import { EnvSecretProvider } from "@effect-itwin/provider-env"
 * import { RedisSessionStore } from "@effect-itwin/store-redis"
 * import { Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * // ITWIN_SESSION_STORE_URL=rediss://:password@redis.example.com:6380
 * // ITWIN_SESSION_KEYS=<openssl rand -base64 32>
 * export const Tokens = UserTokens.layer.pipe(
 *   Layer.provide([RedisSessionStore.layerConfig(), EnvSecretProvider.layer, FetchHttpClient.layer])
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as SealedText from "@effect-itwin/core/SealedText"
import * as SessionStore from "@effect-itwin/core/SessionStore"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Address } from "./internal/address.ts"
import { makeSessions } from "./internal/sessions.ts"
import { connected, invalid, type Module, prefixConfig, settingsOf, urlConfig, urlOf } from "./internal/settings.ts"

/**
 * Sets how the store uses Redis.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The keys that seal sessions: 32 bytes in base64 each (`openssl rand -base64 32`), the same in each replica. The first
   * one seals, all of them open.
   */
  readonly keys: NonEmptyReadonlyArray<Redacted.Redacted>
  /** Stands before the name of each key; `effect-itwin:session:` by default. The access rules of Redis can name it. */
  readonly prefix?: string | undefined
  /**
   * The time limit of one step, 1 s by default. The store's own connection has another limit: a step that must connect
   * first may take 2 s longer.
   */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Sets how the store connects to Redis.
 *
 * @category models
 * @since 0.1.0
 */
export interface UrlOptions extends Options {
  /**
   * `redis://` or `rediss://` (TLS), then `user:password@` (percent-encoded) if needed, host, port (6379 by default) and
   * `/` with the number of a database.
   */
  readonly url: string | Redacted.Redacted
  /** The time after which an idle connection is closed, 10 s by default. */
  readonly idle?: Duration.Input | undefined
}

const sessions: Module = { name: "RedisSessionStore", prefix: "effect-itwin:session:" }

const overConnection = (address: Address, options: Options, idle?: Duration.Input) =>
  SessionStore.layer(connected(sessions, address, { ...options, idle }, makeSessions), options)

/**
 * Keeps sessions in a Redis server, over its own connection.
 *
 * **Details**
 *
 * Building the layer does not connect. An invalid option is a programming error: building the layer dies with a
 * `RangeError`, which quotes neither the URL nor a key.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerUrl = (options: UrlOptions): Layer.Layer<SessionStore.SessionStore> =>
  Layer.unwrap(Effect.sync(() => overConnection(urlOf(sessions, options.url), options, options.idle)))

/**
 * Keeps sessions through the program's own Redis client, for example the `NodeRedis` of `@effect/platform-node`, or a
 * client of a cluster.
 *
 * **Gotchas**
 *
 * `NodeRedis.layer` does not build while Redis is down. A program that must start then uses {@link layerUrl}. Set
 * `disableOfflineQueue: true` in its options; otherwise commands that timed out run later.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<SessionStore.SessionStore, never, Redis.Redis> =>
  SessionStore.layer(
    Effect.map(Redis.Redis, (redis) => makeSessions(settingsOf(sessions, "Redis", options), redis)),
    options
  )

const Keys = Config.Redacted("ITWIN_SESSION_KEYS").pipe(
  Config.mapEffect((text) => {
    const [first = "", ...others] = Redacted.value(text).split(",")
    const keys: NonEmptyReadonlyArray<Redacted.Redacted> = [
      Redacted.make(first),
      ...others.map((key) => Redacted.make(key))
    ]
    return Result.isSuccess(Result.try(() => SealedText.make(keys)))
      ? Effect.succeed(keys)
      : Effect.fail(
          invalid(
            "ITWIN_SESSION_KEYS",
            "keys of 32 bytes in base64, separated by commas. `openssl rand -base64 32` prints one."
          )
        )
  })
)

/**
 * Keeps sessions in the Redis server that variables name.
 *
 * | variable                     | content                                                                           |
 * | ---------------------------- | --------------------------------------------------------------------------------- |
 * | `ITWIN_SESSION_STORE_URL`    | the URL of Redis, as in {@link UrlOptions}                                         |
 * | `ITWIN_SESSION_STORE_PREFIX` | optional: stands before the name of each key; `effect-itwin:session:` by default   |
 * | `ITWIN_SESSION_KEYS`         | the keys, separated by commas: the first one seals, all of them open               |
 *
 * Fails with a `ConfigError`, which quotes neither the URL nor a key, if a variable is not set or invalid.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (): Layer.Layer<SessionStore.SessionStore, Config.ConfigError> =>
  Layer.unwrap(
    Effect.map(
      Config.all({
        address: urlConfig("ITWIN_SESSION_STORE_URL"),
        prefix: prefixConfig("ITWIN_SESSION_STORE_PREFIX"),
        keys: Keys
      }),
      ({ address, keys, prefix }) => overConnection(address, { keys, prefix: Option.getOrUndefined(prefix) })
    )
  )
