import { assert, describe, it } from "@effect/vitest"
import {
  ITwinApiError,
  ITwinHttpClient,
  Scopes,
  SecretProvider,
  SessionStore,
  TokenCache,
  Users,
  UserTokens
} from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Cause, Clock, Effect, Exit, Fiber, Layer, Option, Redacted, Scope } from "effect"
import { HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import {
  email,
  faultyMemory,
  layerIms,
  memory,
  minutes,
  reasonOf,
  refreshes,
  replica,
  script,
  signIn,
  signInPublic,
  silent,
  storeError,
  textOf,
  withFaults
} from "./userSupport.ts"

const refreshTokenOf = (store: SessionStore.SessionStore["Service"], id: SessionStore.SessionId) =>
  Effect.map(store.get(id), (session) =>
    Option.match(session, {
      onNone: () => undefined,
      onSome: ({ refreshToken }) => refreshToken && Redacted.value(refreshToken)
    })
  )

describe("UserTokens", () => {
  it.effect("returns the token of the sign-in, and renews it in the background when it is due", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const tokens = yield* replica(store)
      const id = yield* tokens.open(yield* signIn())
      const first = yield* tokens.get(id)
      const refreshToken = yield* refreshTokenOf(store, id)
      yield* minutes(44)
      assert.strictEqual(textOf(yield* tokens.get(id)), textOf(first))
      assert.deepStrictEqual(yield* refreshes, [])
      yield* minutes(2)
      assert.strictEqual(textOf(yield* tokens.get(id)), textOf(first))
      yield* minutes(0)
      const second = yield* tokens.get(id)
      assert.notStrictEqual(textOf(second), textOf(first))
      assert.deepStrictEqual(yield* refreshes, ["ok"])
      assert.notStrictEqual(yield* refreshTokenOf(store, id), refreshToken)
      const info = yield* tokens.session(id)
      assert.strictEqual(info.user?.email, email)
      assert.notInclude(JSON.stringify(info), Redacted.value(id))
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("keeps a user signed in for a day, and no longer", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const id = yield* tokens.open(yield* signIn())
      for (let hour = 0; hour < 23; hour++) {
        yield* minutes(60)
        yield* tokens.get(id)
      }
      yield* minutes(61)
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.get(id))), "SignedOut unknown")
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("reads the store on each use, so that a sign-out holds on every replica at once", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const [first, second] = [yield* replica(store), yield* replica(store)]
      const id = yield* first.open(yield* signIn())
      yield* second.get(id)
      const closed = yield* first.close(id)
      assert.isDefined(closed.idToken)
      const cache = second.cacheOf(id)
      for (const use of [second.get(id), Effect.asVoid(second.session(id)), cache.get(), cache.refresh()]) {
        assert.strictEqual(reasonOf(yield* Effect.exit(use)), "SignedOut unknown")
      }
      assert.isFalse(yield* cache.isReady)
      assert.deepStrictEqual(yield* cache.status, [])
      assert.isUndefined(cache.peekUnsafe())
      const fake = yield* FakeIms.FakeIms
      assert.strictEqual(yield* fake.countRequests("POST /connect/revocation"), 1)
      assert.isUndefined((yield* first.close(id)).idToken)
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("signs out although IMS can't revoke the token", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const fake = yield* FakeIms.FakeIms
      const id = yield* tokens.open(yield* signIn())
      yield* fake.script("POST /connect/revocation", Fault.always(Fault.respond({ status: 503, body: {} })))
      yield* tokens.close(id)
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.get(id))), "SignedOut unknown")
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("returns the token that another replica renewed, at once and without a request", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const [first, second] = [yield* replica(store), yield* replica(store)]
      const id = yield* first.open(yield* signIn())
      yield* second.get(id)
      yield* minutes(46)
      yield* first.get(id)
      yield* minutes(0)
      const renewed = yield* first.get(id)
      assert.strictEqual(textOf(yield* second.get(id)), textOf(renewed))
      assert.deepStrictEqual(yield* refreshes, ["ok"])
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("makes one renewal when two replicas need one at once", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const [first, second] = [yield* replica(store), yield* replica(store)]
      const id = yield* first.open(yield* signIn())
      yield* minutes(59.5)
      yield* script(Fault.once(Fault.delay("1 second")))
      const both = yield* Effect.forkChild(Effect.all([first.get(id), second.get(id)], { concurrency: "unbounded" }))
      for (let i = 0; i < 20; i++) yield* TestClock.adjust("100 millis")
      const [one, two] = yield* Fiber.join(both)
      assert.strictEqual(textOf(one), textOf(two))
      assert.deepStrictEqual(yield* refreshes, ["ok"])
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("loses the session when two replicas do not share a lock", () =>
    Effect.gen(function* () {
      // One row of sessions, as in a store, but each replica has its own locks: the reason for the shared lock.
      const backend = yield* SessionStore.makeMemory
      const own = Effect.map(SessionStore.makeMemory, ({ tryLock, unlock }) =>
        SessionStore.make({ ...backend, tryLock, unlock })
      )
      const [first, second] = [yield* replica(yield* own), yield* replica(yield* own)]
      const id = yield* first.open(yield* signIn())
      yield* minutes(60)
      yield* script(Fault.once(Fault.delay("1 second")), Fault.once(Fault.delay("2 seconds")))
      const both = yield* Effect.forkChild(
        Effect.all([Effect.exit(first.get(id)), Effect.exit(second.get(id))], { concurrency: "unbounded" })
      )
      for (let i = 0; i < 30; i++) yield* TestClock.adjust("100 millis")
      yield* Fiber.join(both)
      yield* minutes(60)
      assert.match(reasonOf(yield* Effect.exit(first.get(id))), /^SignedOut/)
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("stores the new refresh token before it hands out the access token", () =>
    Effect.gen(function* () {
      const { failing, store } = yield* faultyMemory
      const tokens = yield* replica(store)
      const id = yield* tokens.open(yield* signIn())
      yield* minutes(60)
      failing.add("set")
      const failed = yield* Effect.forkChild(Effect.exit(tokens.get(id)), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(reasonOf(yield* Fiber.join(failed)), "SessionUnavailable")
      assert.deepStrictEqual(yield* refreshes, ["ok"])
      // The next attempt stores what IMS granted, and needs no request.
      failing.clear()
      yield* TestClock.adjust("5 seconds")
      const token = yield* tokens.get(id)
      assert.deepStrictEqual(yield* refreshes, ["ok"])
      assert.strictEqual(
        (yield* store.get(id)).pipe(
          Option.map(({ accessToken }) => textOf(accessToken)),
          Option.getOrUndefined
        ),
        textOf(token)
      )
      yield* minutes(60)
      yield* tokens.get(id)
      assert.deepStrictEqual(yield* refreshes, ["ok", "ok"])
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("stores what IMS granted when the layer is closed, if the store works again", () =>
    Effect.gen(function* () {
      const { failing, store } = yield* faultyMemory
      const scope = yield* Scope.make()
      const tokens = yield* Scope.provide(replica(store), scope)
      const id = yield* tokens.open(yield* signIn())
      yield* minutes(60)
      failing.add("set")
      const failed = yield* Effect.forkChild(Effect.exit(tokens.get(id)), { startImmediately: true })
      // Between the last attempt to store it and the next one.
      yield* TestClock.adjust("600 millis")
      yield* Fiber.join(failed)
      failing.clear()
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      const next = yield* replica(store)
      yield* next.get(id)
      assert.deepStrictEqual(yield* refreshes, ["ok"])
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("stores what IMS granted as soon as the store works again, without a caller", () =>
    Effect.gen(function* () {
      const { failing, store } = yield* faultyMemory
      const [first, second] = [yield* replica(store), yield* replica(store)]
      const id = yield* first.open(yield* signIn())
      yield* minutes(60)
      failing.add("set")
      const failed = yield* Effect.forkChild(Effect.exit(first.get(id)), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(failed)
      failing.clear()
      yield* TestClock.adjust("2 seconds")
      // Otherwise this replica would use the old refresh token a second time.
      yield* second.get(id)
      assert.deepStrictEqual(yield* refreshes, ["ok"])
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("revokes what IMS granted when the session was closed while the store did not work", () =>
    Effect.gen(function* () {
      const { failing, store } = yield* faultyMemory
      const [first, second] = [yield* replica(store), yield* replica(store)]
      const fake = yield* FakeIms.FakeIms
      const id = yield* first.open(yield* signIn())
      yield* minutes(60)
      failing.add("set")
      const failed = yield* Effect.forkChild(Effect.exit(first.get(id)), { startImmediately: true })
      // Between the last attempt to store it and the next one.
      yield* TestClock.adjust("600 millis")
      yield* Fiber.join(failed)
      yield* second.close(id)
      failing.clear()
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* fake.countRequests("POST /connect/revocation"), 2)
      assert.strictEqual(reasonOf(yield* Effect.exit(first.get(id))), "SignedOut unknown")
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("keeps sessions that it has forgotten, because the store has them", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory, { maxKeys: 2 })
      const ids = yield* Effect.replicateEffect(Effect.flatMap(signIn(), tokens.open), 6)
      for (let hour = 0; hour < 3; hour++) {
        for (const id of ids) yield* tokens.get(id)
        yield* minutes(59.5)
        for (const id of ids) yield* tokens.get(id)
      }
      assert.strictEqual((yield* refreshes).length, 3 * ids.length)
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("ends a session also on a replica that does not have its key", () =>
    Effect.gen(function* () {
      const backend = { ...(yield* SessionStore.makeMemory), isPrivate: false }
      const oldKey = Redacted.make("c2VhbGVkLXRleHQtZXhhbXBsZS1vbGRlci1rZXktMDE=")
      const newKey = Redacted.make("c2VhbGVkLXRleHQtZXhhbXBsZS1uZXdlci1rZXktMDI=")
      const first = yield* replica(SessionStore.make(backend, { keys: [newKey, oldKey] }))
      const second = yield* replica(SessionStore.make(backend, { keys: [oldKey] }))
      const id = yield* first.open(yield* signIn())
      assert.strictEqual(reasonOf(yield* Effect.exit(second.session(id))), "SignedOut unknown")
      assert.isUndefined((yield* second.close(id)).idToken)
      assert.strictEqual(reasonOf(yield* Effect.exit(first.get(id))), "SignedOut unknown")
    }).pipe(Effect.provide(silent), Effect.scoped, Effect.provide(layerIms()))
  )

  it.effect("finishes a renewal that was sent before the layer closes", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const scope = yield* Scope.make()
      const tokens = yield* Scope.provide(replica(store), scope)
      const fake = yield* FakeIms.FakeIms
      const id = yield* tokens.open(yield* signIn())
      yield* minutes(60)
      yield* script(Fault.once(Fault.delay("2 seconds")))
      const waiting = yield* Effect.forkChild(Effect.exit(tokens.get(id)), { startImmediately: true })
      yield* fake.awaitRequest("POST /connect/token", 2)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      assert.strictEqual(reasonOf(yield* Fiber.join(waiting)), "Closed")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(closing)
      const next = yield* replica(store)
      yield* next.get(id)
      assert.deepStrictEqual(yield* refreshes, ["ok"])
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("does not bring back a session that was closed during its renewal, and revokes the new refresh token", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const [first, second] = [yield* replica(store), yield* replica(store)]
      const fake = yield* FakeIms.FakeIms
      const id = yield* first.open(yield* signIn())
      yield* minutes(60)
      yield* script(Fault.once(Fault.delay("2 seconds")))
      yield* fake.script("POST /connect/revocation", Fault.once(Fault.respond({ status: 503, body: {} })))
      const waiting = yield* Effect.forkChild(Effect.exit(first.get(id)), { startImmediately: true })
      yield* fake.awaitRequest("POST /connect/token", 2)
      yield* second.close(id)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(reasonOf(yield* Fiber.join(waiting)), "SignedOut ended")
      assert.isTrue(Option.isNone(yield* store.get(id)))
      const revocations = (yield* fake.journal).filter(({ path }) => path === "/connect/revocation")
      assert.deepStrictEqual(revocations.map(({ outcome }) => outcome).slice(1), ["ok"])
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("ends the session, in the store too, when IMS rejects the refresh token", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const tokens = yield* replica(store)
      const fake = yield* FakeIms.FakeIms
      const id = yield* tokens.open(yield* signIn())
      const other = yield* tokens.open(yield* signIn())
      yield* fake.revokeSignIns(email)
      yield* minutes(60)
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.get(id))), "SignedOut rejected")
      assert.isTrue(Option.isNone(yield* store.get(id)))
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.get(id))), "SignedOut unknown")
      // It holds for no other session.
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.get(other))), "SignedOut rejected")
      assert.strictEqual((yield* refreshes).length, 2)
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("returns no token, not even a valid one, when the renewal says that the session has ended", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const fake = yield* FakeIms.FakeIms
      const id = yield* tokens.open(yield* signIn())
      yield* tokens.get(id)
      yield* minutes(59.5)
      yield* fake.revokeSignIns(email)
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.get(id))), "SignedOut rejected")
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("ends a session at its end, also when the store keeps it longer", () =>
    Effect.gen(function* () {
      const backend = yield* SessionStore.makeMemory
      const store = SessionStore.make({
        ...backend,
        set: (name, text, options) => backend.set(name, text, { ...options, life: 1e9 })
      })
      const tokens = yield* replica(store, { life: "2 hours" })
      const id = yield* tokens.open(yield* signIn())
      yield* minutes(119)
      yield* tokens.get(id)
      yield* minutes(1)
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.get(id))), "SignedOut expired")
      assert.isTrue(Option.isNone(yield* store.get(id)))
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("sends no refresh token of another client", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const fake = yield* FakeIms.FakeIms
      const other = yield* fake.registerApp({
        name: "Other",
        type: "web",
        redirectUris: ["https://other.example.com/"]
      })
      const tokens = yield* replica(store)
      const id = yield* tokens.open(yield* signIn())
      const foreign = yield* replica(store).pipe(
        Effect.provideService(SecretProvider.SecretProvider, { credentials: Effect.succeed(other.credentials) })
      )
      yield* minutes(60)
      assert.strictEqual(reasonOf(yield* Effect.exit(foreign.get(id))), "SignedOut unknown")
      assert.deepStrictEqual(yield* refreshes, [])
      yield* tokens.get(id)
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("does not renew a new token because the clock of the replica that stored it is ahead", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const clock = yield* Clock.Clock
      const behind: Clock.Clock = {
        ...clock,
        sleep: (duration) => clock.sleep(duration),
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - 3_000
      }
      const first = yield* replica(store)
      const second = yield* Effect.provideService(replica(store), Clock.Clock, behind)
      const id = yield* first.open(yield* signIn())
      yield* second.get(id)
      yield* minutes(0)
      assert.strictEqual((yield* second.cacheOf(id).status)[0]?.state, "fresh")
      assert.deepStrictEqual(yield* refreshes, [])
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("does not replace what another replica stored by what it could not store itself", () =>
    Effect.gen(function* () {
      // IMS accepts the old refresh token for a while, so both replicas get new tokens.
      const backend = yield* SessionStore.makeMemory
      let isBroken = false
      const broken = withFaults(backend, (step) => (isBroken && step === "set" ? Effect.fail(storeError) : Effect.void))
      const store = SessionStore.make(backend)
      const [first, second] = [yield* replica(SessionStore.make(broken)), yield* replica(store)]
      const id = yield* first.open(yield* signIn())
      yield* minutes(60)
      isBroken = true
      const failed = yield* Effect.forkChild(Effect.exit(first.get(id)), { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      yield* Fiber.join(failed)
      const waiting = yield* Effect.forkChild(second.get(id), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      const stored = yield* Fiber.join(waiting)
      isBroken = false
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(textOf(yield* first.get(id)), textOf(stored))
      assert.deepStrictEqual(yield* refreshes, ["ok", "ok"])
    }).pipe(Effect.provide([layerIms({ profile: { refreshTokenGraceSeconds: 60 } }), silent]))
  )

  it.effect("uses the refresh token of another replica when IMS rejects the old one", () =>
    Effect.gen(function* () {
      // One row of sessions, but each replica has its own locks, as when the lock was lost.
      const backend = yield* SessionStore.makeMemory
      const own = Effect.map(SessionStore.makeMemory, ({ tryLock, unlock }) =>
        SessionStore.make({ ...backend, tryLock, unlock })
      )
      const [first, second] = [yield* replica(yield* own), yield* replica(yield* own)]
      const fake = yield* FakeIms.FakeIms
      const id = yield* first.open(yield* signIn())
      yield* minutes(60)
      // IMS gets to the request when the other replica has used the refresh token.
      yield* script(Fault.once(Fault.delay("2 seconds")))
      const waiting = yield* Effect.forkChild(Effect.exit(first.get(id)), { startImmediately: true })
      yield* fake.awaitRequest("POST /connect/token", 2)
      const renewed = yield* second.get(id)
      yield* TestClock.adjust("3 seconds")
      const exit = yield* Fiber.join(waiting)
      assert.isTrue(Exit.isSuccess(exit) && textOf(exit.value) === textOf(renewed))
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("keeps the access token after the answer to a renewal was lost", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const [first, second] = [yield* replica(store), yield* replica(store)]
      const id = yield* first.open(yield* signIn())
      const token = yield* first.get(id)
      yield* minutes(46)
      yield* script(Fault.once(Fault.resetAmidBody))
      yield* first.get(id)
      yield* TestClock.adjust("5 seconds")
      // The refresh token is used up. IMS rejects it, and the session ends with its access token.
      for (let i = 0; i < 3; i++) {
        assert.strictEqual(textOf(yield* second.get(id)), textOf(token))
        yield* TestClock.adjust("5 seconds")
      }
      assert.deepStrictEqual((yield* refreshes).length, 2)
      assert.isUndefined(yield* refreshTokenOf(store, id))
      assert.strictEqual(textOf(yield* first.get(id)), textOf(token))
      yield* minutes(14)
      assert.match(reasonOf(yield* Effect.exit(first.get(id))), /^SignedOut/)
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("keeps the access token after a lost answer also when the store did not take that it was lost", () =>
    Effect.gen(function* () {
      const { failing, store } = yield* faultyMemory
      const tokens = yield* replica(store)
      const id = yield* tokens.open(yield* signIn())
      const token = yield* tokens.get(id)
      yield* minutes(46)
      yield* script(Fault.once(Fault.resetAmidBody))
      failing.add("set")
      yield* tokens.get(id)
      yield* TestClock.adjust("1 second")
      failing.clear()
      yield* TestClock.adjust("5 seconds")
      for (let i = 0; i < 3; i++) {
        assert.strictEqual(textOf(yield* tokens.get(id)), textOf(token))
        yield* TestClock.adjust("5 seconds")
      }
      assert.strictEqual((yield* refreshes).length, 2)
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("survives a lost answer when IMS accepts the old refresh token again", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const id = yield* tokens.open(yield* signIn())
      yield* minutes(46)
      yield* script(Fault.once(Fault.resetAmidBody))
      yield* tokens.get(id)
      yield* TestClock.adjust("5 seconds")
      yield* tokens.get(id)
      yield* minutes(30)
      yield* tokens.get(id)
      assert.deepStrictEqual(
        (yield* refreshes).filter((outcome) => outcome === "invalid_grant"),
        []
      )
    }).pipe(Effect.provide([layerIms({ profile: { refreshTokenGraceSeconds: 60 } }), silent]))
  )

  it.effect("ends a session without a refresh token with its access token", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const id = yield* tokens.open(yield* signIn(Scopes.make("itwin-platform openid")))
      const token = yield* tokens.get(id)
      const cache = tokens.cacheOf(id)
      yield* minutes(59)
      assert.strictEqual(textOf(yield* cache.get()), textOf(token))
      assert.isTrue(Option.isNone(yield* cache.replace(token)))
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.refresh())), "SignedOut expired")
      assert.strictEqual((yield* cache.status)[0]?.state, "fresh")
      assert.isTrue(yield* cache.isReady)
      yield* minutes(1)
      assert.match(reasonOf(yield* Effect.exit(tokens.get(id))), /^SignedOut/)
      assert.deepStrictEqual(yield* refreshes, [])
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("fails when the store can't be read, and holds no pause after it", () =>
    Effect.gen(function* () {
      const { failing, store } = yield* faultyMemory
      const tokens = yield* replica(store)
      const id = yield* tokens.open(yield* signIn())
      yield* tokens.get(id)
      failing.add("get")
      const exit = yield* Effect.exit(tokens.get(id))
      assert.strictEqual(reasonOf(exit), "SessionUnavailable")
      failing.clear()
      yield* tokens.get(id)
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("pauses for all users when IMS rejects the app, and for one user otherwise", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const fake = yield* FakeIms.FakeIms
      const ids = [yield* tokens.open(yield* signIn()), yield* tokens.open(yield* signIn())] as const
      yield* minutes(60)
      const { credentials } = yield* SecretProvider.SecretProvider
      const { clientId } = yield* credentials
      yield* fake.disableApp(clientId)
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.get(ids[0]))), "InvalidClient")
      const made = (yield* refreshes).length
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.get(ids[1]))), "InvalidClient")
      assert.strictEqual((yield* refreshes).length, made)
      yield* fake.enableApp(clientId)
      yield* minutes(2)
      yield* tokens.get(ids[0])
      yield* tokens.get(ids[1])
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("uses a rotated client secret without a new sign-in", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const fake = yield* FakeIms.FakeIms
      const id = yield* tokens.open(yield* signIn())
      const { credentials } = yield* SecretProvider.SecretProvider
      yield* fake.regenerateSecret((yield* credentials).clientId)
      yield* minutes(60)
      yield* tokens.get(id)
      assert.deepStrictEqual(yield* refreshes, ["ok"])
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("serves ITwinHttpClient, and replaces a token that an API rejects", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const fake = yield* FakeIms.FakeIms
      const id = yield* tokens.open(yield* signIn())
      const cache = tokens.cacheOf(id)
      const client = yield* ITwinHttpClient.make().pipe(Effect.provideService(TokenCache.TokenCache, cache))
      const me = Effect.provideService(Users.me, ITwinHttpClient.ITwinHttpClient, client)
      assert.strictEqual((yield* me).email, email)
      yield* minutes(1)
      yield* fake.revokeToken(yield* cache.get())
      assert.strictEqual((yield* me).email, email)
      assert.deepStrictEqual(yield* refreshes, ["ok"])
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("does not name the app when an API refuses the token, also after a renewal", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const fake = yield* FakeIms.FakeIms
      yield* fake.addRoute("GET", "/mine", () =>
        HttpServerResponse.jsonUnsafe({ error: { code: "InsufficientPermissions", message: "No." } }, { status: 403 })
      )
      const cache = tokens.cacheOf(yield* tokens.open(yield* signIn()))
      const client = yield* ITwinHttpClient.make().pipe(Effect.provideService(TokenCache.TokenCache, cache))
      for (let renewals = 0; renewals < 3; renewals++) {
        const error = yield* Effect.flip(ITwinApiError.filterStatusOk(client).get("/mine"))
        assert.include(
          error.message,
          "permission (InsufficientPermissions: No). Invite the owner of the token to the iTwin"
        )
        assert.notInclude(error.message, "@apps.imsoidc")
        yield* cache.refresh()
      }
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("serves scopes of the session, and no others", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const id = yield* tokens.open(yield* signIn())
      const cache = tokens.cacheOf(id)
      const token = yield* cache.get(Scopes.itwinPlatform)
      assert.strictEqual(textOf(token), textOf(yield* cache.get()))
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.get(Scopes.make("itwins:read")))), "InvalidScope")
      assert.strictEqual(
        reasonOf(yield* Effect.exit(cache.refresh(Scopes.make("itwin-platform itwins:read")))),
        "InvalidScope"
      )
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("returns a token from IMS to refresh, and after one was invalidated", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const id = yield* tokens.open(yield* signIn())
      const cache = tokens.cacheOf(id)
      const first = yield* cache.get()
      const second = yield* cache.refresh()
      assert.notStrictEqual(textOf(second), textOf(first))
      assert.strictEqual((yield* cache.status)[0]?.state, "fresh")
      yield* cache.invalidate(second)
      assert.strictEqual((yield* cache.status)[0]?.state, "none")
      const third = yield* cache.get()
      assert.notStrictEqual(textOf(third), textOf(second))
      assert.strictEqual((yield* refreshes).length, 2)
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("serves a public client without a secret", () =>
    Effect.gen(function* () {
      const store = yield* memory
      const fake = yield* FakeIms.FakeIms
      const app = yield* fake.registerApp({ name: "Native", type: "native", redirectUris: ["http://127.0.0.1:8000/"] })
      const tokens = yield* UserTokens.makePublic({ clientId: app.credentials.clientId }).pipe(
        Effect.provideService(SessionStore.SessionStore, store)
      )
      assert.strictEqual((yield* tokens.credentials).clientId, app.credentials.clientId)
      const signedIn = yield* signInPublic(app.credentials.clientId, "http://127.0.0.1:8000/")
      const id = yield* tokens.open(signedIn)
      yield* minutes(60)
      yield* tokens.get(id)
      assert.deepStrictEqual(yield* refreshes, ["ok"])
      yield* tokens.close(id)
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect("makes the caller that finds the token due wait for the renewal when it is inline", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory, { renewal: "inline" })
      const id = yield* tokens.open(yield* signIn())
      const first = yield* tokens.get(id)
      yield* minutes(46)
      assert.notStrictEqual(textOf(yield* tokens.get(id)), textOf(first))
    }).pipe(Effect.provide(layerIms()))
  )

  it.effect.each<readonly [string, Effect.Effect<unknown, unknown>, string]>([
    ["dies with the secret", Effect.die(new Error("fake-secret-a+b/=")), "Defect"],
    ["fails with another error", Effect.fail(new Error("fake-secret-a+b/=")), "Defect"],
    ["returns something else", Effect.succeed("fake-secret-a+b/="), "Defect"],
    ["does not return", Effect.never, "Unavailable"]
  ])("reads the credentials with a typed error when the provider %s", ([_name, credentials, reason]) =>
    Effect.gen(function* () {
      const provider = { credentials } as unknown as SecretProvider.SecretProvider["Service"]
      const tokens = yield* Effect.provideService(replica(yield* memory), SecretProvider.SecretProvider, provider)
      // As in a route that is not interrupted.
      const reading = yield* Effect.forkChild(Effect.uninterruptible(Effect.flip(tokens.credentials)))
      yield* minutes(1)
      const error = yield* Fiber.join(reading)
      assert.strictEqual(error.reason._tag, reason)
      assert.notInclude(`${error.message} ${JSON.stringify(error)}`, "fake-secret")
    }).pipe(Effect.scoped, Effect.provide(layerIms()))
  )

  it.effect("finishes a sign-out whose caller has gone", () =>
    Effect.gen(function* () {
      const tokens = yield* replica(yield* memory)
      const fake = yield* FakeIms.FakeIms
      const id = yield* tokens.open(yield* signIn())
      yield* fake.script("POST /connect/revocation", Fault.once(Fault.delay("1 second")))
      const closing = yield* Effect.forkChild(tokens.close(id), { startImmediately: true })
      yield* fake.awaitRequest("POST /connect/revocation")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(closing), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(interrupting)
      const [revocation] = (yield* fake.journal).filter(({ path }) => path === "/connect/revocation")
      assert.strictEqual(revocation?.outcome, "ok")
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("revokes the refresh token when the session can't be stored", () =>
    Effect.gen(function* () {
      const { failing, store } = yield* faultyMemory
      const tokens = yield* replica(store)
      const fake = yield* FakeIms.FakeIms
      const signedIn = yield* signIn()
      failing.add("set")
      assert.strictEqual(reasonOf(yield* Effect.exit(tokens.open(signedIn))), "SessionUnavailable")
      assert.strictEqual(yield* fake.countRequests("POST /connect/revocation"), 1)
    }).pipe(Effect.provide([layerIms(), silent]))
  )

  it.effect("dies when an option is invalid", () =>
    Effect.gen(function* () {
      for (const options of [{ maxKeys: 0 }, { life: 0 }, { jitter: 2 }, { soft: { ofLife: -1, atMost: 1 } }]) {
        const exit = yield* Effect.exit(
          Layer.build(UserTokens.layerWith(options)).pipe(Effect.provide(SessionStore.layerMemory))
        )
        assert.match(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), /RangeError: UserTokens: /)
      }
    }).pipe(Effect.provide(layerIms()))
  )
})
