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
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { type Address, addressOf, nameOf } from "./internal/address.ts"
import { connectMillis, makeConnection } from "./internal/connection.ts"
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

const defaultPrefix = "effect-itwin:"

const durationOf = (option: string, input: Duration.Input): Duration.Duration => {
  const duration = Option.getOrUndefined(Duration.fromInput(input))
  if (duration === undefined || !Duration.isFinite(duration) || !Duration.isGreaterThan(duration, Duration.zero)) {
    throw new RangeError(`RedisTokenStore: ${option} must be a finite duration greater than 0, not ${String(input)}`)
  }
  return duration
}

const longestPrefix = 200
const prefixRule = `at most ${longestPrefix} characters`

const prefixOf = (prefix: string): string => {
  if (prefix.length <= longestPrefix) return prefix
  throw new RangeError(`RedisTokenStore: prefix must have ${prefixRule}`)
}

const settingsOf = (name: string, { prefix = defaultPrefix, timeout = Duration.seconds(1) }: Options) => ({
  name,
  prefix: prefixOf(prefix),
  timeout: durationOf("timeout", timeout)
})

const overConnection = (address: Address, options: Options, idle: Duration.Input = Duration.seconds(10)) =>
  TokenStore.layer(
    Effect.suspend(() => {
      const settings = settingsOf(nameOf(address), options)
      const limit = Duration.sum(settings.timeout, Duration.millis(connectMillis))
      return Effect.map(
        makeConnection({ address, idle: durationOf("idle", idle), timeout: settings.timeout }),
        (redis) => makeStore({ ...settings, timeout: limit }, redis)
      )
    }),
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
  Layer.unwrap(
    Effect.sync(() => {
      const { idle, url } = options
      const address = addressOf(Redacted.isRedacted(url) ? Redacted.value(url) : url)
      if (Result.isFailure(address)) throw new RangeError(`RedisTokenStore: url must be ${address.failure}`)
      return overConnection(address.success, options, idle)
    })
  )

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
    Effect.map(Redis.Redis, (redis) => makeStore(settingsOf("Redis", options), redis)),
    options
  )

/** Fails without quoting the value of the variable, which may contain a password. */
const invalid = (variable: string, expected: string) =>
  new Config.ConfigError(
    new Schema.SchemaError(
      new SchemaIssue.Pointer([variable], new SchemaIssue.InvalidValue({ message: `Expected ${expected}` }))
    )
  )

const Url = Config.Redacted("ITWIN_TOKEN_STORE_URL").pipe(
  Config.mapEffect((url) =>
    Effect.mapError(Effect.fromResult(addressOf(Redacted.value(url))), (expected) =>
      invalid("ITWIN_TOKEN_STORE_URL", expected)
    )
  )
)

const Prefix = Config.String("ITWIN_TOKEN_STORE_PREFIX").pipe(
  Config.mapEffect((prefix) =>
    prefix.length <= longestPrefix
      ? Effect.succeed(prefix)
      : Effect.fail(invalid("ITWIN_TOKEN_STORE_PREFIX", prefixRule))
  )
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
        address: Url,
        prefix: Config.option(Prefix),
        additionalKey: Config.option(Config.Redacted("ITWIN_TOKEN_STORE_KEY"))
      }),
      ({ additionalKey, address, prefix }) =>
        overConnection(address, {
          prefix: Option.getOrUndefined(prefix),
          additionalKey: Option.getOrUndefined(additionalKey)
        })
    )
  )
