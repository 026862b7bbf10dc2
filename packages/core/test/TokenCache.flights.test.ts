// Rule 2: single flight. Callers come and go, and none harms another.
import { assert, describe, it } from "@effect/vitest"
import { SecretProvider, TokenCache } from "@effect-itwin/core"
import { Fault } from "@effect-itwin/testing"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { assertRequests, cached, get, makeBackend, over, refresh, script, soft, times } from "./cacheSupport.ts"
import { credentials, scripted, tokenAnswer } from "./support.ts"

const slow = script(Fault.once(Fault.delay("2 seconds")))
const five = Effect.forEach([0, 1, 2, 3, 4], () => Effect.forkChild(get()))

describe("single flight", () => {
  it.effect.each<readonly [string, ReadonlyArray<number>]>([
    ["the first", [0]],
    ["the last", [4]],
    ["some", [0, 2, 3]],
    ["all but one", [0, 1, 2, 4]]
  ])("interrupting %s of five callers leaves the others their token, and one request", ([_name, leaving]) =>
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

  it.effect("interrupting all callers leaves the token for the next one", () =>
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

  it.effect("callers with 1 s of patience get nowhere with an IMS of 2 s, but the next one does", () =>
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

  it.effect("a flight that nobody waits for ends at its own deadline", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.hang))
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("4 seconds")
      yield* get()
      assert.deepStrictEqual(yield* times, [0, 5])
    }).pipe(Effect.provide(cached()))
  )

  it.effect("a caller that arrives as the flight lands shares it, or gets its token: no second request", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const arrived: Array<Fiber.Fiber<unknown, unknown>> = []
      yield* slow
      const first = yield* get().pipe(
        // It goes on at the very moment of the landing, and asks again.
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

  it.effect("a first step that wakes another caller synchronously starts no second flight", () => {
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

  it.effect("a failure is shared by those who wait, and by nobody after", () =>
    Effect.gen(function* () {
      yield* script(Fault.once(Fault.hang))
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(Effect.flip(get())))
      yield* TestClock.adjust("5 seconds")
      const errors = yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(new Set(errors).size, 1)
      assert.strictEqual(errors[0]?.reason._tag, "Timeout")
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("a client that interrupts itself fails the flight with a TokenError, and interrupts not its caller", () => {
    const ims = scripted(() => Effect.interrupt, tokenAnswer())
    return Effect.gen(function* () {
      assert.deepInclude((yield* Effect.flip(get())).reason, { _tag: "Transport", code: "DEFECT" })
      assert.strictEqual((yield* get()).tokenType, "Bearer")
    }).pipe(Effect.provide(TokenCache.layer.pipe(Layer.provide([ims.layer, SecretProvider.layerStatic(credentials)]))))
  })

  it.effect("refresh asks although the token is young, and two at once ask once", () =>
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

  it.effect("refresh joins the renewal that runs in the background", () =>
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

  it.effect("a token invalidated amid a refresh is gone, and the refreshed one stays", () =>
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
