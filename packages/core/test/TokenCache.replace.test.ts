// `replace` is a `refresh` that is limited by the token's age and by pauses, and that does not drop the old token.
import { assert, describe, it } from "@effect/vitest"
import { AccessToken, ClientCredentials, RetryPolicy, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Context, Effect, Exit, Fiber, Layer, Option, Redacted, Scope, Tracer } from "effect"
import {
  a,
  twoScopesApp as app,
  assertRequests,
  b,
  backendError,
  cached,
  down,
  during,
  get,
  makeBackend,
  over,
  pass,
  refresh,
  route,
  script,
  soft
} from "./cacheSupport.ts"

const cache = TokenCache.TokenCache
const replace = (token: AccessToken.AccessToken) => Effect.flatMap(cache, (cache) => cache.replace(token))
const copyOf = (token: AccessToken.AccessToken) =>
  new AccessToken.AccessToken({ ...token, value: Redacted.make(Redacted.value(token.value)) })

/** A token older than 30 s, while its replacement is requested from an IMS with this fault. */
const replacing = (fault: Fault.Fault, count = 2) =>
  Effect.gen(function* () {
    const old = yield* get()
    yield* pass(31)
    yield* script(Fault.once(fault))
    const fiber = yield* Effect.forkChild(replace(old), { startImmediately: true })
    yield* (yield* FakeIms.FakeIms).awaitRequest(route, count)
    return { old, fiber }
  })

describe("replace", () => {
  it.effect("replace returns a new token, again and again, when each token is 30 s old", () =>
    Effect.gen(function* () {
      let token = yield* get()
      for (let i = 1; i <= 3; i++) {
        yield* pass(30)
        const replaced = Option.getOrThrow(yield* replace(token))
        assert.notStrictEqual(replaced, token)
        assert.strictEqual(yield* get(), replaced)
        token = replaced
        yield* assertRequests(1 + i)
      }
    }).pipe(Effect.provide(cached()))
  )

  it.effect("replace returns none, without a request, when the token is younger than 30 s", () =>
    Effect.gen(function* () {
      const token = yield* get()
      for (const age of [0, 10, 19.999]) {
        yield* pass(age)
        assert.isTrue(Option.isNone(yield* replace(token)))
      }
      yield* assertRequests(1)
      yield* pass(0.001)
      assert.isTrue(Option.isSome(yield* replace(token)))
    }).pipe(Effect.provide(cached()))
  )

  it.effect("replace makes one request when a hundred callers call it", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* pass(31)
      yield* script(Fault.once(Fault.delay("1 second")))
      const all = Effect.all(
        Array.from({ length: 100 }, () => replace(old)),
        { concurrency: "unbounded" }
      )
      const tokens = (yield* during(1, all)).map(Option.getOrThrow)
      assert.strictEqual(new Set(tokens).size, 1)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("replace returns the token of the renewal in progress", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* pass(soft)
      yield* script(Fault.once(Fault.delay("1 second")))
      yield* get()
      const replaced = yield* during(1, replace(old))
      assert.strictEqual(Option.getOrThrow(replaced), yield* get())
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect(
    "replace returns the newer token in memory, without a request, even when it is young or a pause holds",
    () =>
      Effect.gen(function* () {
        const old = yield* get()
        const newer = yield* refresh()
        assert.strictEqual(Option.getOrThrow(yield* replace(old)), newer)
        yield* script(Fault.once(Fault.rateLimit(60)))
        yield* Effect.flip(refresh())
        assert.strictEqual(Option.getOrThrow(yield* replace(old)), newer)
        yield* assertRequests(3)
      }).pipe(Effect.provide(cached()))
  )

  it.effect("replace returns none, and keeps the token, during a pause after the failure of its key", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* pass(31)
      yield* script(Fault.always(down))
      for (let i = 1; i <= 3; i++) {
        for (let j = 0; j < 5; j++) assert.isTrue(Option.isNone(yield* replace(old)))
        yield* assertRequests(1 + i)
        assert.strictEqual(yield* get(), old)
        yield* pass(5)
      }
    }).pipe(Effect.provide(cached()))
  )

  it.effect("replace returns none, without a request, during a pause after the failure of another key", () =>
    Effect.gen(function* () {
      const old = yield* get(a)
      yield* pass(31)
      yield* script(Fault.once(Fault.rateLimit(3)))
      yield* Effect.flip(get(b))
      // It does not wait for a short stated wait either.
      assert.isTrue(Option.isNone(yield* replace(old)))
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect("replace returns none, and keeps the token, when the secret can't be read", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const old = yield* get()
      yield* pass(31)
      backend.answer = () => Effect.delay(Effect.fail(backendError("AccessDenied")), "1 second")
      const fiber = yield* Effect.forkChild(replace(old), { startImmediately: true })
      assert.strictEqual(yield* get(), old)
      yield* pass(1)
      assert.isTrue(Option.isNone(yield* Fiber.join(fiber)))
      assert.strictEqual(yield* get(), old)
    }).pipe(Effect.provide(over(backend)))
  })

  it.effect("replace returns none when IMS returns the same token again", () => {
    const value = "fake.token.always.the.same"
    return Effect.gen(function* () {
      const old = yield* get()
      yield* pass(31)
      assert.isTrue(Option.isNone(yield* replace(old)))
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached({}, { app: { name: "Same", response: { set: { access_token: value } } } })))
  })

  it.effect("replace returns a token that can't be kept, and keeps the old one", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* pass(31)
      yield* script(Fault.once(Fault.fields({ expires_in: 0 })))
      assert.notStrictEqual(Option.getOrThrow(yield* replace(old)), old)
      assert.strictEqual(yield* get(), old)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("replace returns a new token when the old one is not in memory any more", () =>
    Effect.gen(function* () {
      const old = yield* get()
      yield* pass(31)
      yield* (yield* cache).invalidate(old)
      const replaced = Option.getOrThrow(yield* replace(old))
      assert.strictEqual(yield* get(), replaced)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("replace returns none, and keeps the token, when the program's tracer throws", () => {
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
})

describe("a token that is being replaced", () => {
  it.effect("returns the old token until the new one has arrived when it is being replaced", () =>
    Effect.gen(function* () {
      const { peekUnsafe, status } = yield* cache
      const { fiber, old } = yield* replacing(Fault.delay("1 second"))
      assert.strictEqual(peekUnsafe(), old)
      assert.strictEqual(yield* get(), old)
      assert.deepInclude((yield* status)[0], { state: "fresh" })
      yield* pass(1)
      const replaced = Option.getOrThrow(yield* Fiber.join(fiber))
      assert.strictEqual(yield* get(), replaced)
      assert.strictEqual(peekUnsafe(), replaced)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect(
    "keeps returning the old token when its replacement fails, also when the caller of replace was interrupted",
    () =>
      Effect.gen(function* () {
        const { fiber, old } = yield* replacing(Fault.hang)
        yield* Fiber.interrupt(fiber)
        yield* pass(5)
        assert.strictEqual(yield* get(), old)
        yield* assertRequests(2)
      }).pipe(Effect.provide(cached()))
  )

  it.effect("does not return a token when a caller with a copy invalidates it during its replacement", () =>
    Effect.gen(function* () {
      const { invalidate } = yield* cache
      const { fiber, old } = yield* replacing(Fault.delay("1 second"))
      yield* invalidate(copyOf(old))
      const waiting = yield* Effect.forkChild(get())
      yield* pass(1)
      assert.strictEqual(yield* Fiber.join(waiting), Option.getOrThrow(yield* Fiber.join(fiber)))
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("drops the token when the secret provider returns another client id during its replacement", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const old = yield* get()
      yield* pass(31)
      backend.answer = Effect.map(
        (current) => new ClientCredentials.ClientCredentials({ ...current, clientId: "service-another" })
      )
      assert.isTrue(Option.isNone(yield* replace(old)))
      assert.strictEqual((yield* Effect.flip(get())).reason._tag, "InvalidClient")
    }).pipe(Effect.provide(over(backend)))
  })

  it.effect("forgets the token, and replace returns none, when the layer is closed during its replacement", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const layer = TokenCache.layerWith({}).pipe(Layer.provide(RetryPolicy.layer(RetryPolicy.none)))
      const service = Context.get(yield* Layer.buildWithScope(layer, scope), cache)
      const { fiber } = yield* Effect.provideService(replacing(Fault.delay("1 second")), cache, service)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Option.isNone(yield* Fiber.join(fiber)))
      assert.strictEqual((yield* Effect.flip(service.get())).reason._tag, "Closed")
      assert.isUndefined(service.peekUnsafe())
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("gives the holder of an older token the newest one", () =>
    Effect.gen(function* () {
      const first = yield* get()
      yield* refresh()
      const { fiber, old } = yield* replacing(Fault.delay("1 second"), 3)
      assert.strictEqual(Option.getOrThrow(yield* replace(first)), old)
      yield* pass(1)
      const newest = yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* replace(first), newest)
    }).pipe(Effect.provide(cached()))
  )
})
