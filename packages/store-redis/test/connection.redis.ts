// The connection to a real Redis: opened on demand, closed when idle, and what a step says when Redis is not as it
// should be.

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { startProxy } from "./proxy.ts"
import { connect, freePort, startRedis } from "./redisServer.ts"
import { open } from "./support.ts"

const redis = (...config: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(() => startRedis(...config)),
    (server) => Effect.promise(() => server.close())
  )

const proxyTo = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(() => startProxy(port)),
    (proxy) => Effect.promise(() => proxy.close())
  )

const claim = { owner: "a", lease: 3_000, forget: "none", minLeft: 5_000, level: 1 } as const
const token = { owner: "t", value: "value", age: 0, left: 60_000 } as const

describe("the connection", () => {
  it.live("is opened for the first step, used for the next ones, closed when idle, and opened again", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const proxy = yield* proxyTo(server.port)
      const store = yield* open(`redis://127.0.0.1:${proxy.port}`, { idle: "300 millis" })
      yield* Effect.sleep(100)
      assert.strictEqual(proxy.opened(), 0)
      for (let i = 0; i < 5; i++) {
        yield* store.claim("row", claim)
        yield* Effect.sleep(100)
      }
      assert.strictEqual(proxy.opened(), 1)
      yield* Effect.sleep(500)
      assert.strictEqual(proxy.open(), 0)
      yield* Effect.forEach([1, 2, 3], () => store.claim("row", claim), { concurrency: "unbounded" })
      assert.strictEqual(proxy.opened(), 2)
    }).pipe(Effect.scoped)
  )

  it.live("is closed with the layer, after the steps that were sent", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const proxy = yield* proxyTo(server.port)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open(`redis://127.0.0.1:${proxy.port}`)
          yield* store.claim("row", claim)
          yield* Effect.forkDetach(store.release("row", claim.owner), { startImmediately: true })
        })
      )
      yield* Effect.sleep(100)
      assert.strictEqual(proxy.open(), 0)
      const store = yield* open(server.url)
      assert.strictEqual((yield* store.claim("row", { ...claim, owner: "b" }))._tag, "Lease")
    }).pipe(Effect.scoped)
  )

  it.live("works again when Redis was killed and started, although Redis has forgotten the script", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const store = yield* open(server.url)
      yield* store.claim("row", claim)
      yield* Effect.promise(server.kill)
      const error = yield* Effect.flip(store.claim("row", claim))
      assert.strictEqual(error.kind, "unavailable")
      yield* Effect.promise(server.start)
      assert.strictEqual((yield* store.claim("row", claim))._tag, "Lease")
      yield* Effect.promise(() => server.command("SCRIPT", "FLUSH"))
      assert.strictEqual((yield* store.claim("row", claim))._tag, "Lease")
    }).pipe(Effect.scoped)
  )

  it.live("never sends a step whose caller has gone, and is not used again when a step was not answered in time", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const proxy = yield* proxyTo(server.port)
      const store = yield* open(`redis://127.0.0.1:${proxy.port}`)
      // While it connects.
      server.pause()
      const claiming = yield* Effect.forkChild(store.claim("row", claim), { startImmediately: true })
      yield* Effect.sleep(200)
      yield* Fiber.interrupt(claiming)
      server.resume()
      yield* Effect.sleep(200)
      assert.deepEqual(yield* Effect.promise(() => server.command("KEYS", "*")), [])
      // While it is partitioned.
      yield* store.publish("row", token)
      const opened = proxy.opened()
      proxy.partition()
      const started = performance.now()
      assert.isTrue((yield* Effect.timeoutOption(store.claim("row", claim), 200))._tag === "None")
      assert.isBelow(performance.now() - started, 1_000)
      proxy.heal()
      assert.strictEqual((yield* store.claim("row", claim))._tag, "Token")
      assert.strictEqual(proxy.opened(), opened + 1)
      // The same without a caller that gives up.
      proxy.partition()
      const error = yield* Effect.flip(store.claim("row", claim))
      assert.strictEqual(error.kind, "timeout")
      assert.isBelow(performance.now() - started, 3_000)
      proxy.heal()
      assert.strictEqual((yield* store.claim("row", claim))._tag, "Token")
    }).pipe(Effect.scoped)
  )

  it.live("goes on connecting when the step that began it could not wait", () =>
    Effect.gen(function* () {
      const server = yield* redis("--requirepass", "fake-secret-a+b/c=")
      const proxy = yield* proxyTo(server.port)
      const store = yield* open(`redis://:${encodeURIComponent("fake-secret-a+b/c=")}@127.0.0.1:${proxy.port}`)
      server.pause()
      assert.isTrue((yield* Effect.timeoutOption(store.claim("row", claim), 200))._tag === "None")
      server.resume()
      assert.strictEqual((yield* store.claim("row", claim))._tag, "Lease")
      assert.strictEqual(proxy.opened(), 1)
    }).pipe(Effect.scoped)
  )

  it.live("goes on with the other steps when the caller of the first one has gone", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const store = yield* open(server.url)
      // Connects, but does not load the script: the first step does.
      server.pause()
      const first = yield* Effect.forkChild(store.claim("row", claim), { startImmediately: true })
      yield* Effect.sleep(100)
      const second = yield* Effect.forkChild(Effect.exit(store.claim("row", { ...claim, owner: "b" })), {
        startImmediately: true
      })
      yield* Effect.sleep(100)
      yield* Fiber.interrupt(first)
      server.resume()
      const exit = yield* Fiber.join(second)
      assert.strictEqual(exit._tag === "Success" ? exit.value._tag : String(exit.cause), "Lease")
    }).pipe(Effect.scoped)
  )

  it.live("is closed when idle when no step could wait for it, and with the layer when a step hangs", () =>
    Effect.gen(function* () {
      const server = yield* redis("--requirepass", "fake-secret-a+b/c=")
      const proxy = yield* proxyTo(server.port)
      const url = `redis://:${encodeURIComponent("fake-secret-a+b/c=")}@127.0.0.1:${proxy.port}`
      const store = yield* open(url, { idle: "200 millis" })
      server.pause()
      assert.isTrue((yield* Effect.timeoutOption(store.claim("row", claim), 100))._tag === "None")
      server.resume()
      yield* Effect.sleep(100)
      assert.strictEqual(proxy.open() > 0, true)
      yield* Effect.sleep(400)
      assert.strictEqual(proxy.open(), 0)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const hanging = yield* open(url, { timeout: "10 seconds" })
          yield* hanging.claim("row", claim)
          server.pause()
          assert.isTrue((yield* Effect.timeoutOption(hanging.claim("row", claim), 100))._tag === "None")
        })
      )
      yield* Effect.sleep(100)
      assert.strictEqual(proxy.open(), 0)
      server.resume()
    }).pipe(Effect.scoped)
  )

  it.live("selects the database of the URL, and uses the prefix", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const store = yield* open(`${server.url}/3`, { prefix: "mine:" })
      yield* store.claim("row", claim)
      assert.match(String(yield* Effect.promise(() => server.command("INFO", "keyspace"))), /db3:keys=1,expires=1/)
      const client = yield* Effect.promise(() => connect(server.port))
      yield* Effect.promise(() => client.sendCommand(["SELECT", "3"]))
      assert.deepEqual(yield* Effect.promise(() => client.sendCommand<ReadonlyArray<string>>(["KEYS", "*"])), [
        "mine:row"
      ])
      client.destroy()
    }).pipe(Effect.scoped)
  )
})

describe("a step", () => {
  const cases: ReadonlyArray<
    readonly [when: string, config: ReadonlyArray<string>, user: string, kind: string, detail: RegExp]
  > = [
    ["Redis requires a password", ["--requirepass", "fake-secret-a+b/c="], "", "refused", /requires a password/],
    ["the password is wrong", ["--requirepass", "fake-secret-a+b/c="], ":fake-secret-wrong@", "refused", /rejected/],
    ["the user is unknown", [], "nobody:fake-secret-wrong@", "refused", /rejected/]
  ]
  for (const [when, config, user, kind, detail] of cases) {
    it.live(`is ${kind} when ${when}, without the password in the error`, () =>
      Effect.gen(function* () {
        const server = yield* redis(...config)
        const store = yield* open(`redis://${user}127.0.0.1:${server.port}`)
        for (let i = 0; i < 2; i++) {
          const error = yield* Effect.flip(store.claim("row", claim))
          assert.strictEqual(error.kind, kind)
          assert.match(error.detail, detail)
          assert.notInclude(JSON.stringify(error) + error.message, "fake-secret")
        }
      }).pipe(Effect.scoped)
    )
  }

  it.live("is unavailable at once when nothing listens at the address", () =>
    Effect.gen(function* () {
      const store = yield* open(`redis://127.0.0.1:${yield* Effect.promise(freePort)}`)
      const error = yield* Effect.flip(store.claim("row", claim))
      assert.strictEqual(error.kind, "unavailable")
      assert.include(error.detail, "ECONNREFUSED")
    }).pipe(Effect.scoped)
  )

  it.live("is a timeout when connecting is not answered", () =>
    Effect.gen(function* () {
      const server = yield* redis("--requirepass", "fake-secret-a+b/c=")
      const store = yield* open(`redis://:fake-secret-wrong@127.0.0.1:${server.port}`)
      server.pause()
      const started = performance.now()
      const error = yield* Effect.flip(store.claim("row", claim))
      assert.strictEqual(error.kind, "timeout")
      assert.include(error.detail, "connecting")
      assert.isBelow(performance.now() - started, 3_500)
      server.resume()
    }).pipe(Effect.scoped)
  )

  it.live("is refused when Redis is full, which still returns a token and loses none", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const store = yield* open(server.url)
      yield* store.publish("row", token)
      yield* Effect.promise(() => server.command("CONFIG", "SET", "maxmemory-policy", "noeviction"))
      yield* Effect.promise(() => server.command("CONFIG", "SET", "maxmemory", "1"))
      for (const step of [store.publish("row", { ...token, owner: "u" }), store.claim("other", claim)]) {
        const error = yield* Effect.flip(step)
        assert.strictEqual(error.kind, "refused")
        assert.include(error.detail, "full")
      }
      const claimed = yield* store.claim("row", claim)
      assert.strictEqual(claimed._tag === "Token" ? claimed.version : claimed._tag, "t")
    }).pipe(Effect.scoped)
  )

  it.live("is refused by a read-only replica, which still returns a token", () =>
    Effect.gen(function* () {
      const primary = yield* redis()
      yield* (yield* open(primary.url)).publish("row", token)
      const replica = yield* redis("--replicaof", "127.0.0.1", String(primary.port))
      const store = yield* open(replica.url)
      yield* Effect.eventually(
        Effect.flatMap(store.claim("row", claim), ({ _tag }) =>
          _tag === "Token" ? Effect.void : Effect.fail("not replicated yet")
        )
      )
      const error = yield* Effect.flip(store.claim("other", claim))
      assert.strictEqual(error.kind, "refused")
      assert.include(error.detail, "read-only")
    }).pipe(Effect.scoped)
  )

  it.live("needs the commands and keys that the guide names, and no others", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const rules = [
        "~effect-itwin:*",
        "+eval",
        "+evalsha",
        "+script|load",
        "+time",
        "+hmget",
        "+hset",
        "+hdel",
        "+del"
      ]
      const user = (...more: ReadonlyArray<string>) =>
        Effect.promise(() =>
          server.command("ACL", "SETUSER", "itwin", "reset", "on", ">fake-secret-acl", ...rules, ...more)
        )
      yield* user("+pexpire")
      const store = yield* open(`redis://itwin:fake-secret-acl@127.0.0.1:${server.port}`)
      yield* store.claim("row", claim)
      yield* store.publish("row", token)
      yield* store.release("row", "a", { value: "v", left: 60_000, level: 2 })
      yield* store.drop("row", "t")
      const other = yield* open(`redis://itwin:fake-secret-acl@127.0.0.1:${server.port}`, { prefix: "other:" })
      assert.include((yield* Effect.flip(other.claim("row", claim))).detail, "access rules")
      yield* user()
      const error = yield* Effect.flip(store.claim("row2", claim))
      assert.strictEqual(error.kind, "refused")
    }).pipe(Effect.scoped)
  )

  it.live("replaces what somebody else stored under its key, and treats broken fields as absent", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const store = yield* open(server.url)
      const key = "effect-itwin:row"
      yield* Effect.promise(() => server.command("SET", key, "text"))
      assert.strictEqual((yield* store.claim("row", claim))._tag, "Lease")
      assert.strictEqual((yield* store.claim("row", { ...claim, owner: "b" }))._tag, "Busy")
      for (const broken of ["nan", "inf", "-inf", "", "x", "1e400", "0x"]) {
        for (const field of ["lf", "ll"]) {
          yield* store.release("row", "a")
          yield* store.claim("row", claim)
          yield* Effect.promise(() => server.command("HSET", key, field, broken))
          assert.strictEqual((yield* store.claim("row", { ...claim, owner: "b" }))._tag, "Lease", `${field} ${broken}`)
          yield* store.release("row", "b")
        }
      }
      yield* store.publish("row", token)
      yield* Effect.promise(() => server.command("HSET", key, "sk", "9", "sv", "v", "sf", "9e99", "sl", "1e300"))
      assert.strictEqual((yield* store.claim("row", claim))._tag, "Token")
    }).pipe(Effect.scoped)
  )

  it.live("lets each key end by itself", () =>
    Effect.gen(function* () {
      const server = yield* redis()
      const store = yield* open(server.url)
      const ttl = () => Effect.promise(() => server.command<number>("PTTL", "effect-itwin:row"))
      yield* store.claim("row", claim)
      assert.isTrue((yield* ttl()) > 2_000 && (yield* ttl()) <= 3_000)
      yield* store.publish("row", { ...token, owner: "a" })
      assert.isTrue((yield* ttl()) > 59_000 && (yield* ttl()) <= 60_000)
      yield* store.release("row", "a", { value: "v", left: 120_000, level: 1 })
      assert.isTrue((yield* ttl()) > 179_000 && (yield* ttl()) <= 180_000)
      yield* store.drop("row", "a")
      assert.isTrue((yield* ttl()) > 179_000)
    }).pipe(Effect.scoped)
  )
})
