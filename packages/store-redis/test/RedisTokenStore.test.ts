// What needs no Redis: options, variables, and what errors say. Redis is a service in memory that answers as told.

import { assert, describe, it } from "@effect/vitest"
import { TokenStore } from "@effect-itwin/core"
import { RedisTokenStore } from "@effect-itwin/store-redis"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import { addressOf, nameOf } from "../src/internal/address.ts"

const claim = { owner: "a", lease: 3_000, forget: "none", minLeft: 5_000, level: 1 } as const

/** The store of a layer. */
const storeOf = <E, R>(layer: Layer.Layer<never, E, R>) =>
  Effect.flatMap(Layer.build(layer), (context) =>
    Effect.flatMap(Effect.provide(TokenStore.TokenStore, context), (shared) =>
      shared === undefined ? Effect.die("no store was provided") : Effect.succeed(shared.service)
    )
  )

/** A Redis that answers each command with the result. */
const answering = (answer: (command: string, args: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>) =>
  Layer.effect(
    Redis.Redis,
    Redis.make({
      send: <A>(command: string, ...args: ReadonlyArray<string>) =>
        // A Redis client believes its server too.
        Effect.mapError(answer(command, args), (cause) => new Redis.RedisError({ cause })) as Effect.Effect<
          A,
          Redis.RedisError
        >,
      subscribe: () => Effect.never,
      connect: Effect.never
    })
  )

const claiming = (answer: Parameters<typeof answering>[0], options?: RedisTokenStore.Options) =>
  Effect.flatMap(storeOf(RedisTokenStore.layer(options).pipe(Layer.provide(answering(answer)))), (store) =>
    store.claim("row", claim)
  ).pipe(Effect.scoped)

const secret = "fake-secret-a+b/c="
const escaped = encodeURIComponent(secret)

describe("the URL", () => {
  it("is read", () => {
    const read = (url: string) => addressOf(url)
    assert.deepEqual(read("redis://example.com"), addressOf("redis://example.com:6379/0"))
    for (const [url, name, password] of [
      ["redis://example.com", "Redis at example.com:6379", undefined],
      [`rediss://:${escaped}@example.com:6380/2`, "Redis at example.com:6380/2", secret],
      [`redis://user:${escaped}@[::1]:7000`, "Redis at [::1]:7000", secret]
    ] as const) {
      const address = read(url)
      if (address._tag === "Failure") return assert.fail(url)
      assert.strictEqual(nameOf(address.success), name)
      assert.strictEqual(address.success.password, password)
      assert.strictEqual(address.success.isTls, url.startsWith("rediss"))
    }
  })

  for (const url of [
    `http://:${secret}@example.com`,
    `redis://`,
    `${secret}`,
    `redis://:${escaped}@example.com:99999`,
    `redis://:${escaped}@example.com/db`,
    `redis://:${escaped}@example.com?password=${escaped}`,
    `redis://:fake-secret-%@example.com`
  ]) {
    it.effect(`is a defect that does not quote it when it is ${url.replaceAll(/fake-secret[^@?]*/g, "…")}`, () =>
      Effect.gen(function* () {
        for (const given of [url, Redacted.make(url)]) {
          const exit = yield* Effect.exit(Effect.scoped(Layer.build(RedisTokenStore.layerUrl({ url: given }))))
          assert.isTrue(Exit.hasDies(exit))
          const shown = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
          assert.include(shown, "RangeError: RedisTokenStore: url must be redis://host:port")
          assert.notInclude(shown, "fake-secret")
        }
        const config = RedisTokenStore.layerConfig().pipe(
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ ITWIN_TOKEN_STORE_URL: url })))
        )
        const error = yield* Effect.flip(Effect.scoped(Layer.build(config)))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, "ITWIN_TOKEN_STORE_URL")
        assert.notInclude(error.message + JSON.stringify(error), "fake-secret")
      })
    )
  }
})

describe("an option", () => {
  for (const options of [
    { timeout: 0 },
    { timeout: "1 parsec" as "1 second" },
    { timeout: Number.POSITIVE_INFINITY },
    { idle: -1 },
    { prefix: "x".repeat(201) }
  ]) {
    it.effect(`is a defect when it is ${JSON.stringify(options).slice(0, 30)}`, () =>
      Effect.gen(function* () {
        const layer = RedisTokenStore.layerUrl({ url: "redis://127.0.0.1:1", ...options })
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
        assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "RangeError: RedisTokenStore: ")
      })
    )
  }
})

describe("the variables", () => {
  const layerWith = (variables: Record<string, string>) =>
    RedisTokenStore.layerConfig().pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(variables))))

  it.effect("name the store, without connecting", () =>
    Effect.gen(function* () {
      const store = yield* storeOf(
        layerWith({
          ITWIN_TOKEN_STORE_URL: `rediss://:${escaped}@redis.example.com:6380`,
          ITWIN_TOKEN_STORE_KEY: secret
        })
      )
      assert.strictEqual(store.name, "Redis at redis.example.com:6380")
      assert.isFalse(store.isPrivate)
    }).pipe(Effect.scoped)
  )

  it.effect("are wrong when the URL is not set, or the prefix is too long", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(Effect.scoped(Layer.build(layerWith({}))))
      assert.include(missing.message, "ITWIN_TOKEN_STORE_URL")
      const long = yield* Effect.flip(
        Effect.scoped(
          Layer.build(
            layerWith({ ITWIN_TOKEN_STORE_URL: "redis://127.0.0.1", ITWIN_TOKEN_STORE_PREFIX: "x".repeat(201) })
          )
        )
      )
      assert.include(long.message, "ITWIN_TOKEN_STORE_PREFIX")
    })
  )
})

describe("the store on the program's Redis", () => {
  it.effect("sends the row with the prefix, and loads the script once", () =>
    Effect.gen(function* () {
      const commands: Array<string> = []
      const redis = answering((command, args) =>
        Effect.sync(() => {
          commands.push(`${command} ${command === "SCRIPT" ? args[0] : args.slice(1, 4).join(" ")}`)
          return command === "SCRIPT" ? "sha" : ["Busy", "12.5"]
        })
      )
      const store = yield* storeOf(RedisTokenStore.layer({ prefix: "mine:" }).pipe(Layer.provide(redis)))
      assert.deepEqual(yield* store.claim("row", claim), { _tag: "Busy", left: 12.5 })
      yield* store.drop("row", "v")
      assert.deepEqual(commands, ["SCRIPT LOAD", "EVALSHA 1 mine:row claim", "EVALSHA 1 mine:row drop"])
    }).pipe(Effect.scoped)
  )

  for (const reply of [
    null,
    "Lease",
    [],
    ["Other"],
    ["Busy"],
    ["Busy", "x"],
    ["Busy", ""],
    ["Busy", "Infinity"],
    ["Token", "value", "version", "0"],
    ["Token", "value", "version", "nan", "1"],
    ["Held", null, "1"],
    ["Lease", "a", "b"],
    ["Lease", 1]
  ]) {
    it.effect(`refuses a reply that is not one of the script: ${JSON.stringify(reply)}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(claiming(() => Effect.succeed(reply)))
        assert.strictEqual(error.kind, "refused")
        assert.notInclude(error.message, "value")
      })
    )
  }

  class SocketClosedUnexpectedlyError extends Error {}
  class ConnectionTimeoutError extends Error {}
  const tail = `with args beginning with: 'row', '${secret}'`
  for (const [cause, kind, shown] of [
    [new Error(`NOAUTH Authentication required. ${tail}`), "refused", "password"],
    [new Error(`WRONGPASS invalid username-password pair ${tail}`), "refused", "rejected"],
    [new Error(`NOPERM this user has no permissions ${tail}`), "refused", "access rules"],
    [new Error(`OOM command not allowed when used memory > 'maxmemory'. ${tail}`), "refused", "maxmemory"],
    [new Error(`ERR Error running script: @user_script:3: -OOM command not allowed ${tail}`), "refused", "maxmemory"],
    [new Error(`READONLY You can't write against a read only replica. ${tail}`), "refused", "primary"],
    [new Error(`MISCONF Redis is configured to save ${tail}`), "refused", "disk"],
    [new Error(`MOVED 3999 127.0.0.1:6381 ${tail}`), "refused", "cluster"],
    [new Error(`LOADING Redis is loading the dataset in memory ${tail}`), "unavailable", "loading"],
    [new Error(`ERR max number of clients reached ${tail}`), "unavailable", "maxclients"],
    [new Error(`ERR unknown command ${tail}`), "refused", "error ERR"],
    [
      Object.assign(new Error(`connect ECONNREFUSED ${secret}`), { code: "ECONNREFUSED" }),
      "unavailable",
      "ECONNREFUSED"
    ],
    [Object.assign(new Error(secret), { code: secret }), "unavailable", "lost"],
    [new SocketClosedUnexpectedlyError(secret), "unavailable", "lost"],
    [new ConnectionTimeoutError(secret), "timeout", "connecting"],
    [secret, "unavailable", "lost"]
  ] as const) {
    it.effect(
      `says ${kind}, without the text of the error, when it is ${String(cause).slice(0, 40).replaceAll(secret, "…")}`,
      () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(claiming(() => Effect.fail(cause)))
          assert.strictEqual(error.kind, kind)
          assert.include(error.detail, shown)
          assert.notInclude(error.message + JSON.stringify(error), "fake-secret")
        })
    )
  }
})
