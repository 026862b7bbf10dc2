// Rule 4: a renewal that fails, and a Retry-After: what they hold back, for whom and for how long.
import { assert, describe, it } from "@effect/vitest"
import { TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Duration, Effect, Fiber, Logger, References } from "effect"
import {
  a,
  twoScopesApp as app,
  assertRequests,
  b,
  cached,
  down,
  get,
  invalidClient,
  makeBackend,
  over,
  pass,
  reasonOf,
  refresh,
  requests,
  script,
  soft,
  times,
  toSoft
} from "./cacheSupport.ts"

describe("a renewal in the background that fails", () => {
  it.effect.each<readonly [string, Fault.Fault]>([
    ["500", down],
    ["429", Fault.rateLimit()],
    ["invalid_client", invalidClient],
    ["a lost connection", Fault.reset],
    ["an answer that makes no sense", Fault.fields({ expires_in: "soon" })],
    ["silence", Fault.hang]
  ])("fails nobody who holds a token: %s", ([_name, fault]) =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* script(Fault.always(fault))
      yield* toSoft
      for (let i = 0; i < 60; i++) {
        assert.strictEqual(yield* get(), old)
        yield* pass(10)
      }
      assert.isAbove(yield* requests, 2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("fails nobody when the provider dies of it, and is no unhandled rejection", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const old = yield* get()
      backend.answer = () => Effect.die(new Error("fake-secret-+/= in a defect"))
      yield* toSoft
      assert.strictEqual(yield* get(), old)
      yield* pass(30)
      assert.strictEqual(yield* get(), old)
      assert.strictEqual(backend.reads, 3)
    }).pipe(Effect.provide(over(backend, { lastKnownGood: 0 })))
  })

  it.effect("is quiet for 30 s, and no longer", () =>
    Effect.gen(function* () {
      yield* get()
      yield* script(Fault.always(down))
      yield* toSoft
      yield* get()
      yield* pass(29.999)
      yield* get()
      yield* assertRequests(2)
      yield* pass(0.001)
      yield* get()
      assert.deepStrictEqual(yield* times, [0, soft, soft + 30])
    }).pipe(Effect.provide(cached()))
  )

  it.effect("is quiet from the failure on, not from the start of the flight", () =>
    Effect.gen(function* () {
      yield* get()
      yield* script(Fault.once(Fault.hang))
      yield* toSoft
      yield* get()
      yield* pass(34.999)
      yield* get()
      yield* assertRequests(2)
      yield* pass(0.001)
      yield* get()
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("holds back neither refresh nor those who have no token", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const old = yield* get()
      yield* script(Fault.times(down, 2))
      yield* toSoft
      yield* get()
      assert.strictEqual(yield* reasonOf(refresh()), "ServerError")
      yield* cache.invalidate(old)
      assert.notStrictEqual(yield* get(), old)
      yield* assertRequests(4)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("the next success ends the quiet", () =>
    Effect.gen(function* () {
      yield* get()
      yield* script(Fault.once(down))
      yield* toSoft
      yield* get()
      // 4 s of life: past soft after 3 s, well within what was the quiet.
      yield* script(Fault.once(Fault.fields({ expires_in: 4 })))
      yield* refresh()
      yield* pass(3.2)
      yield* get()
      yield* assertRequests(4)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("quiets its own scopes only", () =>
    Effect.gen(function* () {
      yield* get(a)
      yield* get(b)
      yield* toSoft
      yield* script(Fault.once(down))
      yield* get(a)
      yield* get(b)
      yield* assertRequests(4)
    }).pipe(Effect.provide(cached({}, { app })))
  )
})

describe("Retry-After", () => {
  it.effect.each<readonly [number, number, number]>([
    [429, 60, 60],
    [503, 60, 60],
    [429, 86_400, 900],
    [503, 86_400, 900]
  ])("on %i of %i s cools the whole cache for %i s", ([status, retryAfter, cooled]) =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.rateLimit(retryAfter, status)))
      yield* Effect.flip(get(a))
      for (const asked of [get(a), get(b), refresh(b)]) {
        const { reason } = yield* Effect.flip(asked)
        assert.deepInclude(reason, { _tag: "RateLimited", retryAfter: Duration.seconds(cooled) })
      }
      yield* pass(cooled - 1)
      assert.deepInclude((yield* Effect.flip(get(b))).reason, { retryAfter: Duration.seconds(1) })
      yield* assertRequests(1)
      yield* pass(1)
      yield* get(b)
      yield* get(a)
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect("on another status cools nothing", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.rateLimit(60, 500)))
      yield* Effect.flip(get())
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("that is missing cools nothing", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.rateLimit()))
      yield* Effect.flip(get())
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("lets tokens in memory serve, and holds back their renewal", () =>
    Effect.gen(function* () {
      const old = yield* get(a)
      yield* toSoft
      yield* script(Fault.once(Fault.rateLimit(120)))
      yield* Effect.flip(get(b))
      for (let i = 0; i < 11; i++) {
        assert.strictEqual(yield* get(a), old)
        yield* pass(10)
      }
      yield* assertRequests(2)
      yield* pass(10)
      assert.strictEqual(yield* get(a), old)
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect("is not ended by the success of a flight that was under way", () =>
    Effect.gen(function* () {
      const delayed = Fault.once(Fault.delay("2 seconds"))
      yield* script(delayed, Fault.once(Fault.rateLimit(60)))
      const slow = yield* Effect.forkChild(get(a))
      yield* Effect.yieldNow
      yield* Effect.flip(get(b))
      yield* pass(2)
      yield* Fiber.join(slow)
      assert.strictEqual(yield* reasonOf(get(b)), "RateLimited")
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached({}, { app })))
  )
})

it.effect("a logger that throws takes the token from nobody", () => {
  let broken = false
  const logger = Logger.make(() => {
    if (broken) throw new Error("the logger broke")
  })
  return Effect.gen(function* () {
    const cache = yield* TokenCache.make().pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "All")
    )
    broken = true
    assert.strictEqual((yield* cache.get()).tokenType, "Bearer")
    assert.isDefined(cache.peekUnsafe())
  }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
})
