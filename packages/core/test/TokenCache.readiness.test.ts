// `isReady`, `warmUp` and `status`, used as in the guide: liveness makes no request, readiness polls `isReady` every
// 10 s, and `warmUp` requests the first token.
import { assert, describe, it } from "@effect/vitest"
import { Scopes, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { type Duration, Effect, Random } from "effect"
import {
  a,
  twoScopesApp as app,
  assertRequests,
  at,
  backendError,
  byDefault,
  cached,
  clear,
  down,
  get,
  hard,
  invalidClient,
  last,
  makeBackend,
  oauth,
  over,
  pass,
  passInSteps,
  refresh,
  requests,
  route,
  script,
  seconds,
  soft
} from "./cacheSupport.ts"

const cache = TokenCache.TokenCache
const isReady = Effect.flatMap(cache, (cache) => cache.isReady)
const outage = (duration: Duration.Input) => script(Fault.forDuration(down, duration))

/** Polls every 10 s, as an orchestrator does. Returns the seconds at which the replica was not ready. */
const poll = (length: number) =>
  Effect.gen(function* () {
    const unready: Array<number> = []
    for (let passed = 0; passed < length; passed += 10) {
      if (!(yield* isReady)) unready.push(yield* seconds)
      yield* pass(10)
    }
    return unready
  })

describe("isReady", () => {
  it.effect("isReady returns false at first, and starts one request without waiting for it", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.delay("2 seconds")))
      for (let i = 0; i < 10; i++) assert.isFalse(yield* isReady)
      yield* (yield* FakeIms.FakeIms).awaitRequest(route)
      yield* pass(1.999)
      assert.isFalse(yield* isReady)
      yield* pass(0.001)
      assert.isTrue(yield* isReady)
      yield* assertRequests(1)
    }).pipe(Effect.provide(byDefault()))
  )

  it.effect("isReady returns true, without a request, when the token is fresh", () =>
    Effect.gen(function* () {
      yield* get()
      for (let i = 0; i < 10; i++) assert.isTrue(yield* isReady)
      yield* assertRequests(1)
    }).pipe(Effect.provide(byDefault()))
  )

  it.effect("isReady returns true, and starts one renewal, when the token is due or late", () =>
    Effect.gen(function* () {
      yield* get()
      for (const [i, moment] of [soft, soft + hard].entries()) {
        yield* at(moment)
        assert.isTrue(yield* isReady)
        yield* Effect.yieldNow
        assert.isTrue(yield* isReady)
        yield* assertRequests(2 + i)
      }
    }).pipe(Effect.provide(cached()))
  )

  it.effect(
    "isReady returns true until 5 s before the token expires, and false from then on, when IMS is unreachable",
    () =>
      Effect.gen(function* () {
        yield* get()
        yield* script(Fault.always(Fault.reset))
        yield* at(last - 0.001)
        assert.isTrue(yield* isReady)
        yield* at(last)
        assert.isFalse(yield* isReady)
      }).pipe(Effect.provide(cached()))
  )

  it.effect("isReady starts no request while a pause holds, twice in a row", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(Fault.rateLimit(60)))
      for (let i = 1; i <= 3; i++) {
        assert.deepStrictEqual((yield* poll(50)).length, 5)
        yield* assertRequests(i)
        yield* pass(30)
      }
    }).pipe(Effect.provide(byDefault()))
  )

  it.effect("isReady returns false between the invalidation of a token and the next one", () =>
    Effect.gen(function* () {
      yield* (yield* cache).invalidate(yield* get())
      assert.isFalse(yield* isReady)
      yield* Effect.yieldNow
      assert.isTrue(yield* isReady)
    }).pipe(Effect.provide(byDefault()))
  )

  it.effect("isReady ignores other scopes than the default ones", () =>
    Effect.gen(function* () {
      yield* get(a)
      assert.isFalse(yield* isReady)
      const fake = yield* FakeIms.FakeIms
      assert.deepStrictEqual(
        (yield* fake.tokenRequests).map(({ form }) => form.scope),
        ["a", "itwin-platform"]
      )
    }).pipe(Effect.provide(byDefault({}, { app })))
  )
})

describe("warmUp", () => {
  it.effect(
    "warmUp requests a token when the layer is built, without waiting for it, and serves the first caller",
    () =>
      Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        yield* fake.script(route, Fault.once(Fault.delay("2 seconds")))
        const service = yield* TokenCache.make({ warmUp: true })
        yield* fake.awaitRequest(route)
        assert.strictEqual(yield* seconds, 0)
        yield* pass(2)
        assert.isDefined(service.peekUnsafe())
        yield* service.get()
        yield* fake.assertTokenRequests(1)
      }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each<readonly [string, Fault.Fault, number]>([
    ["500", down, 12],
    ["nothing", Fault.hang, 20],
    ["503 with Retry-After: 30", Fault.rateLimit(30, 503), 36],
    ["invalid_client", invalidClient, 72],
    ["invalid_request", oauth("invalid_request"), 72]
  ])(
    "warmUp repeats its request until the first success, soon after IMS stops returning %s",
    ([_name, fault, within]) =>
      Effect.gen(function* () {
        yield* script(Fault.always(fault))
        const service = yield* cache
        yield* passInSteps(20 * 60)
        assert.isAtLeast(yield* requests, 15)
        assert.isUndefined(service.peekUnsafe())
        yield* clear
        yield* passInSteps(within)
        assert.isDefined(service.peekUnsafe())
        const made = yield* requests
        yield* passInSteps(600)
        yield* assertRequests(made)
      }).pipe(Effect.provide(byDefault({ warmUp: true })))
  )

  it.effect("warmUp repeats its request until the secret backend returns the secret", () => {
    const backend = makeBackend()
    backend.answer = () => Effect.fail(backendError("NotFound"))
    return Effect.gen(function* () {
      yield* passInSteps(300)
      assert.isAtLeast(backend.reads, 7)
      assert.isAtMost(backend.reads, 11)
      backend.answer = (current) => current
      yield* passInSteps(72)
      assert.isDefined((yield* cache).peekUnsafe())
    }).pipe(Effect.provide(over(backend, { warmUp: true })))
  })

  it.effect("warmUp ends when a caller gets the first token", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(down))
      const fake = yield* FakeIms.FakeIms
      const service = yield* TokenCache.make({ warmUp: true, replayFailures: false })
      yield* fake.awaitRequest(route)
      yield* pass(2)
      yield* service.get()
      const made = (yield* fake.tokenRequests).length
      yield* passInSteps(600)
      yield* fake.assertTokenRequests(made)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )
})

describe("a replica with warmUp and isReady polled every 10 s", () => {
  const replica = byDefault({ warmUp: true })

  it.effect("becomes ready at the second poll, and stays ready for three hours without traffic, with warmUp", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        (yield* poll(3 * 3600)).filter((moment) => moment > 0),
        []
      )
      assert.isAtMost(yield* requests, 6)
    }).pipe(Random.withSeed("idle"), Effect.provide(replica))
  )

  it.effect.each([1, 30, 38, 40, 42, 44, 47])(
    "stays ready during an outage of 12 min when that begins at minute %i",
    (minute) =>
      Effect.gen(function* () {
        yield* get()
        assert.deepStrictEqual(yield* poll(minute * 60), [])
        yield* script(Fault.always(down))
        assert.deepStrictEqual(yield* poll(12 * 60), [])
        yield* clear
        assert.deepStrictEqual(yield* poll(3600), [])
      }).pipe(Effect.provide(replica))
  )

  it.effect("becomes ready at most 20 s after an outage of 12 min when a replica with warmUp started in it", () =>
    Effect.gen(function* () {
      yield* outage("12 minutes")
      const service = yield* TokenCache.make({ warmUp: true })
      const unready = yield* Effect.provideService(poll(3600), cache, service)
      assert.isAtLeast(unready.length, 70)
      assert.isAtMost(Math.max(...unready), 12 * 60 + 20)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.effect("becomes ready again at most 20 s after an outage of 2 h", () =>
    Effect.gen(function* () {
      yield* poll(600)
      // The outage begins with the first renewal.
      yield* outage("2 hours")
      const unready = yield* poll(4 * 3600)
      const failed = (yield* (yield* FakeIms.FakeIms).tokenRequests).find(({ status }) => status === 500)
      const ended = (failed?.at ?? 0) / 1000 + 2 * 3600
      assert.isAbove(unready.length, 100)
      assert.isAtMost(Math.max(...unready), ended + 20)
    }).pipe(Effect.provide(replica))
  )

  it.effect("makes no request when a liveness probe reads status", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 360; i++) {
        yield* (yield* cache).status
        yield* pass(10)
      }
      yield* assertRequests(0)
    }).pipe(Effect.provide(byDefault()))
  )
})

describe("a replica without warmUp whose isReady is polled every 10 s", () => {
  it.effect("becomes ready at most 20 s after an outage of 12 min when a replica without warmUp started in it", () =>
    Effect.gen(function* () {
      yield* outage("12 minutes")
      const unready = yield* poll(3600)
      assert.isAtLeast(unready.length, 70)
      assert.isAtMost(Math.max(...unready), 12 * 60 + 20)
      assert.isAtMost(yield* requests, 90)
    }).pipe(Effect.provide(byDefault()))
  )
})

describe("status", () => {
  it.effect("status describes each key, and makes no request", () =>
    Effect.gen(function* () {
      const { status } = yield* cache
      const other = Scopes.make("other")
      const states = Effect.map(status, (list) => list.map(({ scopes, state }) => [scopes, state]))
      assert.deepStrictEqual(yield* states, [[Scopes.itwinPlatform, "none"]])
      yield* assertRequests(0)
      const token = yield* get()
      yield* Effect.flip(get(other))
      assert.deepStrictEqual(yield* states, [
        [Scopes.itwinPlatform, "fresh"],
        [other, "none"]
      ])
      const [first, second] = yield* status
      assert.deepStrictEqual(first?.expiresAt, token.expiresAt)
      assert.isUndefined(first?.lastFailure)
      assert.isUndefined(first?.nextAttemptIn)
      assert.strictEqual(second?.lastFailure?.reason._tag, "InvalidScope")
      assert.isDefined(second?.nextAttemptIn)
      for (const [moment, state] of [
        [soft, "due"],
        [hard, "late"],
        [last, "none"]
      ] as const) {
        yield* at(moment)
        assert.strictEqual((yield* status)[0]?.state, state)
      }
      assert.isUndefined((yield* status)[1]?.nextAttemptIn)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("status shows the last failure and the time until the next attempt, until the next success", () =>
    Effect.gen(function* () {
      const { status } = yield* cache
      yield* script(Fault.once(down))
      yield* Effect.flip(get())
      assert.strictEqual((yield* status)[0]?.lastFailure?.reason._tag, "ServerError")
      assert.isDefined((yield* status)[0]?.nextAttemptIn)
      yield* pass(1.2)
      assert.isDefined((yield* status)[0]?.lastFailure)
      assert.isUndefined((yield* status)[0]?.nextAttemptIn)
      yield* get()
      assert.isUndefined((yield* status)[0]?.lastFailure)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("status shows a failure when there is a token", () =>
    Effect.gen(function* () {
      yield* get()
      yield* script(Fault.once(down))
      yield* Effect.flip(refresh())
      const [first] = yield* (yield* cache).status
      assert.strictEqual(first?.state, "fresh")
      assert.strictEqual(first?.lastFailure?.reason._tag, "ServerError")
    }).pipe(Effect.provide(cached()))
  )
})
