// One request for each key. Interrupting a caller does not affect the others. Only closing the layer ends a request.
import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Scopes, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Clock, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { makeSingleFlight } from "../src/internal/life/singleFlight.ts"
import {
  assertRequests,
  cached,
  down,
  during,
  get,
  hard,
  invalidClient,
  makeBackend,
  over,
  refresh,
  route,
  script,
  soft,
  times
} from "./cacheSupport.ts"

const slow = script(Fault.once(Fault.delay("2 seconds")))
const five = Effect.forEach([0, 1, 2, 3, 4], () => Effect.forkChild(get()))

describe("callers of one key", () => {
  it.effect.each<readonly [string, ReadonlyArray<number>]>([
    ["the first", [0]],
    ["the last", [4]],
    ["some", [0, 2, 3]],
    ["all but one", [0, 1, 2, 4]]
  ])("returns the token of one request to the others when %s of five callers are interrupted", ([_name, leaving]) =>
    Effect.gen(function* () {
      yield* slow
      const fibers = yield* five
      yield* TestClock.adjust("1 second")
      for (const [i, fiber] of fibers.entries()) if (leaving.includes(i)) yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 second")
      const stayed = fibers.filter((_, i) => !leaving.includes(i))
      assert.strictEqual(new Set(yield* Effect.forEach(stayed, Fiber.join)).size, 1)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("keeps the token of the request for the next caller when all its callers are interrupted", () =>
    Effect.gen(function* () {
      yield* slow
      const fibers = yield* five
      yield* TestClock.adjust("1 second")
      yield* Fiber.interruptAll(fibers)
      yield* TestClock.adjust("1 second")
      assert.isDefined((yield* TokenCache.TokenCache).peekUnsafe())
      yield* get()
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("returns the token from memory to the next caller when earlier callers gave up after 1 s", () =>
    Effect.gen(function* () {
      yield* slow
      const impatient = Effect.timeoutOption(get(), "1 second")
      const one = yield* Effect.forkChild(impatient)
      yield* TestClock.adjust("500 millis")
      const two = yield* Effect.forkChild(impatient)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(one))._tag, "None")
      assert.strictEqual((yield* Fiber.join(two))._tag, "None")
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* impatient)._tag, "Some")
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("ends a request at its own time limit when all its callers are interrupted", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.hang))
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("5.2 seconds")
      yield* get()
      assert.deepStrictEqual(yield* times, [0, 6.2])
    }).pipe(Effect.provide(cached()))
  )

  it.effect("makes no second request when a caller arrives at the moment at which the request ends", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const arrived: Array<Fiber.Fiber<unknown, unknown>> = []
      yield* slow
      const first = yield* get().pipe(
        // The caller continues at the moment at which the request ends, and calls again.
        Effect.andThen(get()),
        Effect.forkChild
      )
      const second = yield* get().pipe(Effect.delay("2 seconds"), Effect.forkChild)
      yield* TestClock.adjust("2 seconds")
      arrived.push(first, second)
      for (const fiber of arrived) yield* Fiber.join(fiber)
      yield* assertRequests(1)
    }).pipe(Effect.provide(over(backend)))
  })

  it.effect("makes no second request when reading the secret asks for a token itself", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const nested: Array<Fiber.Fiber<unknown, unknown>> = []
      backend.answer = (current) =>
        Effect.suspend(() => {
          if (nested.length < 3) nested.push(Effect.runFork(cache.get()))
          return current
        })
      const token = yield* get()
      for (const fiber of nested) assert.strictEqual(yield* Fiber.join(fiber), token)
      assert.strictEqual(backend.reads, 1)
      assert.isAbove(nested.length, 0)
      yield* assertRequests(1)
    }).pipe(Effect.provide(over(backend)))
  })

  it.effect("returns the same error to all callers when the request fails, and a token from the next request", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.hang))
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(Effect.flip(get())))
      yield* TestClock.adjust("5 seconds")
      const errors = yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(new Set(errors).size, 1)
      assert.strictEqual(errors[0]?.reason._tag, "Timeout")
      yield* TestClock.adjust("1.2 seconds")
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("refresh returns a new token from one request when two callers refresh at the same time", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* slow
      const fibers = yield* Effect.forEach([1, 2], () => Effect.forkChild(refresh()))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* get(), old)
      yield* TestClock.adjust("1 second")
      const [one, two] = yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(one, two)
      assert.strictEqual(yield* get(), one)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("refresh returns the token of the renewal in progress", () =>
    Effect.gen(function* () {
      yield* get()
      yield* slow
      yield* TestClock.setTime(soft * 1000)
      yield* get()
      const fiber = yield* Effect.forkChild(refresh())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("returns the refreshed token when the old one is invalidated during the request", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const old = yield* get()
      yield* slow
      const refreshing = yield* Effect.forkChild(cache.refresh())
      yield* TestClock.adjust("1 second")
      yield* cache.invalidate(old)
      assert.isUndefined(cache.peekUnsafe())
      const waiting = yield* Effect.forkChild(cache.get())
      yield* TestClock.adjust("1 second")
      const token = yield* Fiber.join(refreshing)
      assert.strictEqual(yield* Fiber.join(waiting), token)
      yield* cache.invalidate(old)
      assert.strictEqual(yield* get(), token)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )
})

describe("a closed layer", () => {
  const build = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const cache = Context.get(
      yield* Layer.buildWithScope(
        TokenCache.layerWith({}).pipe(Layer.provide(RetryPolicy.layer(RetryPolicy.none))),
        scope
      ),
      TokenCache.TokenCache
    )
    return { cache, close: Scope.close(scope, Exit.void) }
  })
  const assertClosed = (cache: TokenCache.TokenCache["Service"]) =>
    Effect.gen(function* () {
      for (const asked of [cache.get(), cache.refresh(), cache.get(Scopes.make("new"))]) {
        assert.strictEqual((yield* Effect.flip(asked)).reason._tag, "Closed")
      }
      assert.isUndefined(cache.peekUnsafe())
    })

  it.effect("fails every call with Closed, and forgets the token, when the layer is closed", () =>
    Effect.gen(function* () {
      const { cache, close } = yield* build
      yield* cache.get()
      yield* close
      yield* assertClosed(cache)
      yield* (yield* FakeIms.FakeIms).assertTokenRequests(1)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("fails waiting callers with Closed, and interrupts the request, when the layer is closed", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { cache, close } = yield* build
      yield* fake.script(route, Fault.once(Fault.delay("1 second")))
      const fibers = yield* Effect.forEach([1, 2], () => Effect.forkChild(Effect.flip(cache.get())))
      yield* fake.awaitRequest(route)
      yield* close
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "Closed")
      yield* TestClock.adjust("1 minute")
      yield* assertClosed(cache)
      assert.strictEqual((yield* fake.tokenRequests)[0]?.outcome, "unanswered")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("fails later calls with Closed when the layer is closed during a renewal in the background", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { cache, close } = yield* build
      yield* cache.get()
      yield* fake.script(route, Fault.once(Fault.hang))
      yield* TestClock.setTime((hard - 1) * 1000)
      yield* cache.get()
      yield* close
      yield* assertClosed(cache)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each<readonly [string, Fault.Fault]>([
    ["invalid_client", invalidClient],
    ["429 with Retry-After", Fault.rateLimit(60)],
    ["500", down]
  ])("fails every call with Closed when the layer is closed in the pause after %s", ([_name, fault]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { cache, close } = yield* build
      yield* fake.script(route, Fault.always(fault))
      yield* Effect.flip(cache.get())
      yield* close
      yield* assertClosed(cache)
      yield* fake.assertTokenRequests(1)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("fails with Closed when the layer is closed during a stated wait", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { cache, close } = yield* build
      yield* fake.script(route, Fault.always(Fault.rateLimit(4, 503)))
      yield* Effect.flip(cache.get())
      const waiting = yield* Effect.forkChild(Effect.flip(cache.get()), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* close
      assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "Closed")
      yield* TestClock.adjust("1 minute")
      yield* fake.assertTokenRequests(1)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("sends nothing further, and is not ready, when the layer is closed between requests of warmUp", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const scope = yield* Scope.make()
      yield* fake.script(route, Fault.always(down))
      const cache = yield* TokenCache.make({ warmUp: true }).pipe(Effect.provideService(Scope.Scope, scope))
      yield* TestClock.adjust("10 seconds")
      const made = (yield* fake.tokenRequests).length
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(yield* cache.isReady)
      yield* TestClock.adjust("10 minutes")
      yield* fake.assertTokenRequests(made)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})

describe("a request that the runtime has lost", () => {
  const asked = { isAwaited: true, isInsistent: false }
  const makeLost = Effect.gen(function* () {
    const clock = yield* Clock.Clock
    let runs = 0
    const flights = yield* makeSingleFlight<string, string, never>({
      name: "lost",
      endpoint: "https://ims.example/t",
      limit: 5_000,
      clock,
      run: () => (++runs === 1 ? Effect.never : Effect.delay(Effect.succeed(`token ${runs}`), "1 second"))
    })
    return { flights, runs: () => runs }
  })

  it.effect(
    "starts one other request, for all callers, a second after the time limit when the runtime lost the first",
    () =>
      Effect.gen(function* () {
        const { flights, runs } = yield* makeLost
        const fibers = yield* Effect.forEach([1, 2, 3], () =>
          Effect.forkChild(flights.join("a", asked), { startImmediately: true })
        )
        yield* TestClock.adjust("5.999 seconds")
        assert.strictEqual(runs(), 1)
        yield* TestClock.adjust("1001 millis")
        for (const fiber of fibers) assert.strictEqual(yield* Fiber.join(fiber), "token 2")
        assert.strictEqual(runs(), 2)
      }).pipe(Effect.scoped)
  )

  it.effect("starts another request when the next caller comes a second after the time limit of a lost one", () =>
    Effect.gen(function* () {
      const { flights } = yield* makeLost
      yield* flights.start("a")
      yield* TestClock.adjust("6 seconds")
      assert.isFalse(flights.isInProgress("a"))
      assert.strictEqual(yield* during(1, flights.join("a", asked)), "token 2")
    }).pipe(Effect.scoped)
  )
})
