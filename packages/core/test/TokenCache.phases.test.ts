// What a caller gets when the token is fresh, due, late or over, and how the life of a token is counted.
import { assert, describe, it } from "@effect/vitest"
import { TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { DateTime, Duration, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import {
  assertRequests,
  at,
  backendError,
  cached,
  down,
  during,
  get,
  hard,
  invalidClient,
  last,
  makeBackend,
  oauth,
  over,
  pass,
  pausesWhile,
  reasonOf,
  requests,
  script,
  seconds,
  soft,
  times
} from "./cacheSupport.ts"

const inline = cached({ renewal: "inline" })
const slowly = script(Fault.once(Fault.delay("2 seconds")))

/** Failures that may pass and failures that last. */
const faults: ReadonlyArray<readonly [string, Fault.Fault]> = [
  ["500", down],
  ["503 with Retry-After", Fault.rateLimit(60, 503)],
  ["429", Fault.rateLimit()],
  ["invalid_client", invalidClient],
  ["invalid_scope", oauth("invalid_scope")],
  ["invalid_request", oauth("invalid_request")],
  ["the page of a firewall", Fault.html(403, "Blocked")],
  ["a lost connection", Fault.reset],
  ["nothing", Fault.hang]
]

describe("a fresh token", () => {
  it.effect("returns a fresh token from memory up to its last millisecond, without a request", () =>
    Effect.gen(function* () {
      const token = yield* get()
      yield* at(soft - 0.001)
      for (let i = 0; i < 100; i++) assert.strictEqual(yield* get(), token)
      assert.strictEqual((yield* TokenCache.TokenCache).peekUnsafe(), token)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("makes a token due a random part of up to 10 % of its life earlier", () =>
    Effect.gen(function* () {
      const moments: Array<number> = []
      for (let i = 0; i < 20; i++) {
        const born = yield* seconds
        const cache = yield* TokenCache.make()
        yield* cache.get()
        while (cache.peekUnsafe() !== undefined) yield* pass(1)
        moments.push((yield* seconds) - born)
      }
      for (const moment of moments) {
        assert.isAtLeast(moment, soft - 360)
        assert.isAtMost(moment, soft)
      }
      assert.isAbove(new Set(moments).size, 10)
      assert.isAbove(Math.max(...moments) - Math.min(...moments), 180)
    }).pipe(Effect.scoped, Random.withSeed("jitter"), Effect.provide(FakeIms.layerTest()))
  )
})

describe("a due token", () => {
  it.effect("returns a due token at once, and makes one renewal, when a thousand callers ask", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* slowly
      yield* at(soft)
      const tokens = yield* Effect.all(
        Array.from({ length: 1000 }, () => get()),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual([...new Set(tokens)], [old])
      assert.strictEqual(yield* seconds, soft)
      yield* pass(1)
      assert.strictEqual(yield* get(), old)
      yield* pass(1)
      assert.notStrictEqual(yield* get(), old)
      assert.deepStrictEqual(yield* times, [0, soft])
    }).pipe(Effect.provide(cached()))
  )

  it.effect("renews a token once in each life, again and again", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 5; i++) {
        const token = yield* get()
        yield* pass(soft)
        assert.strictEqual(yield* get(), token)
        yield* Effect.yieldNow
      }
      assert.deepStrictEqual(yield* times, [0, soft, 2 * soft, 3 * soft, 4 * soft, 5 * soft])
    }).pipe(Effect.provide(cached()))
  )

  it.effect("does not renew a due token when no caller asks for it", () =>
    Effect.gen(function* () {
      yield* get()
      yield* at(hard - 1)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("peekUnsafe returns nothing when the token is due", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      yield* get()
      yield* at(soft)
      assert.isUndefined(cache.peekUnsafe())
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )
})

describe("a late token", () => {
  it.effect("makes callers wait for the new token when the old one is late", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* slowly
      yield* at(hard)
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.notStrictEqual(yield* Fiber.join(fiber), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("makes callers wait for the renewal in progress, without another request, when the token is late", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.once(Fault.delay("4 seconds")))
      yield* at(hard - 1)
      assert.strictEqual(yield* get(), old)
      yield* at(hard)
      assert.notStrictEqual(yield* during(3, get()), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect.each(faults)("returns a late token when IMS returns %s, and in the pause after that", ([_name, fault]) =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.always(fault))
      yield* at(hard)
      const took = fault === Fault.hang ? 5 : 0
      assert.strictEqual(yield* during(took, get()), old)
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
      // The second failure in a row.
      yield* pass(1.2)
      assert.strictEqual(yield* during(took, get()), old)
    }).pipe(Effect.provide(cached()))
  )

  it.effect.each(["Disabled", "AccessDenied", "NotFound", "InvalidSecret", "Unavailable"] as const)(
    "returns a late token when the secret backend returns %s",
    (reason) => {
      const backend = makeBackend()
      return Effect.gen(function* () {
        const old = yield* get()
        backend.answer = () => Effect.fail(backendError(reason))
        for (const moment of [soft, hard, last - 1]) {
          yield* at(moment)
          assert.strictEqual(yield* get(), old)
        }
        yield* assertRequests(1)
      }).pipe(Effect.provide(over(backend, { lastKnownGood: 0 })))
    }
  )

  it.effect.each(faults)("fails from 5 s before the token expires when IMS returns %s", ([_name, fault]) =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.always(fault))
      yield* at(last - 6)
      assert.strictEqual(yield* during(5, get()), old)
      yield* at(last - 0.001)
      assert.strictEqual(yield* during(0, get()), old)
      yield* at(last)
      yield* during(6, Effect.flip(get()))
    }).pipe(Effect.provide(cached()))
  )

  it.effect("fails when a request fails less than 5 s before the token expires", () =>
    Effect.gen(function* () {
      yield* get()
      yield* script(Fault.always(Fault.hang))
      yield* at(last - 1)
      assert.strictEqual(yield* during(5, reasonOf(get())), "Timeout")
    }).pipe(Effect.provide(cached()))
  )

  it.effect("fails when the late token is invalidated during a request that fails", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const old = yield* get()
      yield* script(Fault.once(Fault.hang), Fault.always(down))
      yield* at(hard)
      const fiber = yield* Effect.forkChild(reasonOf(get()))
      yield* pass(1)
      yield* cache.invalidate(old)
      yield* pass(4)
      assert.strictEqual(yield* Fiber.join(fiber), "Timeout")
      assert.strictEqual(yield* reasonOf(get()), "Timeout")
      yield* pass(1.2)
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
    }).pipe(Effect.provide(cached()))
  )
})

describe("inline renewal", () => {
  it.effect("makes the caller that finds the token due renew it and wait when renewal is inline", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* at(soft)
      yield* slowly
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.notStrictEqual(yield* Fiber.join(fiber), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(inline))
  )

  it.effect("returns the due token at once when an inline renewal is in progress", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* at(soft)
      yield* slowly
      const renewing = yield* Effect.forkChild(get(), { startImmediately: true })
      for (let i = 0; i < 10; i++) assert.strictEqual(yield* get(), old)
      yield* pass(2)
      assert.notStrictEqual(yield* Fiber.join(renewing), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(inline))
  )

  it.effect.each(faults)(
    "returns the due token when an inline renewal fails with %s, and in the pause after that",
    ([_name, fault]) =>
      Effect.gen(function* () {
        const old = yield* get()
        yield* at(soft)
        yield* script(Fault.always(fault))
        for (let i = 0; i < 3; i++) {
          assert.strictEqual(yield* during(fault === Fault.hang ? 5 : 0, get()), old)
          const made = yield* requests
          assert.strictEqual(yield* get(), old)
          yield* assertRequests(made)
          yield* pass(15)
        }
        assert.isAtLeast(yield* requests, 2)
      }).pipe(Effect.provide(inline))
  )

  it.effect("makes inline renewals after 1, 2, 4, 8 and 10 s when IMS returns 500", () =>
    Effect.gen(function* () {
      yield* get()
      yield* at(soft)
      yield* script(Fault.always(down))
      assertPausesFrom(yield* pausesWhile(50, get()))
    }).pipe(Effect.provide(inline))
  )

  it.effect("fails when an inline renewal fails and the token expired or was invalidated during it", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const renew = Effect.gen(function* () {
        yield* pass(16)
        yield* script(Fault.once(Fault.hang))
        return yield* Effect.forkChild(reasonOf(get()))
      })
      yield* get()
      const late = yield* renew
      yield* pass(5)
      assert.strictEqual(yield* Fiber.join(late), "Timeout")
      yield* pass(1.2)
      const token = yield* get()
      const invalidated = yield* renew
      yield* pass(1)
      yield* cache.invalidate(token)
      yield* pass(4)
      assert.strictEqual(yield* Fiber.join(invalidated), "Timeout")
    }).pipe(Effect.provide(cached({ renewal: "inline" }, { app: { name: "Short", tokenLife: "20 seconds" } })))
  )
})

const assertPausesFrom = (pauses: ReadonlyArray<number>) => {
  for (const [i, length] of [1, 2, 4, 8, 10].entries()) {
    assert.isAtLeast(pauses[i + 1] ?? 0, length - 1e-6)
    assert.isAtMost(pauses[i + 1] ?? 0, length * 1.2 + 0.1)
  }
}

describe("the life of a token", () => {
  it.effect("counts the life of a token from the time just before its request was sent", () =>
    Effect.gen(function* () {
      yield* at(1000)
      yield* script(Fault.once(Fault.delay("3 seconds")))
      const token = yield* during(3, get())
      assert.strictEqual(DateTime.toEpochMillis(token.issuedAt), 1_000_000)
      assert.strictEqual(DateTime.toEpochMillis(token.expiresAt), 4_600_000)
      yield* at(1000 + hard)
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("has the states fresh, due and none when the life of a token is 10 s", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const state = Effect.map(cache.status, ([status]) => status?.state)
      const token = yield* get()
      yield* at(7)
      assert.strictEqual(yield* get(), token)
      assert.strictEqual(yield* state, "fresh")
      yield* script(Fault.always(down))
      yield* at(8.5)
      assert.strictEqual(yield* get(), token)
      assert.strictEqual(yield* state, "due")
      yield* at(9)
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
      assert.strictEqual(yield* state, "none")
    }).pipe(Effect.provide(cached({}, { app: { name: "Short", tokenLife: "10 seconds" } })))
  )

  it.effect("begins the phases of a token as the options say", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* at(1799)
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(1)
      yield* at(1800)
      yield* script(Fault.once(down))
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
      yield* at(3000)
      assert.notStrictEqual(yield* get(), old)
    }).pipe(
      Effect.provide(
        cached({ soft: { ofLife: 0.5, atMost: "1 hour" }, hard: { ofLife: 1, atMost: Duration.minutes(10) } })
      )
    )
  )
})
