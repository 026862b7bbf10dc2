// Caches with a shared store in memory: which replica requests a token, what a failure holds, and what happens when the
// store fails.

import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, SecretProviderError, TokenStore } from "@effect-itwin/core"
import { Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { passInSteps } from "./cacheSupport.ts"
import { json, makeWorld, refused, replica, storeError, textOf, type World, withFaults } from "./storeSupport.ts"

/** Lets time pass in steps of 100 ms, because callers wait on native promises, which `TestClock` does not track. */
const pass = (seconds: number) => Effect.repeat(TestClock.adjust("100 millis"), { times: seconds * 10 - 1 })

/** Runs the effect for at most so many seconds of virtual time, and returns its exit. */
const within = <A, E, R>(seconds: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    for (let i = 0; i < 20; i++) yield* Effect.yieldNow
    for (let i = 0; i < seconds * 10 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
    return fiber.pollUnsafe() ?? assert.fail(`not done after ${seconds} s`)
  })

const succeeds = <A, E, R>(seconds: number, effect: Effect.Effect<A, E, R>) =>
  Effect.map(within(seconds, effect), (exit) => (Exit.isSuccess(exit) ? exit.value : assert.fail(String(exit.cause))))

const failsWith = <A, E, R>(seconds: number, effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(within(seconds, effect), (exit) => Effect.flip(Effect.suspend(() => exit)))

const warnings = ({ logs }: World) => logs.filter((line) => line.startsWith("Warn"))

const retryAfter = (seconds: number) => () => Effect.sync(() => json({}, 429, { "retry-after": String(seconds) }))

describe("a fleet with a store", () => {
  it.effect("gives a later replica the token with its remaining time", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const first = yield* replica(world, store)
      const second = yield* replica(world, store)
      const original = yield* succeeds(1, first.get())
      yield* TestClock.adjust("10 minutes")
      const token = yield* succeeds(1, second.get())
      assert.strictEqual(textOf(token), textOf(original))
      assert.deepEqual(token.expiresAt, original.expiresAt)
      assert.deepEqual(token.issuedAt, original.issuedAt)
      assert.strictEqual(token.clientId, "service-fleet")
    })
  )

  it.effect("renews at half of the life, and once for all replicas", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const caches = yield* Effect.replicateEffect(replica(world, store), 5)
      for (const cache of caches) yield* succeeds(1, cache.get())
      yield* TestClock.adjust("1790 seconds")
      for (const cache of caches) yield* succeeds(1, cache.get())
      assert.strictEqual(world.requests, 1)
      yield* TestClock.adjust("20 seconds")
      for (const cache of caches) yield* succeeds(1, cache.get())
      yield* pass(1)
      for (const cache of caches) assert.strictEqual(textOf(yield* succeeds(1, cache.get())), "token-2")
      assert.strictEqual(world.requests, 2)
    })
  )

  it.effect("renews at once when the token in the store is due", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      yield* succeeds(1, (yield* replica(world, store)).get())
      yield* TestClock.adjust("40 minutes")
      const cache = yield* replica(world, store)
      assert.strictEqual(textOf(yield* succeeds(1, cache.get())), "token-1")
      yield* pass(1)
      assert.strictEqual(world.requests, 2)
      assert.strictEqual(textOf(yield* succeeds(1, cache.get())), "token-2")
    })
  )

  it.effect("gives a replica that starts in an outage the token of the others", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      yield* succeeds(1, (yield* replica(world, store)).get())
      world.answer = () => Effect.succeed("reset")
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(textOf(yield* succeeds(1, (yield* replica(world, store)).get())), "token-1")
    })
  )

  it.effect("waits for 3 s at most when the holder of the lease is lost", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const lost = yield* replica(world, { ...store, release: () => Effect.void })
      const other = yield* replica(world, store)
      world.answer = () => Effect.never
      const fiber = yield* Effect.forkChild(lost.get(), { startImmediately: true })
      yield* pass(0.1)
      world.answer = Effect.sync
      const startedAt = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* succeeds(3, other.get())
      const took = (yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - startedAt
      assert.isAtLeast(took, 2_000)
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("does not make the others wait when the holder of the lease is closed", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const scope = yield* Scope.make()
      const closed = yield* replica(world, store).pipe(Scope.provide(scope))
      const other = yield* replica(world, store)
      world.answer = () => Effect.never
      yield* Effect.forkChild(Effect.exit(closed.get()), { startImmediately: true })
      yield* pass(0.1)
      yield* Scope.close(scope, Exit.void)
      yield* pass(0.1)
      world.answer = Effect.sync
      yield* succeeds(0.1, other.get())
    })
  )

  it.effect("asks IMS after 5 s when another replica keeps the lease", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const memory = yield* TokenStore.makeMemory
      const store: TokenStore.Service = { ...memory, claim: () => Effect.succeed({ _tag: "Busy", left: 3_000 }) }
      const cache = yield* replica(world, store)
      const fiber = yield* Effect.forkChild(cache.get(), { startImmediately: true })
      yield* pass(4.9)
      assert.strictEqual(world.requests, 0)
      yield* pass(0.2)
      assert.strictEqual(world.requests, 1)
      yield* Fiber.join(fiber)
    })
  )

  it.effect("does not read the store when the secret is disabled", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      yield* succeeds(1, (yield* replica(world, store)).get())
      const reason = new SecretProviderError.Disabled({ provider: "Vault", secretName: "itwin" })
      world.failure = new SecretProviderError.SecretProviderError({ reason })
      const error = yield* failsWith(1, (yield* replica(world, store)).get())
      assert.strictEqual(error.reason._tag, "SecretUnavailable")
    })
  )

  it.effect("requests a new token when the secret was rotated", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      yield* succeeds(1, (yield* replica(world, store)).get())
      world.secret = "fake-secret-2+/="
      const token = yield* succeeds(1, (yield* replica(world, store)).get())
      assert.strictEqual(textOf(token), "token-2")
    })
  )

  it.effect("shares no token that lives for less than 5 s", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.life = 4
      const steps: Array<string> = []
      const store = withFaults(yield* TokenStore.makeMemory, (step) => Effect.sync(() => steps.push(step)))
      yield* succeeds(1, (yield* replica(world, store)).get())
      yield* succeeds(1, (yield* replica(world, store)).get())
      assert.strictEqual(world.requests, 2)
      assert.notInclude(steps, "publish")
    })
  )
})

describe("failures of IMS", () => {
  it.effect("hold all replicas when IMS asked to wait", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.answer = retryAfter(60)
      const store = yield* TokenStore.makeMemory
      const first = yield* failsWith(1, (yield* replica(world, store)).get())
      assert.isUndefined(first.nextAttemptIn)
      yield* pass(10)
      const error = yield* failsWith(1, (yield* replica(world, store)).get())
      assert.strictEqual(error.reason._tag, "RateLimited")
      assert.strictEqual(Duration.toSeconds(error.nextAttemptIn ?? 0), 50)
      // `refresh` respects it too.
      yield* failsWith(1, (yield* replica(world, store)).refresh())
      assert.strictEqual(world.requests, 1)
    })
  )

  it.effect("are followed by a request with one attempt, by any replica", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.answer = () => refused()
      const store = yield* TokenStore.makeMemory
      yield* failsWith(1, (yield* replica(world, store)).get())
      yield* pass(1.5)
      world.answer = () => Effect.succeed("reset")
      yield* failsWith(5, (yield* replica(world, store)).get())
      assert.strictEqual(world.requests, 2)
    })
  )

  it.effect("make a replica without a token wait when the wait is short", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.answer = retryAfter(10)
      const store = yield* TokenStore.makeMemory
      yield* failsWith(1, (yield* replica(world, store)).get())
      yield* pass(7)
      world.answer = Effect.sync
      yield* succeeds(4, (yield* replica(world, store)).get())
      assert.strictEqual(world.requests, 2)
    })
  )

  it.effect("are returned by all replicas when IMS rejected the secret, and grow", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.answer = () => refused()
      const store = yield* TokenStore.makeMemory
      const pauses: Array<number> = []
      for (let i = 0; i < 5; i++) {
        // Each is another replica, which knows of the failures before from the store only.
        yield* failsWith(1, (yield* replica(world, store)).get())
        const error = yield* failsWith(1, (yield* replica(world, store)).get())
        assert.strictEqual(error.reason._tag, "InvalidClient")
        pauses.push(Duration.toSeconds(error.nextAttemptIn ?? 0))
        yield* TestClock.adjust(`${pauses[i] ?? 0} seconds`)
      }
      assert.deepEqual(pauses, [1, 2, 4, 8, 16])
      assert.strictEqual(world.requests, 5)
    })
  )

  it.effect("are not counted again by a replica that is held", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.answer = () => refused()
      const store = yield* TokenStore.makeMemory
      yield* failsWith(1, (yield* replica(world, store)).get())
      const held = yield* replica(world, store)
      const lines = world.logs.length
      const error = yield* failsWith(1, held.get())
      assert.strictEqual(Duration.toSeconds(error.nextAttemptIn ?? 0), 1)
      const again = yield* failsWith(1, held.get())
      assert.strictEqual(Duration.toSeconds(again.nextAttemptIn ?? 0), 1)
      assert.strictEqual(world.logs.length, lines)
    })
  )

  it.effect("end when a replica gets a token", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.answer = () => refused()
      const store = yield* TokenStore.makeMemory
      const first = yield* replica(world, store)
      yield* failsWith(1, first.get())
      yield* pass(1.5)
      world.answer = Effect.sync
      yield* succeeds(1, (yield* replica(world, store)).get())
      yield* succeeds(1, first.get())
      world.answer = () => refused()
      yield* failsWith(1, first.refresh())
      const error = yield* failsWith(1, first.refresh())
      assert.isAtMost(Duration.toSeconds(error.nextAttemptIn ?? 0), 1.2)
    })
  )

  it.effect("do not hold a replica with `replayFailures: false` when IMS asked for no wait", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.answer = () => refused()
      const store = yield* TokenStore.makeMemory
      yield* failsWith(1, (yield* replica(world, store)).get())
      world.answer = Effect.sync
      yield* succeeds(1, (yield* replica(world, store, { replayFailures: false })).get())
      assert.strictEqual(world.requests, 2)
    })
  )

  it.effect("do not hold other replicas when the connection failed or IMS is down", () =>
    Effect.gen(function* () {
      for (const answer of [
        Effect.succeed("reset" as const),
        Effect.sync(() => json({}, 503)),
        Effect.sync(() => json({}, 403))
      ]) {
        const world = makeWorld()
        world.answer = () => answer
        const store = yield* TokenStore.makeMemory
        yield* failsWith(5, (yield* replica(world, store)).get())
        world.answer = Effect.sync
        yield* succeeds(0.1, (yield* replica(world, store)).get())
      }
    })
  )

  it.effect("reach no holder of a usable token", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const cache = yield* replica(world, store)
      yield* succeeds(1, cache.get())
      world.answer = retryAfter(900)
      yield* TestClock.adjust("45 minutes")
      for (let i = 0; i < 14; i++) {
        yield* succeeds(1, cache.get())
        yield* TestClock.adjust("1 minute")
      }
      assert.strictEqual(world.requests, 2)
    })
  )
})

describe("tokens that must not be used", () => {
  it.effect("are replaced once for all replicas when an API rejects them", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const caches = yield* Effect.replicateEffect(replica(world, store), 5)
      const old = yield* Effect.forEach(caches, (cache) => succeeds(1, cache.get()))
      yield* TestClock.adjust("31 seconds")
      for (const [i, cache] of caches.entries()) {
        const another = yield* succeeds(1, cache.replace(old[i] ?? assert.fail()))
        assert.strictEqual(another._tag === "Some" ? textOf(another.value) : undefined, "token-2")
      }
      assert.strictEqual(world.requests, 2)
    })
  )

  it.effect("are removed from the store when an API rejects them, also if IMS can't replace them", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const cache = yield* replica(world, store)
      const old = yield* succeeds(1, cache.get())
      yield* TestClock.adjust("31 seconds")
      world.answer = () => Effect.succeed("reset")
      assert.strictEqual((yield* succeeds(5, cache.replace(old)))._tag, "None")
      // It serves where it is in memory, until there is another one.
      assert.strictEqual(textOf(yield* succeeds(1, cache.get())), "token-1")
      assert.strictEqual((yield* failsWith(5, (yield* replica(world, store)).get())).reason._tag, "Transport")
      world.answer = Effect.sync
      yield* pass(3)
      const another = yield* succeeds(5, cache.replace(old))
      assert.isTrue(another._tag === "Some" && textOf(another.value) !== "token-1")
    })
  )

  it.effect("are not returned after `invalidate`, by any replica", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const cache = yield* replica(world, store)
      yield* cache.invalidate(yield* succeeds(1, cache.get()))
      assert.strictEqual(textOf(yield* succeeds(1, (yield* replica(world, store)).get())), "token-2")
      assert.strictEqual(textOf(yield* succeeds(1, cache.get())), "token-2")
      assert.strictEqual(world.requests, 2)
    })
  )

  it.effect("are not returned after `invalidate` when the store failed at that moment", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      let isDown = false
      const store = withFaults(yield* TokenStore.makeMemory, () => (isDown ? Effect.fail(storeError) : Effect.void))
      const cache = yield* replica(world, store)
      const token = yield* succeeds(1, cache.get())
      isDown = true
      yield* cache.invalidate(token)
      isDown = false
      yield* pass(6)
      assert.strictEqual(textOf(yield* succeeds(1, cache.get())), "token-2")
    })
  )

  it.effect("are not returned after `invalidate` of a token that this process did not get from the cache", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const token = yield* succeeds(1, (yield* replica(world, store)).get())
      const cache = yield* replica(world, store)
      yield* cache.invalidate(token)
      assert.strictEqual(textOf(yield* succeeds(1, cache.get())), "token-2")
    })
  )

  it.effect("are not returned by `refresh`", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      yield* succeeds(1, (yield* replica(world, store)).get())
      const cache = yield* replica(world, store)
      assert.strictEqual(textOf(yield* succeeds(1, cache.refresh())), "token-2")
      // The other replicas get the newest one.
      assert.strictEqual(textOf(yield* succeeds(1, (yield* replica(world, store)).get())), "token-2")
    })
  )

  it.effect("are not returned by `refresh`, which asks the store once and does not wait for another replica", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const memory = yield* TokenStore.makeMemory
      const steps: Array<string> = []
      const store = withFaults(memory, (step) => Effect.sync(() => steps.push(step)))
      yield* succeeds(1, (yield* replica(world, memory)).get())
      world.answer = () => Effect.never
      const other = yield* Effect.forkChild((yield* replica(world, memory)).refresh(), { startImmediately: true })
      yield* pass(0.1)
      world.answer = Effect.sync
      yield* succeeds(0.1, (yield* replica(world, store)).refresh())
      assert.deepEqual(steps, ["claim", "publish"])
      yield* Fiber.interrupt(other)
    })
  )

  it.effect("are not returned by `refresh` when it joins a request that reads the store", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const memory = yield* TokenStore.makeMemory
      yield* succeeds(1, (yield* replica(world, memory)).get())
      const slow = withFaults(memory, () => Effect.sleep("300 millis"))
      const cache = yield* replica(world, slow)
      const got = yield* Effect.forkChild(cache.get(), { startImmediately: true })
      assert.strictEqual(textOf(yield* succeeds(3, cache.refresh())), "token-2")
      assert.strictEqual(textOf(yield* Fiber.join(got)), "token-1")
    })
  )

  it.effect("cause two requests a minute for the fleet at most when an API rejects all of them", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const store = yield* TokenStore.makeMemory
      const caches = yield* Effect.replicateEffect(replica(world, store), 10)
      for (const cache of caches) yield* succeeds(1, cache.get())
      for (let second = 0; second < 600; second++) {
        for (const cache of caches) yield* succeeds(1, Effect.flatMap(cache.get(), cache.replace))
        yield* passInSteps(1)
      }
      assert.isAtMost(world.requests, 21)
      assert.isAtLeast(world.requests, 15)
    })
  )
})

describe("a store that fails", () => {
  for (const [name, fault] of Object.entries({
    fails: Effect.fail(storeError),
    "does not answer": Effect.never,
    "can't be interrupted": Effect.uninterruptible(Effect.sleep("1 hour")),
    throws: Effect.die(new TypeError("fake-secret-1+/="))
  })) {
    for (const failing of [["claim"], ["publish", "release"], ["claim", "publish", "release", "drop"]]) {
      it.effect(`costs 2 s at most when it ${name} in ${failing}`, () =>
        Effect.gen(function* () {
          const world = makeWorld()
          const memory = yield* TokenStore.makeMemory
          const store = withFaults(memory, (step) => (failing.includes(step) ? fault : Effect.void))
          const cache = yield* replica(world, store)
          assert.strictEqual(textOf(yield* succeeds(2, cache.get())), "token-1")
          assert.strictEqual(warnings(world).length, 1)
          assert.notInclude(world.logs.join(), "fake-secret")
          // For 5 s the store is left alone.
          assert.strictEqual(textOf(yield* succeeds(0.1, cache.refresh())), "token-2")
          yield* pass(6)
          assert.strictEqual(textOf(yield* succeeds(2, cache.refresh())), "token-3")
          assert.strictEqual(warnings(world).length, 1)
          yield* succeeds(1.5, cache.invalidate(yield* succeeds(1, cache.get())))
          assert.strictEqual(textOf(yield* succeeds(2, cache.get())), "token-4")
        })
      )
    }
  }

  it.effect("is left alone when it does not answer within the short time limit of the token request", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      let steps = 0
      const store = withFaults(yield* TokenStore.makeMemory, () =>
        Effect.suspend(() => {
          steps++
          return Effect.never
        })
      )
      const policy = RetryPolicy.layer(RetryPolicy.make({ totalTimeout: "2 seconds" }))
      const cache = yield* Effect.provide(replica(world, store), policy)
      yield* succeeds(1, cache.get())
      for (let i = 0; i < 3; i++) yield* succeeds(0.1, cache.refresh())
      assert.strictEqual(steps, 1)
      assert.strictEqual(warnings(world).length, 1)
    })
  )

  it.effect("is used again, and says so, when it works again", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      let isDown = true
      const store = withFaults(yield* TokenStore.makeMemory, () => (isDown ? Effect.fail(storeError) : Effect.void))
      const cache = yield* replica(world, store)
      yield* succeeds(1, cache.get())
      isDown = false
      yield* TestClock.adjust("31 seconds")
      yield* succeeds(1, cache.refresh())
      yield* succeeds(1, (yield* replica(world, store)).get())
      assert.strictEqual(world.requests, 2)
      assert.include(world.logs, "Info: The token store memory works again.")
      isDown = true
      yield* succeeds(1, cache.refresh())
      assert.strictEqual(warnings(world).length, 2)
    })
  )

  it.effect("does not turn a token into a timeout when it was obtained at the last moment", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.answer = (token) => (world.requests < 3 ? Effect.never : Effect.delay(Effect.sync(token), "3900 millis"))
      const store = withFaults(yield* TokenStore.makeMemory, (step) =>
        step === "publish" ? Effect.never : Effect.void
      )
      const cache = yield* replica(world, store)
      assert.strictEqual(textOf(yield* succeeds(15, cache.get())), "token-3")
    })
  )
})
