// What needs no Redis: options, variables, and what is sent. Redis is a service in memory that answers as told.

import { assert, describe, it } from "@effect/vitest"
import { SessionStore } from "@effect-itwin/core"
import { RedisSessionStore } from "@effect-itwin/store-redis"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"

const secret = "fake-secret-a+b/c=fake-secret-a+"
const key = Redacted.make(Buffer.from(secret).toString("base64"))

const storeOf = <E, R>(layer: Layer.Layer<SessionStore.SessionStore, E, R>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, SessionStore.SessionStore))

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

const shown = <A, E>(exit: Exit.Exit<A, E>) => (Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "no failure")

describe("an option", () => {
  for (const [options, expected] of [
    [{ timeout: 0 }, "RangeError: RedisSessionStore: timeout"],
    [{ idle: -1 }, "RangeError: RedisSessionStore: idle"],
    [{ prefix: "x".repeat(201) }, "RangeError: RedisSessionStore: prefix"],
    [{ url: `http://:${secret}@example.com` }, "RangeError: RedisSessionStore: url must be redis://host:port"],
    [{ keys: [Redacted.make(secret)] as const }, "RangeError: SealedText: each key must be 32 bytes"]
  ] as const) {
    it.effect(`is a defect that does not quote it when it is wrong: ${Object.keys(options)}`, () =>
      Effect.gen(function* () {
        const layer = RedisSessionStore.layerUrl({ url: "redis://127.0.0.1:1", keys: [key], ...options })
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
        assert.isTrue(Exit.hasDies(exit))
        assert.include(shown(exit), expected)
        assert.notInclude(shown(exit), "fake-secret")
      })
    )
  }
})

describe("the variables", () => {
  const valid = {
    ITWIN_SESSION_STORE_URL: "rediss://:fake-secret-a%2Bb@redis.example.com:6380",
    ITWIN_SESSION_KEYS: `${Redacted.value(key)}, ${Buffer.alloc(32, 1).toString("base64url")}`
  }
  const layerWith = (variables: Record<string, string>) =>
    RedisSessionStore.layerConfig().pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(variables))))

  it.effect("name the store and its keys, without connecting", () =>
    Effect.gen(function* () {
      const store = yield* storeOf(layerWith(valid))
      assert.strictEqual(store.name, "Redis at redis.example.com:6380")
    }).pipe(Effect.scoped)
  )

  for (const [variable, value] of [
    ["ITWIN_SESSION_STORE_URL", undefined],
    ["ITWIN_SESSION_STORE_URL", `http://${secret}`],
    ["ITWIN_SESSION_KEYS", undefined],
    ["ITWIN_SESSION_KEYS", ""],
    ["ITWIN_SESSION_KEYS", secret],
    ["ITWIN_SESSION_KEYS", `${Redacted.value(key)},`],
    ["ITWIN_SESSION_STORE_PREFIX", "x".repeat(201)]
  ] as const) {
    it.effect(`are wrong when ${variable} is ${value === undefined ? "not set" : `${value.length} characters`}`, () =>
      Effect.gen(function* () {
        const { [variable]: _, ...others } = { ITWIN_SESSION_STORE_PREFIX: "mine:", ...valid }
        const variables = value === undefined ? others : { ...others, [variable]: value }
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layerWith(variables))))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, variable)
        assert.notInclude(error.message + JSON.stringify(error), "fake-secret")
        assert.notInclude(error.message + JSON.stringify(error), Redacted.value(key))
      })
    )
  }
})

describe("the store on the program's Redis", () => {
  it.effect("uses one key for a session and one for its lock", () =>
    Effect.gen(function* () {
      const commands: Array<string> = []
      const redis = answering((command, args) =>
        Effect.sync(() => {
          commands.push([command, ...args].join(" ").replaceAll(/[\w-]{43}/g, "<digest>"))
          return command === "SCRIPT" ? "sha" : command === "EVALSHA" ? 1 : null
        })
      )
      const store = yield* storeOf(RedisSessionStore.layer({ prefix: "mine:", keys: [key] }).pipe(Layer.provide(redis)))
      const id = yield* SessionStore.makeId
      assert.isTrue(Option.isNone(yield* store.get(id)))
      yield* store.remove(id)
      yield* Effect.scoped(store.lock(id))
      const [get, remove, ...locking] = commands
      assert.deepStrictEqual([get, remove], ["GET mine:<digest>", "DEL mine:<digest>"])
      const evaluated = locking
        .filter((command) => command.startsWith("EVALSHA"))
        .map((command) => command.split(" ")[3])
      assert.deepStrictEqual(evaluated, ["mine:lock:<digest>", "mine:lock:<digest>"])
    }).pipe(Effect.scoped)
  )

  for (const reply of [1, [], {}]) {
    it.effect(`refuses a reply that is not one of the store: ${JSON.stringify(reply)}`, () =>
      Effect.gen(function* () {
        const redis = answering(() => Effect.succeed(reply))
        const store = yield* storeOf(RedisSessionStore.layer({ keys: [key] }).pipe(Layer.provide(redis)))
        const error = yield* Effect.flip(store.get(yield* SessionStore.makeId))
        assert.strictEqual(error.kind, "refused")
      }).pipe(Effect.scoped)
    )
  }

  it.effect("says what failed, without the text of the error", () =>
    Effect.gen(function* () {
      const redis = answering((command) =>
        Effect.fail(
          command === "GET"
            ? new Error(`OOM command not allowed ${secret}`)
            : Object.assign(new Error(secret), { code: "ECONNREFUSED" })
        )
      )
      const store = yield* storeOf(RedisSessionStore.layer({ keys: [key] }).pipe(Layer.provide(redis)))
      const id = yield* SessionStore.makeId
      const full = yield* Effect.flip(store.get(id))
      assert.strictEqual(full.kind, "refused")
      assert.include(full.message, "maxmemory")
      const down = yield* Effect.flip(store.remove(id))
      assert.strictEqual(down.kind, "unavailable")
      assert.include(down.message, "ECONNREFUSED")
      for (const error of [full, down]) assert.notInclude(error.message + JSON.stringify(error), "fake-secret")
    }).pipe(Effect.scoped)
  )
})
