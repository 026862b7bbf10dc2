// The pause after a failed request: for which keys it holds, and what ignores it.
import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Scopes, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Duration, Effect, Fiber, Layer } from "effect"
import {
  a,
  twoScopesApp as app,
  assertPauses,
  assertRequests,
  at,
  b,
  backendError,
  byDefault,
  cached,
  clear,
  down,
  during,
  get,
  hard,
  invalidClient,
  makeBackend,
  nextAttemptIn,
  oauth,
  over,
  pass,
  pausesWhile,
  reasonOf,
  refresh,
  requests,
  script,
  toSoft
} from "./cacheSupport.ts"

const both = cached({}, { app })
const invalidRequest = oauth("invalid_request")

/** Failures of every kind. Each ends a request at once. */
const faults: ReadonlyArray<readonly [string, Fault.Fault]> = [
  ["500", down],
  ["429", Fault.rateLimit()],
  ["503 with Retry-After", Fault.rateLimit(60, 503)],
  ["invalid_client", invalidClient],
  ["invalid_request", invalidRequest],
  ["an unknown code", oauth("quota_exceeded")],
  ["the page of a firewall", Fault.html(403, "Blocked")],
  ["the page of a captive portal", Fault.html(200, "Log in")],
  ["a redirect", Fault.redirect("https://elsewhere.example")],
  ["a lost connection", Fault.reset],
  ["a life that is not a number", Fault.fields({ expires_in: "soon" })]
]

describe("a caller without a token", () => {
  it.effect.each(faults)(
    "returns the same error at once, with nextAttemptIn, during the pause after %s",
    ([_name, fault]) =>
      Effect.gen(function* () {
        yield* script(Fault.always(fault))
        const error = yield* Effect.flip(get())
        assert.isUndefined(error.nextAttemptIn)
        for (let i = 0; i < 3; i++) {
          yield* pass(0.3)
          const again = yield* Effect.flip(get())
          assert.deepStrictEqual(again.reason, error.reason)
          assert.isAbove(nextAttemptIn(again) ?? 0, 0)
        }
        yield* assertRequests(1)
      }).pipe(Effect.provide(cached()))
  )

  it.effect("returns the complete error, and the time that is left, when it is replayed", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(Fault.rateLimit(60, 503)))
      const error = yield* Effect.flip(get())
      yield* pass(10)
      const first = yield* Effect.flip(get())
      for (const field of ["reason", "status", "correlationId", "clientId", "endpoint"] as const) {
        assert.isDefined(first[field])
        assert.deepStrictEqual(first[field], error[field])
      }
      const left = nextAttemptIn(first) ?? 0
      assert.isAtLeast(left, 50)
      assert.isAtMost(left, 62)
      yield* pass(10)
      assert.approximately(nextAttemptIn(yield* Effect.flip(get())) ?? 0, left - 10, 0.002)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("makes requests after 1, 2, 4, 8, 10 and 10 s when IMS returns 500 and there is no token", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(down))
      assertPauses(yield* pausesWhile(70, get()), [1, 2, 4, 8, 10, 10, 10])
    }).pipe(Effect.provide(cached()))
  )

  it.effect.each<readonly [string, Fault.Fault]>([
    ["invalid_client", invalidClient],
    ["invalid_request", invalidRequest],
    ["429", Fault.rateLimit()],
    ["the page of a firewall", Fault.html(403, "Blocked")]
  ])("makes requests after 1, 2, 4, 8, 16, 32, 60 and 60 s when IMS returns %s", ([_name, fault]) =>
    Effect.gen(function* () {
      yield* script(Fault.always(fault))
      assertPauses(yield* pausesWhile(260, get()), [1, 2, 4, 8, 16, 32, 60, 60])
    }).pipe(Effect.provide(cached()))
  )

  it.effect("makes pauses of different lengths when they are jittered", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(down))
      const pauses = (yield* pausesWhile(200, get())).slice(4)
      assert.isAbove(new Set(pauses.map((pause) => pause.toFixed(1))).size, 3)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("makes three attempts in the first request and one in each later one when IMS returns 500", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(down))
      yield* during(2, Effect.flip(get()))
      yield* assertRequests(3)
      for (let probe = 1; probe <= 3; probe++) {
        yield* pass(12)
        yield* during(2, Effect.flip(get()))
        yield* assertRequests(3 + probe)
      }
    }).pipe(Effect.provide(byDefault()))
  )

  it.effect("returns a token after a probe when IMS has recovered", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(down))
      yield* during(1, Effect.flip(get()))
      yield* clear
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
      yield* pass(1.2)
      assert.strictEqual((yield* get()).tokenType, "Bearer")
    }).pipe(Effect.provide(byDefault()))
  )

  it.effect("reads the secret once and sends one request in a probe when IMS returns invalid_client", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { clientId } = yield* (yield* SecretProvider.SecretProvider).credentials
      backend.answer = (current) => Effect.andThen(fake.regenerateSecret(clientId), current)
      yield* script(Fault.always(invalidClient))
      yield* Effect.flip(get())
      assert.strictEqual(backend.reads, 2)
      yield* assertRequests(2)
      for (let probe = 1; probe <= 2; probe++) {
        yield* pass(10)
        yield* Effect.flip(get())
        assert.strictEqual(backend.reads, 2 + probe)
        yield* assertRequests(2 + probe)
      }
    }).pipe(Effect.provide(over(backend)))
  })

  it.effect("doubles the pause when the next request fails, and again when the third fails", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(down))
      for (const length of [1, 2, 4]) {
        yield* Effect.flip(get())
        const left = nextAttemptIn(yield* Effect.flip(get())) ?? 0
        assert.isAtLeast(left, length)
        assert.isAtMost(left, length * 1.2)
        yield* pass(left)
      }
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("begins with a pause of 1 s again after a success", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      yield* script(Fault.times(invalidClient, 4))
      for (let i = 0; i < 4; i++) {
        yield* Effect.flip(get())
        yield* pass(20)
      }
      yield* cache.invalidate(yield* get())
      yield* script(Fault.always(invalidClient))
      yield* Effect.flip(get())
      const left = nextAttemptIn(yield* Effect.flip(get())) ?? 0
      assert.isAtLeast(left, 1)
      assert.isAtMost(left, 1.2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("counts a failure once when several keys fail at the same time", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(Fault.respond({ status: 401, body: { error: "invalid_client" } })))
      yield* Effect.all([get(a), get(b)].map(Effect.flip), { concurrency: "unbounded" })
      const left = nextAttemptIn(yield* Effect.flip(get(a))) ?? 0
      assert.isAtMost(left, 1.2)
    }).pipe(Effect.provide(both))
  )
})

describe("a caller with a usable token", () => {
  it.effect.each(faults)(
    "returns the usable token, and makes one request for each pause, while IMS returns %s",
    ([_name, fault]) =>
      Effect.gen(function* () {
        const old = yield* get()
        yield* script(Fault.always(fault))
        yield* toSoft
        for (let i = 0; i < 60; i++) {
          assert.strictEqual(yield* get(), old)
          yield* pass(10)
        }
        // More requests than the first one, and never two in one pause.
        assert.isAtLeast(yield* requests, 3)
        assert.isAtMost(yield* requests, 62)
      }).pipe(Effect.provide(cached()))
  )

  it.effect("returns the usable token, and starts no renewal, during the pause after the failure of another key", () =>
    Effect.gen(function* () {
      const old = yield* get(a)
      yield* toSoft
      yield* script(Fault.once(Fault.rateLimit(120)))
      yield* Effect.flip(get(b))
      for (let i = 0; i < 12; i++) {
        assert.strictEqual(yield* get(a), old)
        yield* pass(10)
      }
      yield* assertRequests(2)
      yield* pass(24)
      assert.strictEqual(yield* get(a), old)
      yield* assertRequests(3)
    }).pipe(Effect.provide(both))
  )

  it.effect("returns a late token at once, without a request, during a pause", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.always(Fault.rateLimit(600)))
      yield* at(hard)
      for (let i = 0; i < 10; i++) assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("returns a late token at once during a short stated wait", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.once(Fault.rateLimit(4, 503)))
      yield* at(hard)
      assert.strictEqual(yield* get(), old)
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("renews a usable token after 1, 2, 4, 8, 10 and 10 s when IMS returns 500", () =>
    Effect.gen(function* () {
      yield* get()
      yield* script(Fault.always(down))
      yield* toSoft
      assertPauses((yield* pausesWhile(60, get())).slice(1), [1, 2, 4, 8, 10, 10])
    }).pipe(Effect.provide(cached()))
  )

  it.effect("begins the pause at the failure, not at the start of the request, when a renewal fails", () =>
    Effect.gen(function* () {
      yield* get()
      yield* script(Fault.once(Fault.hang))
      yield* toSoft
      yield* get()
      yield* pass(5.999)
      yield* get()
      yield* assertRequests(2)
      yield* pass(0.201)
      yield* get()
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached()))
  )
})

describe("the other keys", () => {
  it.effect.each<readonly [string, Fault.Fault]>([
    ["invalid_client", invalidClient],
    ["unauthorized_client", oauth("unauthorized_client")],
    ["429", Fault.rateLimit()],
    ["429 with Retry-After", Fault.rateLimit(30)],
    ["500 with Retry-After", Fault.rateLimit(30, 500)],
    ["502 with Retry-After", Fault.rateLimit(30, 502)],
    ["503 with Retry-After", Fault.rateLimit(30, 503)],
    ["504 with Retry-After", Fault.rateLimit(30, 504)]
  ])("delays the other keys during the pause after %s", ([_name, fault]) =>
    Effect.gen(function* () {
      yield* script(Fault.always(fault))
      const error = yield* Effect.flip(get(a))
      for (const asked of [get(b), refresh(b), get(Scopes.make("a b"))]) {
        const other = yield* Effect.flip(asked)
        assert.deepStrictEqual(other.reason, error.reason)
        assert.isDefined(other.nextAttemptIn)
      }
      yield* assertRequests(1)
    }).pipe(Effect.provide(both))
  )

  it.effect.each<readonly [string, Fault.Fault]>([
    ["500", down],
    ["invalid_request", invalidRequest],
    ["a lost connection", Fault.reset],
    ["the page of a firewall", Fault.html(403, "Blocked")]
  ])("does not delay the other keys during the pause after %s", ([_name, fault]) =>
    Effect.gen(function* () {
      yield* script(Fault.once(fault))
      yield* Effect.flip(get(a))
      assert.strictEqual((yield* get(b)).requestedScopes, b)
      assert.isDefined((yield* Effect.flip(get(a))).nextAttemptIn)
      yield* assertRequests(2)
    }).pipe(Effect.provide(both))
  )

  it.effect("does not delay the other keys when the scopes of one key are not permitted, twice in a row", () =>
    Effect.gen(function* () {
      const other = Scopes.make("other")
      for (let i = 0; i < 2; i++) {
        assert.strictEqual(yield* reasonOf(get(other)), "InvalidScope")
        assert.strictEqual(yield* reasonOf(get(other)), "InvalidScope")
        yield* get(a)
        yield* pass(2)
      }
      yield* assertRequests(3)
    }).pipe(Effect.provide(both))
  )

  it.effect("delays the other keys when the secret can't be read", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      backend.answer = () => Effect.fail(backendError("NotFound"))
      yield* Effect.flip(get(a))
      assert.strictEqual(yield* reasonOf(get(b)), "SecretUnavailable")
      assert.strictEqual(backend.reads, 1)
      yield* pass(1.2)
      yield* Effect.flip(get(b))
      assert.strictEqual(backend.reads, 2)
      // The second failure in a row, although of another key.
      assert.isAtLeast(nextAttemptIn(yield* Effect.flip(get(a))) ?? 0, 2)
    }).pipe(Effect.provide(over(backend, {}, { app })))
  })

  it.effect("delays the other keys when a request succeeds that was in progress when a stated wait began", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.delay("2 seconds")), Fault.once(Fault.rateLimit(60)))
      const slow = yield* Effect.forkChild(get(a), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Effect.flip(get(b))
      yield* pass(2)
      yield* Fiber.join(slow)
      assert.strictEqual(yield* reasonOf(get(b)), "RateLimited")
      yield* assertRequests(2)
    }).pipe(Effect.provide(both))
  )
})

describe("a wait that a server stated", () => {
  it.effect.each<readonly [number, number, number]>([
    [429, 60, 60],
    [500, 60, 60],
    [503, 900, 900],
    [503, 86_400, 900],
    [429, 86_400, 900]
  ])(
    "respects a wait stated with status %i, of %i s, for %i s, and again when it is stated again",
    ([status, stated, held]) =>
      Effect.gen(function* () {
        yield* script(Fault.times(Fault.rateLimit(stated, status), 2))
        for (let i = 1; i <= 2; i++) {
          yield* Effect.flip(get())
          const left = nextAttemptIn(yield* Effect.flip(get())) ?? 0
          assert.isAtLeast(left, held)
          assert.isAtMost(left, held * 1.2)
          yield* pass(held - 6)
          yield* Effect.flip(get())
          yield* assertRequests(i)
          yield* pass(held * 0.2 + 6)
        }
        yield* get()
        yield* assertRequests(3)
      }).pipe(Effect.provide(cached()))
  )

  it.effect("respects a wait that the secret backend stated, and again when it is stated again", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      backend.answer = () => Effect.fail(backendError("Throttled", Duration.seconds(60)))
      for (let i = 1; i <= 3; i++) {
        yield* Effect.flip(get())
        for (const asked of [get(a), get(b), refresh(a)]) {
          assert.isDefined((yield* Effect.flip(asked)).nextAttemptIn)
          yield* pass(15)
        }
        assert.strictEqual(backend.reads, i)
        yield* pass(30)
      }
    }).pipe(Effect.provide(over(backend, {}, { app })))
  })

  it.effect("returns a token to callers without one after a stated wait of at most 5 s", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.rateLimit(4, 503)))
      yield* Effect.flip(get(a))
      const waiting = yield* Effect.forEach([a, a, b], (scopes) =>
        Effect.forkChild(get(scopes), { startImmediately: true })
      )
      yield* pass(3.9)
      yield* assertRequests(1)
      for (const fiber of waiting) assert.isUndefined(fiber.pollUnsafe())
      yield* pass(0.9)
      const tokens = yield* Effect.forEach(waiting, Fiber.join)
      assert.strictEqual(tokens[0], tokens[1])
      yield* assertRequests(3)
    }).pipe(Effect.provide(both))
  )

  it.effect("waits for a stated wait when at most 5 s of it are left, and fails when more are", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.rateLimit(60)))
      yield* Effect.flip(get())
      const left = nextAttemptIn(yield* Effect.flip(get())) ?? 0
      yield* pass(left - 5.01)
      assert.isDefined((yield* Effect.flip(get())).nextAttemptIn)
      yield* pass(0.02)
      assert.strictEqual((yield* during(5, get())).tokenType, "Bearer")
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("waits again when the next request states a wait too, within the time limit of the request", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(Fault.rateLimit(4, 503)))
      yield* Effect.flip(get())
      const error = yield* during(5, Effect.flip(get()))
      assert.isUndefined(error.nextAttemptIn)
      yield* assertRequests(2)
      yield* during(5, Effect.flip(get()))
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("fails at once when a stated wait is longer than the time limit of a request", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.rateLimit(4, 503)))
      yield* Effect.flip(get())
      assert.isDefined((yield* Effect.flip(get())).nextAttemptIn)
      yield* assertRequests(1)
    }).pipe(
      Effect.provide(
        TokenCache.layer.pipe(
          Layer.provide(RetryPolicy.layer(RetryPolicy.make({ attempts: 1, totalTimeout: "3 seconds" }))),
          Layer.provideMerge(FakeIms.layerTest())
        )
      )
    )
  )

  it.effect("fails at once during a short pause that no server stated", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(down))
      yield* Effect.flip(get())
      assert.isAtMost(nextAttemptIn(yield* Effect.flip(get())) ?? 9, 1.2)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )
})

describe("a request during which another key's pause begins", () => {
  it.effect("sends no second attempt when another key's pause began between two attempts", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(down), Fault.once(Fault.rateLimit(60)))
      const sleeping = yield* Effect.forkChild(Effect.flip(get(a)), { startImmediately: true })
      yield* (yield* FakeIms.FakeIms).awaitRequest("POST /connect/token")
      yield* Effect.flip(get(b))
      yield* pass(1)
      const error = yield* Fiber.join(sleeping)
      assert.strictEqual(error.reason._tag, "RateLimited")
      assert.isAbove(nextAttemptIn(error) ?? 0, 55)
      yield* assertRequests(2)
    }).pipe(Effect.provide(byDefault({}, { app })))
  )

  it.effect("sends nothing when another key's pause began while the secret was read", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      backend.answer = (current) => (backend.reads === 1 ? Effect.delay(current, "2 seconds") : current)
      yield* script(Fault.once(Fault.rateLimit(60)))
      const reading = yield* Effect.forkChild(Effect.flip(get(a)), { startImmediately: true })
      yield* pass(1)
      yield* Effect.flip(get(b))
      yield* pass(1)
      assert.strictEqual((yield* Fiber.join(reading)).reason._tag, "RateLimited")
      yield* assertRequests(1)
    }).pipe(Effect.provide(over(backend, {}, { app })))
  })

  it.effect("begins no pause when a request ends with the failure of another key", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      backend.answer = (current) => (backend.reads === 1 ? Effect.delay(current, "2 seconds") : current)
      yield* script(Fault.once(Fault.rateLimit(60)))
      const reading = yield* Effect.forkChild(Effect.flip(get(a)), { startImmediately: true })
      yield* pass(1)
      yield* Effect.flip(get(b))
      const left = nextAttemptIn(yield* Effect.flip(get(b))) ?? 0
      yield* pass(1)
      yield* Fiber.join(reading)
      assert.approximately(nextAttemptIn(yield* Effect.flip(get(b))) ?? 0, left - 1, 0.002)
      assert.approximately(nextAttemptIn(yield* Effect.flip(get(a))) ?? 0, left - 1, 0.002)
    }).pipe(Effect.provide(over(backend, {}, { app })))
  })

  it.effect("waits, and then sends the request, when another key's pause is stated and short", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      backend.answer = (current) => (backend.reads === 1 ? Effect.delay(current, "2 seconds") : current)
      yield* script(Fault.once(Fault.rateLimit(3)))
      const reading = yield* Effect.forkChild(get(a), { startImmediately: true })
      yield* pass(1)
      yield* Effect.flip(get(b))
      yield* pass(2.9)
      yield* assertRequests(1)
      yield* pass(0.7)
      assert.strictEqual((yield* Fiber.join(reading)).requestedScopes, a)
      yield* assertRequests(2)
    }).pipe(Effect.provide(over(backend, {}, { app })))
  })

  it.effect(
    "does not read the secret again after invalid_client when another key's pause began during the request",
    () => {
      const backend = makeBackend()
      return Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        yield* script(Fault.once(Fault.delay("2 seconds")), Fault.once(Fault.rateLimit(60)))
        const slow = yield* Effect.forkChild(Effect.flip(get(a)), { startImmediately: true })
        yield* fake.awaitRequest("POST /connect/token")
        const { clientId } = yield* (yield* SecretProvider.SecretProvider).credentials
        yield* Effect.flip(get(b))
        yield* fake.regenerateSecret(clientId)
        yield* pass(2)
        yield* Fiber.join(slow)
        assert.strictEqual(backend.reads, 2)
        yield* assertRequests(2)
      }).pipe(Effect.provide(over(backend, {}, { app })))
    }
  )
})

describe("refresh", () => {
  it.effect("refresh fails at once with nextAttemptIn when a pause that no server stated is younger than 10 s", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(invalidRequest))
      // Until the pause is 16 s long.
      for (let i = 0; i < 5; i++) {
        yield* Effect.flip(get())
        yield* pass(10)
      }
      const made = yield* requests
      assert.strictEqual(made, 5)
      yield* Effect.flip(refresh())
      yield* assertRequests(made + 1)
      yield* pass(9.9)
      assert.isDefined((yield* Effect.flip(refresh())).nextAttemptIn)
      yield* assertRequests(made + 1)
      yield* pass(0.1)
      assert.isUndefined((yield* Effect.flip(refresh())).nextAttemptIn)
      yield* assertRequests(made + 2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("refresh sends a request every 10 s, and get sends none, in a pause of 60 s that no server stated", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(invalidRequest))
      yield* pausesWhile(200, get())
      const before = yield* requests
      const pauses = (yield* pausesWhile(60, refresh())).slice(before)
      assert.isAtLeast(pauses.length, 4)
      for (const pause of pauses) assert.isAtLeast(pause, 10 - 1e-6)
      for (const pause of pauses) assert.isAtMost(pause, 10.2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("refresh never ignores a stated wait, however old that is", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(Fault.rateLimit(600)))
      yield* Effect.flip(get())
      for (let i = 0; i < 59; i++) {
        assert.isDefined((yield* Effect.flip(refresh())).nextAttemptIn)
        yield* pass(10)
      }
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("refresh fails during a pause when get returns the token in memory", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.once(down))
      assert.strictEqual(yield* reasonOf(refresh()), "ServerError")
      assert.isDefined((yield* Effect.flip(refresh())).nextAttemptIn)
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
      yield* pass(1.2)
      assert.notStrictEqual(yield* refresh(), old)
    }).pipe(Effect.provide(cached()))
  )
})

describe("replayFailures: false", () => {
  it.effect.each<readonly [string, Fault.Fault]>([
    ["500", down],
    ["invalid_client", invalidClient],
    ["429", Fault.rateLimit()]
  ])("makes every pause 1 s long when replayFailures is false and IMS returns %s", ([_name, fault]) =>
    Effect.gen(function* () {
      yield* script(Fault.always(fault))
      const pauses = yield* pausesWhile(20, get())
      assert.isAtLeast(pauses.length, 14)
      assertPauses(
        pauses,
        pauses.map(() => 1)
      )
    }).pipe(Effect.provide(cached({ replayFailures: false })))
  )

  it.effect("respects a stated wait when replayFailures is false", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(Fault.rateLimit(60)))
      yield* Effect.flip(get())
      yield* pass(50)
      assert.isDefined((yield* Effect.flip(get())).nextAttemptIn)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached({ replayFailures: false })))
  )
})

describe("a token that has expired when it arrives", () => {
  it.effect(
    "returns an expired token to the waiting callers, and makes longer and longer pauses, when IMS keeps returning one",
    () =>
      Effect.gen(function* () {
        yield* script(Fault.always(Fault.delay("100 millis")))
        for (const length of [1, 2, 4]) {
          const tokens = yield* during(0.1, Effect.all([get(), get(), get()], { concurrency: "unbounded" }))
          assert.strictEqual(new Set(tokens).size, 1)
          assert.isUndefined((yield* TokenCache.TokenCache).peekUnsafe())
          const error = yield* Effect.flip(get())
          assert.strictEqual(error.reason._tag, "InvalidResponse")
          assert.isAtLeast(nextAttemptIn(error) ?? 0, length)
          assert.isAtMost(nextAttemptIn(error) ?? 9, length * 1.2)
          yield* pass(nextAttemptIn(error) ?? 0)
        }
        yield* assertRequests(3)
      }).pipe(Effect.provide(cached({}, { app: { name: "No life", response: { set: { expires_in: 0 } } } })))
  )

  it.effect("returns a token to the waiting callers, once, when its life is shorter than its request", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.delay("4 seconds")))
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(get()))
      yield* pass(4)
      assert.strictEqual(new Set(yield* Effect.forEach(fibers, Fiber.join)).size, 1)
      assert.isUndefined((yield* TokenCache.TokenCache).peekUnsafe())
      assert.strictEqual(yield* reasonOf(get()), "InvalidResponse")
      yield* assertRequests(1)
      yield* pass(1.2)
      const token = yield* get()
      assert.strictEqual(yield* get(), token)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached({}, { app: { name: "Short", tokenLife: "3 seconds" } })))
  )

  it.effect("keeps an older usable token when a token that has expired arrives", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.once(Fault.fields({ expires_in: 0 })))
      assert.notStrictEqual(yield* refresh(), old)
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )
})
