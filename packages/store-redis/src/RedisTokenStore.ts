/**
 * Shares the tokens of a fleet through Redis, so that any number of replicas makes the token requests of one process.
 *
 * Provide one of the layers to `ITwin.layer`. What is shared, and what happens when Redis is unreachable, is described in
 * `TokenStore` of `@effect-itwin/core`: tokens are sealed under a key that comes from the client secret, and no call
 * fails that would succeed without a store.
 *
 * **Details**
 *
 * - Each step is one Lua script on one key. Redis 6 or newer, or Valkey.
 * - Times are measured on the clock of Redis. Keys end by themselves.
 * - The connection is opened for the first step and closed when it is idle. Redis may be down when the layer is built.
 *
 * **Gotchas**
 *
 * `rediss://` encrypts the connection. With `redis://` the password of Redis crosses the network unencrypted; tokens do
 * not, because they are sealed.
 *
 * **Example** (A fleet with a Redis of its own)
 *
 * ```ts
 * import { ITwin } from "@effect-itwin/core"
 * import { EnvSecretProvider } from "@effect-itwin/provider-env"
 * import { RedisTokenStore } from "@effect-itwin/store-redis"
 * import { Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * // ITWIN_TOKEN_STORE_URL=rediss://:password@redis.example.com:6380
 * export const App = ITwin.layer.pipe(
 *   Layer.provide([RedisTokenStore.layerConfig(), EnvSecretProvider.layer, FetchHttpClient.layer])
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as TokenStore from "@effect-itwin/core/TokenStore"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import type * as Redacted from "effect/Redacted"
import type { Address } from "./internal/address.ts"
import { connected, type Module, prefixConfig, settingsOf, urlConfig, urlOf } from "./internal/settings.ts"
import { makeStore } from "./internal/store.ts"

/**
 * Sets how the store uses Redis.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends TokenStore.Options {
  /** Stands before the name of each key; `effect-itwin:` by default. The access rules of Redis can name it. */
  readonly prefix?: string | undefined
  /**
   * The time limit of one step, 1 s by default. A store that does not answer in time is left alone for 5 s. The store's
   * own connection has another limit: a step that must connect first may take 2 s longer.
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

const shared: Module = { name: "RedisTokenStore", prefix: "effect-itwin:" }

const overConnection = (address: Address, options: Options, idle?: Duration.Input) =>
  TokenStore.layer(
    connected(shared, address, { ...options, idle }, (settings, redis) => makeStore(settings, redis)),
    options
  )

/**
 * Shares tokens through a Redis server, over its own connection.
 *
 * **Details**
 *
 * Building the layer does not connect. An invalid option is a programming error: building the layer dies with a
 * `RangeError`, which does not quote the URL.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerUrl = (options: UrlOptions): Layer.Layer<never> =>
  Layer.unwrap(Effect.sync(() => overConnection(urlOf(shared, options.url), options, options.idle)))

/**
 * Shares tokens through the program's own Redis client, for example the `NodeRedis` of `@effect/platform-node`, or a
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
export const layer = (options: Options = {}): Layer.Layer<never, never, Redis.Redis> =>
  TokenStore.layer(
    Effect.map(Redis.Redis, (redis) => makeStore(settingsOf(shared, "Redis", options), redis)),
    options
  )

/**
 * Shares tokens through the Redis server that variables name.
 *
 * | variable                   | content                                                                       |
 * | -------------------------- | ----------------------------------------------------------------------------- |
 * | `ITWIN_TOKEN_STORE_URL`    | the URL of Redis, as in {@link UrlOptions}                                     |
 * | `ITWIN_TOKEN_STORE_PREFIX` | optional: stands before the name of each key; `effect-itwin:` by default       |
 * | `ITWIN_TOKEN_STORE_KEY`    | optional: a further secret under which tokens are sealed, the same in each replica |
 *
 * Fails with a `ConfigError`, which does not quote the URL, if it is not set or invalid.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(
    Effect.map(
      Config.all({
        address: urlConfig("ITWIN_TOKEN_STORE_URL"),
        prefix: prefixConfig("ITWIN_TOKEN_STORE_PREFIX"),
        additionalKey: Config.option(Config.Redacted("ITWIN_TOKEN_STORE_KEY"))
      }),
      ({ additionalKey, address, prefix }) =>
        overConnection(address, {
          prefix: Option.getOrUndefined(prefix),
          additionalKey: Option.getOrUndefined(additionalKey)
        })
    )
  )
