// Rule 7: what serves while the backend of the secret is down, and what never does.
import { assert, describe, it } from "@effect/vitest"
import { Scopes } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  assertRequests,
  backendError,
  down,
  get,
  hard,
  outcomes,
  reasonOf,
  refresh,
  rotate,
  script,
  setUp,
  soft
} from "./cacheSupport.ts"

describe("while the backend is down", () => {
  it.effect.each(["Unavailable", "Throttled"] as const)("%s: the last credentials serve, with a warning", (reason) => {
    const { backend, layer, warnings } = setUp()
    return Effect.gen(function* () {
      yield* get()
      backend.answer = () => Effect.fail(backendError(reason))
      yield* refresh()
      assert.deepStrictEqual(yield* outcomes, ["ok", "ok"])
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0], "The last credentials that gave a token are used")
    }).pipe(Effect.provide(layer))
  })

  it.effect.each<readonly [string, Effect.Effect<never>]>([
    ["dies", Effect.die(new Error("fake-secret-+/="))],
    ["interrupts itself", Effect.interrupt],
    ["hangs", Effect.never]
  ])("a provider that %s counts as down", ([_name, broken]) => {
    const { backend, layer } = setUp({ replayFailures: false })
    return Effect.gen(function* () {
      backend.answer = () => broken
      const first = yield* Effect.forkChild(Effect.flip(get()))
      yield* TestClock.adjust("10 seconds")
      const { reason, ...error } = yield* Fiber.join(first)
      assert.strictEqual(reason._tag, "SecretUnavailable")
      assert.isTrue(reason._tag === "SecretUnavailable" && reason.error.reason._tag === "Unavailable")
      assert.notInclude(JSON.stringify({ reason, error }), "fake-secret")
      yield* assertRequests(0)
      backend.answer = (current) => current
      yield* get()
      backend.answer = () => broken
      const fiber = yield* Effect.forkChild(refresh())
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).tokenType, "Bearer")
      yield* assertRequests(2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("nothing serves that never gave a token", () => {
    const { backend, layer } = setUp({ replayFailures: false })
    return Effect.gen(function* () {
      yield* script(Fault.once(down))
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      assert.strictEqual(yield* reasonOf(get()), "SecretUnavailable")
      yield* assertRequests(1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the last credentials serve for 24 h, however many tokens they gave meanwhile", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      for (let hour = 1; hour < 24; hour++) {
        yield* TestClock.setTime(hour * 3_600_000)
        yield* get()
      }
      yield* TestClock.setTime(24 * 3_600_000 - 1)
      yield* refresh()
      yield* TestClock.setTime(24 * 3_600_000)
      assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
    }).pipe(Effect.provide(layer))
  })

  it.effect("a read that succeeds begins the 24 h anew", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      yield* TestClock.adjust("23 hours")
      yield* get()
      yield* TestClock.adjust("23 hours")
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* get()
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([0, 60])("the option makes it %i minutes", (minutes) => {
    const { backend, layer } = setUp({ lastKnownGood: Duration.minutes(minutes) })
    return Effect.gen(function* () {
      yield* get()
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* TestClock.adjust(Duration.millis(Math.max(0, minutes * 60_000 - 1)))
      if (minutes > 0) yield* refresh()
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
    }).pipe(Effect.provide(layer))
  })

  it.effect("invalid_client forgets them", () => {
    const { backend, layer } = setUp({ replayFailures: false })
    return Effect.gen(function* () {
      yield* get()
      yield* rotate
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
      assert.deepStrictEqual(yield* outcomes, ["ok", "invalid_client"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("the newer credentials serve, though a flight with older ones landed after theirs", () => {
    const { backend, layer } = setUp({ replayFailures: false })
    return Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const first = yield* get()
      yield* script(Fault.once(Fault.delay("3 seconds")))
      const slow = yield* Effect.forkChild(refresh(Scopes.make("itwin-platform extra")))
      yield* TestClock.adjust("1 second")
      yield* fake.regenerateSecret(first.clientId, { overlap: "1 minute" })
      yield* refresh()
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(slow)
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* refresh()).tokenType, "Bearer")
    }).pipe(Effect.provide(layer))
  })

  it.effect("the old token serves after hard, if no credentials do", () => {
    const { backend, layer } = setUp({ lastKnownGood: 0 })
    return Effect.gen(function* () {
      const old = yield* get()
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* TestClock.setTime(hard * 1000)
      assert.strictEqual(yield* get(), old)
    }).pipe(Effect.provide(layer))
  })
})

describe("a kill switch", () => {
  it.effect("is not undone by a flight that was under way when it was thrown", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* script(Fault.once(Fault.delay("3 seconds")))
      const slow = yield* Effect.forkChild(refresh(Scopes.make("itwin-platform extra")))
      yield* TestClock.adjust("1 second")
      backend.answer = () => Effect.fail(backendError("Disabled"))
      yield* Effect.flip(refresh())
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(slow)).tokenType, "Bearer")
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
      yield* assertRequests(1)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each(["Disabled", "AccessDenied", "NotFound", "InvalidSecret"] as const)(
    "%s holds for the outage after it",
    (reason) => {
      const { backend, layer, warnings } = setUp()
      return Effect.gen(function* () {
        yield* get()
        backend.answer = () => Effect.fail(backendError(reason))
        yield* Effect.flip(refresh())
        backend.answer = () => Effect.fail(backendError("Unavailable"))
        assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
        yield* assertRequests(1)
        assert.isFalse(warnings.some((text) => String(text).includes("The last credentials")))
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect.each(["Disabled", "AccessDenied", "NotFound", "InvalidSecret"] as const)(
    "%s: neither the last credentials nor, after hard, the old token serve",
    (reason) => {
      const { backend, layer } = setUp()
      return Effect.gen(function* () {
        const old = yield* get()
        backend.answer = () => Effect.fail(backendError(reason))
        yield* TestClock.setTime(soft * 1000)
        assert.strictEqual(yield* get(), old)
        yield* TestClock.setTime(hard * 1000)
        const error = yield* Effect.flip(get())
        assert.isTrue(error.reason._tag === "SecretUnavailable" && error.reason.error.reason._tag === reason)
        yield* assertRequests(1)
      }).pipe(Effect.provide(layer))
    }
  )
})
