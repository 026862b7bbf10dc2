// Rule 8 in the cache: a token that an API refused serves nobody until another one has come, or has not.
import { assert, describe, it } from "@effect/vitest"
import { AccessToken, ClientCredentials, RetryPolicy, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Context, Effect, Exit, Fiber, Layer, Option, Redacted, Scope, Tracer } from "effect"
import {
  assertRequests,
  backendError,
  cached,
  down,
  get,
  makeBackend,
  over,
  pass,
  route,
  script
} from "./cacheSupport.ts"

const cache = TokenCache.TokenCache

/** A token older than 30 s, which an API then refuses; IMS is asked, and takes its time. */
const refusing = (answer: Fault.Fault, count = 2) =>
  Effect.gen(function* () {
    const { replace } = yield* cache
    const old = yield* get()
    yield* pass(31)
    yield* script(Fault.once(answer))
    const replacing = yield* Effect.forkChild(replace(old), { startImmediately: true })
    yield* (yield* FakeIms.FakeIms).awaitRequest(route, count)
    return { old, replacing }
  })

describe("a token that is being replaced", () => {
  it.effect("serves nobody: who asks gets the new one", () =>
    Effect.gen(function* () {
      const { peekUnsafe, status } = yield* cache
      const { old, replacing } = yield* refusing(Fault.delay("1 second"))
      assert.isUndefined(peekUnsafe())
      assert.deepInclude((yield* status)[0], { state: "stale" })
      const asking = yield* Effect.forkChild(get())
      yield* pass(1)
      const replaced = Option.getOrUndefined(yield* Fiber.join(replacing))
      assert.isDefined(replaced)
      assert.notStrictEqual(replaced, old)
      assert.strictEqual(yield* Fiber.join(asking), replaced)
      assert.strictEqual(peekUnsafe(), replaced)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("serves again when there is no new one, also those who asked meanwhile", () =>
    Effect.gen(function* () {
      const { old, replacing } = yield* refusing(Fault.hang)
      const asking = yield* Effect.forkChild(get())
      yield* pass(5)
      assert.isTrue(Option.isNone(yield* Fiber.join(replacing)))
      assert.strictEqual(yield* Fiber.join(asking), old)
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("serves again also when he who had it replaced is gone by then", () =>
    Effect.gen(function* () {
      const { old, replacing } = yield* refusing(Fault.hang)
      yield* Fiber.interrupt(replacing)
      yield* pass(5)
      assert.strictEqual(yield* get(), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("does not serve again when the new one can't be kept", () =>
    Effect.gen(function* () {
      const { replace } = yield* cache
      const old = yield* get()
      yield* pass(31)
      yield* script(Fault.once(Fault.fields({ expires_in: 0 })), Fault.always(down))
      assert.isTrue(Option.isSome(yield* replace(old)))
      assert.strictEqual((yield* Effect.flip(get())).reason._tag, "ServerError")
    }).pipe(Effect.provide(cached()))
  )

  it.effect("is not what he gets who holds one before it", () =>
    Effect.gen(function* () {
      const { refresh, replace } = yield* cache
      const first = yield* get()
      yield* refresh()
      const { replacing } = yield* refusing(Fault.delay("1 second"), 3)
      const late = yield* Effect.forkChild(replace(first))
      yield* pass(1)
      const newest = yield* Fiber.join(replacing)
      assert.deepStrictEqual(yield* Fiber.join(late), newest)
      assert.isTrue(Option.isSome(newest))
    }).pipe(Effect.provide(cached()))
  )

  it.effect("does not serve again when it was invalidated meanwhile, by one who held a copy", () =>
    Effect.gen(function* () {
      const { invalidate } = yield* cache
      const { old, replacing } = yield* refusing(Fault.hang)
      yield* invalidate(new AccessToken.AccessToken({ ...old, value: Redacted.make(Redacted.value(old.value)) }))
      yield* pass(5)
      yield* Fiber.join(replacing)
      assert.notStrictEqual(yield* get(), old)
      yield* assertRequests(3)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("does not serve again when the secret provider gives another client id meanwhile", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const { replace } = yield* cache
      const old = yield* get()
      yield* pass(31)
      backend.answer = Effect.map(
        (current) => new ClientCredentials.ClientCredentials({ ...current, clientId: "service-another" })
      )
      assert.isTrue(Option.isNone(yield* replace(old)))
      assert.strictEqual((yield* Effect.flip(get())).reason._tag, "InvalidClient")
    }).pipe(Effect.provide(over(backend)))
  })

  it.effect("serves again also those who asked meanwhile when the failure is one that lasts", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const { replace } = yield* cache
      const old = yield* get()
      yield* pass(31)
      backend.answer = () => Effect.delay(Effect.fail(backendError("AccessDenied")), "1 second")
      const replacing = yield* Effect.forkChild(replace(old), { startImmediately: true })
      const asking = yield* Effect.forkChild(get(), { startImmediately: true })
      yield* pass(1)
      assert.isTrue(Option.isNone(yield* Fiber.join(replacing)))
      assert.strictEqual(yield* Fiber.join(asking), old)
    }).pipe(Effect.provide(over(backend)))
  })

  it.effect("serves again when the flight breaks with the program's tracer", () => {
    let isBroken = false
    const tracer = Tracer.make({
      span: (options) => {
        if (isBroken) throw new Error("exporter broke")
        return new Tracer.NativeSpan(options)
      }
    })
    return Effect.gen(function* () {
      const service = yield* TokenCache.make().pipe(Effect.withTracer(tracer))
      const old = yield* service.get()
      yield* pass(31)
      isBroken = true
      assert.isTrue(Option.isNone(yield* service.replace(old)))
      assert.strictEqual(service.peekUnsafe(), old)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  })

  it.effect("is gone when the cache is closed amid it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const layer = TokenCache.layerWith({}).pipe(Layer.provide(RetryPolicy.layer(RetryPolicy.none)))
      const service = Context.get(yield* Layer.buildWithScope(layer, scope), cache)
      const { replacing } = yield* Effect.provideService(refusing(Fault.delay("1 second")), cache, service)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Option.isNone(yield* Fiber.join(replacing)))
      assert.strictEqual((yield* Effect.flip(service.get())).reason._tag, "Closed")
      assert.isUndefined(service.peekUnsafe())
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})
