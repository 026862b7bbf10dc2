// A store may fail at any step, in any way. Whatever happens, no call fails that would not fail without a store.

import { assert, it } from "@effect/vitest"
import { TokenStore } from "@effect-itwin/core"
import { Effect, Exit, Fiber, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import { json, makeWorld, replica, storeError, textOf, withFaults } from "./storeSupport.ts"

const replicas = 3

/** A call takes 15 s at most, and `get` with `replace` twice as long; in seconds. */
const longestCalls = 31

/** After a failure that may pass, in seconds, with jitter. Only such failures are met here: others hold all replicas. */
const longestPause = 12

const Fault = Schema.Literals(["none", "none", "fails", "hangs", "slow", "dies", "lost", "late"])

/** Each step of the schedule: time passes, the store and IMS change, and every replica calls `get`. */
const Phase = Schema.Struct({
  seconds: Schema.Literals([1, 4, 20, 100, 300]),
  faults: Schema.Array(Fault).check(Schema.isMinLength(1), Schema.isMaxLength(5)),
  ims: Schema.Literals(["works", "works", "works", "slow", "down", "reset"]),
  call: Schema.Literals(["get", "get", "get", "refresh", "invalidate", "replace"])
})
const Phases = Schema.Array(Phase).check(Schema.isMinLength(3), Schema.isMaxLength(20))

/**
 * In phases. Then an outage and the phase before it take less than half of a token's life. A longer outage outlasts a
 * shared token that was half used when a replica got it.
 */
const longestOutage = 3

const seen = { calls: 0, faults: 0, requests: 0, failures: 0 }

/** The seconds in which each call ended with a token, and the number of calls without one. */
const run = Effect.fnUntraced(function* (phases: ReadonlyArray<typeof Phase.Type>, withStore: boolean) {
  const world = makeWorld()
  const memory = yield* TokenStore.makeMemory
  let faults: ReadonlyArray<typeof Fault.Type> = ["none"]
  let step = 0
  const faulty = <A>(self: Effect.Effect<A, TokenStore.TokenStoreError>) =>
    Effect.suspend((): Effect.Effect<A, TokenStore.TokenStoreError> => {
      const fault = faults[step++ % faults.length] ?? "none"
      if (fault !== "none") seen.faults++
      switch (fault) {
        case "none":
          return self
        case "fails":
          return Effect.fail(storeError)
        case "hangs":
          return Effect.uninterruptible(Effect.never)
        case "slow":
          return Effect.delay(self, "900 millis")
        case "dies":
          return Effect.die(new TypeError("fake-secret-1+/="))
        case "lost":
          // The step is done, but its answer is lost.
          return Effect.andThen(self, Effect.fail(storeError))
        case "late":
          // The step is done after its time limit.
          return Effect.uninterruptible(Effect.delay(self, "4 seconds"))
      }
    })
  const store: TokenStore.Service = {
    ...withFaults(memory, () => Effect.void),
    claim: (row, claim) => faulty(memory.claim(row, claim)),
    publish: (row, publication) => faulty(memory.publish(row, publication)),
    release: (row, owner, setback) => faulty(memory.release(row, owner, setback)),
    drop: (row, version) => faulty(memory.drop(row, version))
  }
  const caches = yield* Effect.replicateEffect(
    // The same margins with and without a store, so that both need a token at the same times.
    replica(world, withStore ? store : undefined, { soft: { ofLife: 0.5, atMost: "30 minutes" } }),
    replicas
  )
  const outcomes: Array<boolean> = []
  let startsAt = 0
  let failing = 0
  for (const { call, faults: next, ims: wanted, seconds } of phases) {
    faults = next
    failing = wanted === "down" || wanted === "reset" ? failing + 1 : 0
    const ims = failing > longestOutage ? "works" : wanted
    world.answer = (token) => {
      if (ims === "works") return Effect.sync(token)
      if (ims === "slow") return Effect.delay(Effect.sync(token), "2 seconds")
      return ims === "down" ? Effect.sync(() => json({}, 503)) : Effect.succeed("reset")
    }
    const fibers = yield* Effect.forEach(caches, (cache) => {
      const got = cache.get()
      const called =
        call === "refresh"
          ? cache.refresh()
          : call === "get"
            ? got
            : Effect.flatMap(got, (token) => Effect.as(cache[call](token), token))
      return Effect.forkChild(called, { startImmediately: true })
    })
    for (let i = 0; i < longestCalls * 4 && fibers.some((fiber) => fiber.pollUnsafe() === undefined); i++) {
      yield* TestClock.adjust("250 millis")
    }
    for (const fiber of fibers) {
      assert.isDefined(fiber.pollUnsafe(), "a call that takes longer than its limit")
      const exit = yield* Fiber.await(fiber)
      outcomes.push(Exit.isSuccess(exit))
      seen.calls++
      if (Exit.isSuccess(exit)) assert.match(textOf(exit.value), /^token-\d+$/)
    }
    // With and without a store, the next phase begins at the same time, when every pause of this one has ended.
    startsAt += longestCalls + longestPause + seconds
    yield* TestClock.setTime(startsAt * 1000)
  }
  seen.requests += world.requests
  assert.notInclude(world.logs.join(), "fake-secret")
  return outcomes
}, Effect.scoped)

it.effect.prop(
  "fails no call that would not fail without a store, when the store fails at random",
  [Phases],
  ([phases]) =>
    Effect.gen(function* () {
      const without = yield* run(phases, false).pipe(Effect.provide(TestClock.layer()))
      const outcomes = yield* run(phases, true).pipe(Effect.provide(TestClock.layer()))
      seen.failures += without.filter((succeeded) => !succeeded).length
      for (const [i, succeeded] of without.entries()) {
        if (succeeded) assert.isTrue(outcomes[i], `call ${i} failed with a store only`)
      }
    }).pipe(Random.withSeed("faults")),
  {
    arbitrary: { runs: Number(process.env.MODEL_RUNS ?? 150), seed: Number(process.env.MODEL_SEED ?? 2026), size: 12 },
    timeout: 600_000
  }
)

it("has met faults and failures when all random schedules have run", () => {
  assert.isAbove(seen.faults, 300)
  assert.isAbove(seen.failures, 30)
  assert.isAbove(seen.calls, 1_000)
})
