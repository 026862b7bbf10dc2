// What somebody sees who can read Redis, and what somebody achieves who can write to it, but has no client secret.

import { assert, describe, it } from "@effect/vitest"
import { Environment, Scopes } from "@effect-itwin/core"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { observe, strings } from "../../core/test/canary.ts"
import { makeWorld, refused, replica, textOf } from "../../core/test/storeSupport.ts"
import { connect, type RedisServer, startRedis } from "./redisServer.ts"
import { open } from "./support.ts"

const password = "fake-secret-redis+/="

const redis = Effect.acquireRelease(
  Effect.promise(() => startRedis("--requirepass", password)),
  (server) => Effect.promise(() => server.close())
)

const urlOf = ({ port }: RedisServer) => `redis://:${encodeURIComponent(password)}@127.0.0.1:${port}`

type Fields = Readonly<Record<string, string>>

const keys = (server: RedisServer) => Effect.promise(() => server.command<ReadonlyArray<string>>("KEYS", "*"))

const read = (server: RedisServer, key: string): Effect.Effect<Fields> =>
  Effect.map(
    Effect.promise(() => server.command<ReadonlyArray<string>>("HGETALL", key)),
    (items) => Object.fromEntries(items.flatMap((item, i) => (i % 2 === 0 ? [[item, items[i + 1] ?? ""]] : [])))
  )

/** Writes a row as somebody with access to Redis would. */
const write = (server: RedisServer, key: string, fields: Fields) =>
  Effect.promise(() =>
    server.command(
      "EVAL",
      "redis.call('DEL', KEYS[1]); return redis.call('HSET', KEYS[1], unpack(ARGV))",
      "1",
      key,
      ...Object.entries(fields).flat()
    )
  )

/** A test with a replica for each byte, each with its own keys, in milliseconds. */
const manyReplicas = 300_000

const warnings = (logs: ReadonlyArray<string>) => logs.filter((line) => line.startsWith("Warn"))

/** A Redis with the token of one replica, and its row. */
const shared = Effect.gen(function* () {
  const server = yield* redis
  const store = yield* open(urlOf(server))
  const world = makeWorld()
  const token = yield* (yield* replica(world, store)).get()
  const [key = ""] = yield* keys(server)
  return { server, store, world, token, key, row: yield* read(server, key) }
})

describe("somebody who can read Redis", () => {
  it.live("finds neither secret nor token in commands, keys and dumps, and nobody finds them in logs and spans", () =>
    Effect.gen(function* () {
      const server = yield* redis
      const commands: Array<string> = []
      const monitor = yield* Effect.promise(() => connect(server.port, { password }))
      yield* Effect.promise(() => monitor.MONITOR((line: string | Buffer) => void commands.push(String(line))))
      const world = makeWorld()
      const program = Effect.gen(function* () {
        const store = yield* open(urlOf(server))
        const cache = yield* replica(world, store)
        const token = yield* cache.get()
        yield* (yield* replica(world, store)).get()
        yield* cache.refresh()
        yield* cache.invalidate(yield* cache.get())
        yield* cache.get()
        // A failure that holds all replicas.
        world.answer = () => refused()
        world.secret = "fake-secret-2+/="
        yield* Effect.flip((yield* replica(world, store)).get())
        yield* Effect.flip((yield* replica(world, store)).get())
        // The failures of Redis.
        yield* Effect.promise(() => server.command("CONFIG", "SET", "maxmemory", "1"))
        yield* Effect.flip((yield* replica(world, store)).refresh())
        const stranger = yield* open(`redis://:fake-secret-wrong@127.0.0.1:${server.port}`)
        yield* Effect.flip((yield* replica(world, stranger)).get())
        return token
      }).pipe(Effect.scoped)
      const { exit, exported, seen } = yield* observe(program)
      const rows = yield* keys(server)
      const dumps = yield* Effect.forEach(rows, (key) => Effect.promise(() => server.command<string>("DUMP", key)))
      const fields = yield* Effect.forEach(rows, (key) => read(server, key))
      monitor.destroy()
      assert.strictEqual(exit._tag, "Success")
      assert.isAbove(commands.filter((line) => line.includes("EVALSHA")).length, 8)
      assert.isAbove(rows.length, 1)
      assert.isAbove(warnings(world.logs).length, 1)
      const values = fields.flatMap((row) => Object.values(row))
      const decoded = values.map((value) => Buffer.from(value, "base64url").toString("latin1"))
      const stored = [...commands, ...rows, ...dumps, ...values, ...decoded]
      const shown = [...seen.flatMap(strings), ...Object.values(exported), ...world.logs]
      for (const text of [...stored, ...shown]) {
        for (const secret of ["fake-secret", "token-1", "token-2", "token-3", encodeURIComponent(password)]) {
          assert.isFalse(text.includes(secret), `${secret} in ${text.slice(0, 300)}`)
        }
      }
      for (const text of stored) assert.notMatch(text, /invalid_client|service-fleet|itwin-platform/)
    }).pipe(Effect.scoped)
  )
})

describe("somebody who can write to Redis", () => {
  it.live(
    "gets a miss with one warning, never a token, for each byte of the value that was changed",
    () =>
      Effect.gen(function* () {
        const { key, row, server, store, world } = yield* shared
        const { tv: value = "" } = row
        assert.isAbove(value.length, 100)
        for (let index = 0; index < value.length; index++) {
          const changed = `${value.slice(0, index)}${value[index] === "A" ? "B" : "A"}${value.slice(index + 1)}`
          yield* write(server, key, { ...row, tv: changed })
          const asked = world.requests
          world.logs.length = 0
          const token = yield* (yield* replica(world, store)).get()
          assert.strictEqual(textOf(token), `token-${asked + 1}`, `byte ${index}`)
          assert.strictEqual(warnings(world.logs).length, 1, `byte ${index}`)
        }
      }).pipe(Effect.scoped),
    manyReplicas
  )

  it.live(
    "can't prolong a token or a pause by the fields that are not sealed",
    () =>
      Effect.gen(function* () {
        const { key, row, server, store, token, world } = yield* shared
        for (const field of ["ti", "tf", "tl"]) {
          const text = row[field] ?? ""
          for (let index = 0; index < text.length; index++) {
            for (const other of ["9", "x"]) {
              yield* write(server, key, { ...row, [field]: text.slice(0, index) + other + text.slice(index + 1) })
              const got = yield* (yield* replica(world, store)).get()
              if (textOf(got) !== textOf(token)) continue
              assert.isAtMost(
                DateTime.toEpochMillis(got.expiresAt),
                DateTime.toEpochMillis(token.expiresAt) + 5,
                `${field}: ${index}`
              )
            }
          }
        }
      }).pipe(Effect.scoped),
    manyReplicas
  )

  it.live("can't replay a token that has expired", () =>
    Effect.gen(function* () {
      const server = yield* redis
      const store = yield* open(urlOf(server))
      const world = makeWorld()
      world.life = 6
      yield* (yield* replica(world, store)).get()
      const [key = ""] = yield* keys(server)
      const row = yield* read(server, key)
      yield* Effect.sleep("1200 millis")
      world.life = 3600
      yield* write(server, key, { ...row, tf: String(Date.now() - 1), tl: "3600000" })
      assert.strictEqual(textOf(yield* (yield* replica(world, store)).get()), "token-2")
      assert.strictEqual(warnings(world.logs).length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("can't move a token between secrets, environments and scopes", () =>
    Effect.gen(function* () {
      const { key, row, server, store, world } = yield* shared
      const others: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown, never>]> = [
        [
          "secret",
          Effect.suspend(() => {
            world.secret = "fake-secret-other+/="
            return Effect.flatMap(replica(world, store), (cache) => cache.get()).pipe(Effect.scoped)
          })
        ],
        [
          "environment",
          Effect.flatMap(replica(world, store), (cache) => cache.get()).pipe(
            Effect.provideService(Environment.Environment, Environment.qa),
            Effect.scoped
          )
        ],
        [
          "scopes",
          Effect.flatMap(replica(world, store), (cache) => cache.get(Scopes.make("other"))).pipe(Effect.scoped)
        ]
      ]
      for (const [what, get] of others) {
        // Creates the row of the other subject, which is then replaced.
        const before = yield* keys(server)
        yield* get
        const [created = ""] = (yield* keys(server)).filter((name) => !before.includes(name))
        assert.notStrictEqual(created, "", what)
        assert.notStrictEqual(created, key)
        yield* write(server, created, row)
        const asked = world.requests
        world.logs.length = 0
        yield* get
        assert.strictEqual(world.requests, asked + 1, what)
        assert.strictEqual(warnings(world.logs).length, 1, what)
      }
    }).pipe(Effect.scoped)
  )

  it.live("can't inject a token or a failure", () =>
    Effect.gen(function* () {
      const { key, server, store, world } = yield* shared
      const injected = [
        JSON.stringify({ value: "injected", scopes: "itwin-platform", expiresAt: 9e15 }),
        Buffer.alloc(200, 1).toString("base64url"),
        ""
      ]
      const times = { tf: String(Date.now()), tl: "3600000", sf: String(Date.now()), sl: "3600000", sk: "3" }
      for (const value of injected) {
        for (const fields of [
          { tv: value, ti: "x", ...times },
          { sv: value, ...times }
        ]) {
          yield* write(server, key, fields)
          const asked = world.requests
          world.logs.length = 0
          assert.strictEqual(textOf(yield* (yield* replica(world, store)).get()), `token-${asked + 1}`)
          assert.strictEqual(warnings(world.logs).length, 1)
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("makes a replica wait for 5 s at most by a lease that never ends", () =>
    Effect.gen(function* () {
      const { key, server, store, world } = yield* shared
      yield* write(server, key, { lo: "nobody", lf: String(Date.now()), ll: "1e15" })
      const started = performance.now()
      assert.strictEqual(textOf(yield* (yield* replica(world, store)).get()), "token-2")
      assert.isBelow(performance.now() - started, 6_500)
    }).pipe(Effect.scoped)
  )
})
