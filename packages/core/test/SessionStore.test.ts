import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { AccessToken, AuthorizationCode, Scopes, SessionStore } from "@effect-itwin/core"
import { SessionStoreContract } from "@effect-itwin/testing"
import { DateTime, Effect, Exit, Fiber, Logger, Option, Redacted, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"

const key = (letter: string) => Redacted.make(Buffer.from(letter.repeat(32)).toString("base64"))
const [keyA, keyB] = [key("a"), key("b")]

const secrets = { access: "fake-secret-access+/=", refresh: "fake-secret-refresh+/=", id: "fake-secret-id+/=" }

const sessionAt = (now: DateTime.Utc) =>
  new SessionStore.Session({
    key: "key-of-session",
    clientId: "webapp-abc",
    scopes: Scopes.make("itwin-platform openid"),
    accessToken: new AccessToken.AccessToken({
      value: Redacted.make(secrets.access),
      tokenType: "Bearer",
      scopes: Scopes.itwinPlatform,
      requestedScopes: Scopes.make("itwin-platform openid"),
      clientId: "webapp-abc",
      ofUser: true,
      issuedAt: now,
      expiresAt: DateTime.add(now, { hours: 1 })
    }),
    refreshToken: Redacted.make(secrets.refresh),
    idToken: Redacted.make(secrets.id),
    user: new AuthorizationCode.IdToken({ subject: "1", email: "ada@example.com" }),
    signedInAt: now,
    expiresAt: DateTime.add(now, { hours: 8 })
  })

const session = Effect.map(DateTime.now, sessionAt)

/** A backend that is not private, and shows what it holds. */
const makeOpenBackend = Effect.map(SessionStore.makeMemory, (memory) => {
  const rows = new Map<string, string>()
  const backend: SessionStore.Backend = {
    ...memory,
    name: "open",
    isPrivate: false,
    set: (name, text, options) => {
      rows.set(name, text)
      return memory.set(name, text, options)
    },
    get: (name) => Effect.sync(() => rows.get(name)),
    remove: (name) => Effect.sync(() => void rows.delete(name))
  }
  return { rows, backend }
})

const shownBy = (value: unknown) =>
  [String(value), JSON.stringify(value), inspect(value, { showHidden: true, depth: 10 })].join("\n")

describe("the backend in memory", () => {
  for (const { name, run } of SessionStoreContract.cases({
    open: Effect.map(SessionStore.makeMemory, Effect.succeed),
    wait: (millis) => TestClock.adjust(millis)
  })) {
    it.effect(name, () => run)
  }

  it.effect("fails the contract when it brings back what was removed", () =>
    Effect.gen(function* () {
      const broken = Effect.map(
        SessionStore.makeMemory,
        (memory): SessionStore.Backend => ({
          ...memory,
          set: (name, text, options) => memory.set(name, text, { ...options, onlyIfPresent: false })
        })
      )
      const cases = SessionStoreContract.cases({
        open: Effect.map(broken, Effect.succeed),
        wait: (millis) => TestClock.adjust(millis)
      })
      const failed = yield* Effect.filter(cases, ({ run }) => Effect.map(Effect.exit(run), Exit.isFailure))
      assert.isAtLeast(failed.length, 4)
      const [first] = failed
      const error = first && (yield* Effect.flip(first.run))
      assert.match(error?.message ?? "", /^The backend violates "/)
    })
  )
})

describe("an id", () => {
  it.effect("has 256 bits, is new each time, and does not show", () =>
    Effect.gen(function* () {
      const ids = yield* Effect.replicateEffect(SessionStore.makeId, 100)
      const texts = new Set(ids.map(Redacted.value))
      assert.strictEqual(texts.size, 100)
      for (const id of ids) {
        assert.strictEqual(Buffer.from(Redacted.value(id), "base64url").length, 32)
        assert.notInclude(shownBy(id), Redacted.value(id))
        assert.deepStrictEqual(
          Option.map(SessionStore.parseId(Redacted.value(id)), Redacted.value),
          Option.some(Redacted.value(id))
        )
      }
    })
  )

  it("is none when the text can't be one", () => {
    for (const text of [
      "",
      "a".repeat(42),
      "a".repeat(44),
      `${"a".repeat(42)}=`,
      `${"a".repeat(42)}\n`,
      "é".repeat(43)
    ]) {
      assert.isTrue(Option.isNone(SessionStore.parseId(text)), text)
    }
  })
})

describe("a sealed store", () => {
  it.effect("returns what was stored, while the backend sees neither ids nor tokens nor claims", () =>
    Effect.gen(function* () {
      const { backend, rows } = yield* makeOpenBackend
      const store = SessionStore.make(backend, { keys: [keyA] })
      const id = yield* SessionStore.makeId
      const stored = yield* session
      yield* store.set(id, stored, { create: true })
      const read = Option.getOrThrow(yield* store.get(id))
      assert.deepStrictEqual({ ...read }, { ...stored, isRenewalLost: undefined })
      assert.strictEqual(Redacted.value(read.accessToken.value), secrets.access)
      assert.instanceOf(read.user, AuthorizationCode.IdToken)
      const seen = JSON.stringify([...rows])
      for (const secret of [...Object.values(secrets), Redacted.value(id), "ada@example.com", "key-of-session"]) {
        assert.notInclude(seen, secret)
        if (secret !== "ada@example.com" && secret !== "key-of-session") assert.notInclude(shownBy(read), secret)
      }
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Schema.encodeEffect(SessionStore.Session)(read))))
    })
  )

  it.effect("keeps sessions when a key is replaced, and warns once when a key is missing", () =>
    Effect.gen(function* () {
      const { backend } = yield* makeOpenBackend
      const id = yield* SessionStore.makeId
      yield* SessionStore.make(backend, { keys: [keyA] }).set(id, yield* session, { create: true })
      assert.isTrue(Option.isSome(yield* SessionStore.make(backend, { keys: [keyB, keyA] }).get(id)))
      const other = SessionStore.make(backend, { keys: [keyB] })
      const logs: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => void logs.push(String(message)))])
      for (let i = 0; i < 3; i++) assert.isTrue(Option.isNone(yield* Effect.provide(other.get(id), logger)))
      assert.strictEqual(logs.length, 1)
      assert.include(logs[0], "sealed with a key that is not in the list")
    })
  )

  it.effect("does not open the session of one id under another one", () =>
    Effect.gen(function* () {
      const { backend, rows } = yield* makeOpenBackend
      const store = SessionStore.make(backend, { keys: [keyA] })
      const [mine, another] = [yield* SessionStore.makeId, yield* SessionStore.makeId]
      yield* store.set(mine, yield* session, { create: true })
      yield* store.set(another, yield* session, { create: true })
      const [[first = "", text = ""] = [], [second = ""] = []] = rows
      rows.set(second, text)
      assert.isTrue(Option.isSome(yield* store.get(mine)), first)
      assert.isTrue(Option.isNone(yield* Effect.provide(store.get(another), Logger.layer([]))))
    })
  )

  it("needs keys", () => {
    const backend = Effect.runSync(makeOpenBackend).backend
    assert.throws(() => SessionStore.make(backend), "SessionStore: keys must be a list of at least one key")
    const short = Redacted.make("fake-secret-short")
    assert.throws(() => SessionStore.make(backend, { keys: [short] }), RangeError)
    try {
      SessionStore.make(backend, { keys: [short] })
    } catch (error) {
      assert.notInclude(shownBy(error), "fake-secret")
    }
  })
})

describe("a backend that fails", () => {
  const failing = (get: SessionStore.Backend["get"]) =>
    Effect.gen(function* () {
      const memory = yield* SessionStore.makeMemory
      const id = yield* SessionStore.makeId
      const store = SessionStore.make({ ...memory, get })
      const exit = yield* Effect.forkChild(Effect.flip(store.get(id)), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      const error = yield* Fiber.join(exit)
      assert.notInclude(shownBy(error), Redacted.value(id))
      return error
    })

  it.effect("fails with a SessionStoreError that says why", () =>
    Effect.gen(function* () {
      const hung = yield* failing(() => Effect.uninterruptible(Effect.never))
      assert.strictEqual(hung.kind, "timeout")
      assert.strictEqual(hung.message, "The session store memory failed (timeout): a step did not end within 1 s.")
      const thrown = yield* failing((name) => {
        throw new Error(name)
      })
      assert.strictEqual(thrown.kind, "unavailable")
      const died = yield* failing((name) => Effect.die(new TypeError(name)))
      assert.include(died.message, "TypeError")
    })
  )

  it.effect("returns none for what is not a session", () =>
    Effect.gen(function* () {
      const memory = yield* SessionStore.makeMemory
      for (const text of ["", "{}", '{"form":2}', "null"]) {
        const store = SessionStore.make({ ...memory, get: () => Effect.succeed(text) })
        const got = yield* Effect.provide(store.get(yield* SessionStore.makeId), Logger.layer([]))
        assert.isTrue(Option.isNone(got))
      }
    })
  )
})

describe("the lock", () => {
  const locked = (store: SessionStore.SessionStore["Service"], id: SessionStore.SessionId) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.provide(store.lock(id), scope)
      return scope
    })

  it.effect("is given to a waiter within 100 ms of its release", () =>
    Effect.gen(function* () {
      const store = SessionStore.make(yield* SessionStore.makeMemory)
      const id = yield* SessionStore.makeId
      const holder = yield* locked(store, id)
      const waiter = yield* Effect.forkChild(locked(store, id), { startImmediately: true })
      yield* TestClock.adjust("2 minutes")
      assert.isUndefined(waiter.pollUnsafe())
      yield* Scope.close(holder, Exit.void)
      yield* TestClock.adjust("100 millis")
      assert.isDefined(waiter.pollUnsafe())
    })
  )

  it.effect("ends by itself within 5 s when its holder dies", () =>
    Effect.gen(function* () {
      const memory = yield* SessionStore.makeMemory
      const id = yield* SessionStore.makeId
      let isDead = false
      const dying = SessionStore.make({
        ...memory,
        tryLock: (name, owner, life) => (isDead ? Effect.never : memory.tryLock(name, owner, life)),
        unlock: () => Effect.never
      })
      yield* locked(dying, id)
      yield* TestClock.adjust("1 minute")
      isDead = true
      const waiter = yield* Effect.forkChild(locked(SessionStore.make(memory), id), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      assert.isUndefined(waiter.pollUnsafe())
      yield* TestClock.adjust("2100 millis")
      assert.isDefined(waiter.pollUnsafe())
    })
  )

  it.effect("is not kept by a waiter that was interrupted", () =>
    Effect.gen(function* () {
      const store = SessionStore.make(yield* SessionStore.makeMemory)
      const id = yield* SessionStore.makeId
      const holder = yield* locked(store, id)
      const waiter = yield* Effect.forkChild(Effect.scoped(store.lock(id)), { startImmediately: true })
      yield* Fiber.interrupt(waiter)
      yield* Scope.close(holder, Exit.void)
      yield* locked(store, id)
    })
  )
})
