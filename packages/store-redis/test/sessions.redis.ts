// Sessions on a real Redis: the contract of every store, what Redis gets to see, and races of two replicas.

import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { SessionStore } from "@effect-itwin/core"
import { RedisSessionStore } from "@effect-itwin/store-redis"
import { SessionStoreContract } from "@effect-itwin/testing"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { layerIms, reasonOf, refreshes, replica, signIn, silent, textOf } from "../../core/test/userSupport.ts"
import { addressOf } from "../src/internal/address.ts"
import { makeConnection } from "../src/internal/connection.ts"
import { makeSessions } from "../src/internal/sessions.ts"
import { connect, type RedisServer, startRedis } from "./redisServer.ts"

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

const key = Redacted.make(Buffer.from("fake-secret-a+b/c=fake-secret-a+").toString("base64"))

const open = (options: Partial<RedisSessionStore.UrlOptions> = {}) =>
  Effect.map(Layer.build(RedisSessionStore.layerUrl({ url: server.url, keys: [key], ...options })), (context) =>
    Context.get(context, SessionStore.SessionStore)
  )

const backend = Effect.gen(function* () {
  const address = yield* Effect.fromResult(addressOf(server.url))
  const timeout = Duration.seconds(5)
  const redis = yield* makeConnection({ address, idle: Duration.seconds(10), timeout })
  return makeSessions({ name: "Redis", prefix: "contract:", timeout }, redis)
})

describe("sessions on Redis", () => {
  const subject = { open: Effect.succeed(backend), wait: (millis: number) => Effect.sleep(millis) }
  for (const { name, run } of SessionStoreContract.cases(subject)) it.live(name, () => run)

  it.live("leaves no key without an end", () =>
    Effect.gen(function* () {
      const store = yield* open({ prefix: "ends:" })
      const tokens = yield* replica(store)
      yield* tokens.open(yield* signIn())
      const id = yield* tokens.open(yield* signIn())
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* store.lock(id)
          const keys = yield* Effect.promise(() => server.command<ReadonlyArray<string>>("KEYS", "ends:*"))
          assert.strictEqual(keys.length, 3)
          for (const name of keys) {
            const left = yield* Effect.promise(() => server.command<number>("PTTL", name))
            assert.isAbove(left, 0)
            assert.isAtMost(left, name.includes("lock:") ? 5_000 : 24 * 3_600_000)
          }
        })
      )
      yield* tokens.close(id)
      const keys = yield* Effect.promise(() => server.command<ReadonlyArray<string>>("KEYS", "ends:*"))
      assert.strictEqual(keys.length, 1)
    }).pipe(Effect.provide(layerIms()), Effect.scoped)
  )

  it.live("gives the lock to a waiter within 5 s when its holder dies", () =>
    Effect.gen(function* () {
      const dying = yield* Scope.make()
      const id = yield* SessionStore.makeId
      const memory = yield* backend
      // This replica holds the lock, and neither renews nor releases it.
      let isDead = false
      const dead = SessionStore.make(
        {
          ...memory,
          tryLock: (name, owner, life) => (isDead ? Effect.never : memory.tryLock(name, owner, life)),
          unlock: () => Effect.never
        },
        { keys: [key] }
      )
      yield* Scope.provide(dead.lock(id), dying)
      isDead = true
      const waiter = yield* Effect.forkChild(Effect.scoped(SessionStore.make(memory, { keys: [key] }).lock(id)))
      yield* Effect.sleep("1 second")
      assert.isUndefined(waiter.pollUnsafe())
      yield* Effect.timeout(Fiber.join(waiter), "4500 millis")
    }).pipe(Effect.scoped)
  )

  it.live("fails with SessionUnavailable while Redis is stopped, and works again after it", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* open({ timeout: "200 millis" }))
      const id = yield* tokens.open(yield* signIn())
      yield* tokens.get(id)
      server.pause()
      yield* Effect.ensuring(
        Effect.gen(function* () {
          const exit = yield* Effect.exit(tokens.get(id))
          assert.strictEqual(reasonOf(exit), "SessionUnavailable")
          assert.notInclude(String(exit), Redacted.value(id))
        }),
        Effect.sync(() => server.resume())
      )
      yield* tokens.get(id)
    }).pipe(Effect.provide([layerIms(), silent]), Effect.scoped)
  )
})

describe("a user of Redis with the access rules of the README", () => {
  it.live("can keep sessions, and nothing else", () =>
    Effect.gen(function* () {
      const rules = ["on", ">fake-secret-acl", "~effect-itwin:session:*", "resetchannels"]
      const commands = ["+get", "+set", "+del", "+pexpire", "+evalsha", "+script|load"]
      yield* Effect.promise(() => server.command("ACL", "SETUSER", "sessions", ...rules, ...commands))
      const url = `redis://sessions:fake-secret-acl@127.0.0.1:${server.port}`
      const tokens = yield* replica(yield* open({ url }))
      const id = yield* tokens.open(yield* signIn())
      yield* tokens.cacheOf(id).refresh()
      yield* tokens.close(id)
      const foreign = yield* replica(yield* open({ url, prefix: "other:" }))
      assert.strictEqual(reasonOf(yield* Effect.exit(foreign.get(id))), "SessionUnavailable")
    }).pipe(Effect.provide([layerIms(), silent]), Effect.scoped)
  )
})

describe("somebody who can read Redis", () => {
  it.live("finds neither ids nor tokens nor claims in commands, keys and dumps", () =>
    Effect.gen(function* () {
      const commands: Array<string> = []
      const monitor = yield* Effect.promise(() => connect(server.port))
      yield* Effect.promise(() => monitor.MONITOR((line: string | Buffer) => void commands.push(String(line))))
      const store = yield* open({ prefix: "canary:" })
      const tokens = yield* replica(store)
      const signedIn = yield* signIn()
      const id = yield* tokens.open(signedIn)
      const session = Option.getOrThrow(yield* store.get(id))
      const renewed = yield* tokens.cacheOf(id).refresh()
      const later = Option.getOrThrow(yield* store.get(id))
      const dumps = yield* Effect.promise(async () => {
        const keys = await server.command<ReadonlyArray<string>>("KEYS", "canary:*")
        return Promise.all(keys.map(async (name) => `${name} ${await server.command("GET", name)}`))
      })
      assert.strictEqual(dumps.length, 1)
      yield* tokens.close(id)
      yield* Effect.sleep("100 millis")
      monitor.destroy()
      assert.isTrue(commands.some((line) => line.includes('"SET"') && line.includes('"XX"')))
      const seen = [...commands, ...dumps].join("\n")
      const secrets = [
        Redacted.value(id),
        textOf(signedIn.accessToken),
        textOf(renewed),
        ...[session.refreshToken, later.refreshToken, session.idToken].map((secret) =>
          secret === undefined ? assert.fail("a secret is missing") : Redacted.value(secret)
        ),
        Redacted.value(key),
        session.key,
        session.user?.email ?? assert.fail("no claims")
      ]
      for (const secret of secrets) {
        for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64url")]) {
          assert.isFalse(seen.includes(form), "a secret reached Redis")
        }
      }
    }).pipe(Effect.provide(layerIms()), Effect.scoped)
  )
})

describe("two replicas that renew at once", () => {
  const rounds = 100

  /** Returns how many of the sessions are lost: IMS has ended them. */
  const race = (first: SessionStore.SessionStore["Service"], second: SessionStore.SessionStore["Service"]) =>
    Effect.gen(function* () {
      const replicas = [yield* replica(first), yield* replica(second)] as const
      let lost = 0
      for (let round = 0; round < rounds; round++) {
        const id = yield* replicas[0].open(yield* signIn())
        yield* Effect.forEach(replicas, (tokens) => Effect.exit(tokens.cacheOf(id).refresh()), {
          concurrency: "unbounded"
        })
        if (Exit.isFailure(yield* Effect.exit(replicas[0].cacheOf(id).refresh()))) lost++
      }
      return { lost, requests: (yield* refreshes).length }
    })

  it.live("lose no session with the lock of Redis, and make one request for both", () =>
    Effect.gen(function* () {
      const { lost, requests } = yield* race(yield* open(), yield* open())
      console.log(`with the lock: ${lost} of ${rounds} sessions lost, ${requests} requests`)
      assert.strictEqual(lost, 0)
      assert.strictEqual(requests, 2 * rounds)
    }).pipe(Effect.provide([layerIms(), silent]), Effect.scoped)
  )

  it.live("lose sessions when the lock is not shared", () =>
    Effect.gen(function* () {
      const shared = yield* backend
      const own = Effect.map(SessionStore.makeMemory, ({ tryLock, unlock }) =>
        SessionStore.make({ ...shared, tryLock, unlock }, { keys: [key] })
      )
      const { lost } = yield* race(yield* own, yield* own)
      console.log(`without the lock: ${lost} of ${rounds} sessions lost`)
      assert.isAbove(lost, rounds / 2)
    }).pipe(Effect.provide([layerIms(), silent]), Effect.scoped)
  )
})
