// Rule 7: the secret is read once in each flight; what rotation and another client id do.
import { assert, describe, it } from "@effect/vitest"
import { type ClientCredentials, Scopes, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  assertRequests,
  type Backend,
  backendError,
  down,
  get,
  outcomes,
  reasonOf,
  refresh,
  rotate,
  route,
  script,
  setUp,
  soft
} from "./cacheSupport.ts"

/** The backend answers with what it answered so far, whatever IMS knows. */
const freeze = (backend: Backend) =>
  Effect.gen(function* () {
    let held: ClientCredentials.ClientCredentials | undefined
    backend.answer = (current) =>
      held === undefined
        ? Effect.tap(current, (credentials) =>
            Effect.sync(() => {
              held = credentials
            })
          )
        : Effect.succeed(held)
    yield* refresh()
  })

describe("reading the secret", () => {
  it.effect("happens once in each flight, and not for tokens in memory", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      for (let i = 0; i < 10; i++) yield* get()
      assert.strictEqual(backend.reads, 1)
      yield* refresh()
      assert.strictEqual(backend.reads, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a secret rotated between two requests is picked up by itself", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      yield* rotate
      yield* refresh()
      assert.deepStrictEqual(yield* outcomes, ["ok", "ok"])
      assert.strictEqual(backend.reads, 2)
    }).pipe(Effect.provide(layer))
  })
})

describe("after invalid_client", () => {
  it.effect("a secret rotated during the request is read again and used: one more request, and no failure", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* get()
      yield* fake.script(route, Fault.once(Fault.delay("2 seconds")))
      const fiber = yield* Effect.forkChild(refresh())
      yield* TestClock.adjust("1 second")
      yield* rotate
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).tokenType, "Bearer")
      assert.deepStrictEqual(
        (yield* fake.tokenRequests).map(({ status }) => status),
        [200, 401, 200]
      )
      assert.strictEqual(backend.reads, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the same secret is not tried again", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* freeze(backend)
      yield* rotate
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      assert.deepStrictEqual(yield* outcomes, ["ok", "invalid_client"])
      assert.strictEqual(backend.reads, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("there is one more request and no third, even if each read gives another secret", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      const stale = [yield* Effect.map(get(), () => undefined), yield* rotate, yield* rotate, yield* rotate]
      yield* rotate
      backend.answer = () => Effect.succeed(stale[backend.reads - 1] ?? assert.fail("read too often"))
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      assert.deepStrictEqual(yield* outcomes, ["ok", "invalid_client", "invalid_client"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a backend that fails the second read leaves the failure as it was", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* freeze(backend)
      const frozen = backend.answer
      yield* rotate
      backend.answer = (current) =>
        backend.reads % 2 === 0 ? frozen(current) : Effect.fail(backendError("Unavailable"))
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      assert.deepStrictEqual(yield* outcomes, ["ok", "invalid_client"])
    }).pipe(Effect.provide(layer))
  })
})

describe("another client id", () => {
  const appTwo = Effect.flatMap(FakeIms.FakeIms, (fake) =>
    fake.registerApp({ name: "Two", scopes: ["itwin-platform"] })
  )

  it.effect("drops all tokens of the old client, with a warning", () => {
    const { backend, layer, warnings } = setUp()
    return Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const old = yield* get()
      const two = yield* appTwo
      backend.answer = () => Effect.succeed(two.credentials)
      yield* script(Fault.once(down))
      // Even though the new client gets no token yet.
      assert.strictEqual(yield* reasonOf(refresh()), "ServerError")
      assert.isUndefined(cache.peekUnsafe())
      assert.isTrue(warnings.some((text) => text.includes(`${two.credentials.clientId} after ${old.clientId}`)))
      assert.strictEqual((yield* get()).clientId, two.credentials.clientId)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a token of the old client that was on its way is not kept", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const two = yield* appTwo
      yield* script(Fault.once(Fault.delay("3 seconds")))
      const slow = yield* Effect.forkChild(cache.get())
      yield* TestClock.adjust("1 second")
      backend.answer = () => Effect.succeed(two.credentials)
      yield* Effect.exit(cache.get(Scopes.make("other")))
      yield* TestClock.adjust("2 seconds")
      assert.notStrictEqual((yield* Fiber.join(slow)).clientId, two.credentials.clientId)
      assert.isUndefined(cache.peekUnsafe())
      assert.strictEqual((yield* cache.get()).clientId, two.credentials.clientId)
    }).pipe(Effect.provide(layer))
  })

  it.effect("an inline renewal that fails does not bring the old client's token back", () => {
    const { backend, layer } = setUp({ refresh: "inline" })
    return Effect.gen(function* () {
      yield* get()
      const two = yield* appTwo
      backend.answer = () => Effect.succeed(two.credentials)
      yield* script(Fault.once(down))
      yield* TestClock.setTime(soft * 1000)
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
    }).pipe(Effect.provide(layer))
  })

  it.effect("the old client's credentials do not serve when the backend goes down afterwards", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      const two = yield* appTwo
      backend.answer = () => Effect.succeed(two.credentials)
      yield* script(Fault.once(down))
      yield* Effect.flip(refresh())
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      assert.strictEqual(yield* reasonOf(get()), "SecretUnavailable")
      yield* assertRequests(2)
    }).pipe(Effect.provide(layer))
  })
})
