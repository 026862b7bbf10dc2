import { assert, describe, it } from "@effect/vitest"
import { ITwin, RetryPolicy, TokenCache, Users } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Cause, Context, Effect, Exit, Fiber, Layer, Logger, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { faults } from "./faults.ts"

const App = TokenCache.layer.pipe(
  Layer.provide(RetryPolicy.layer(RetryPolicy.none)),
  Layer.provideMerge(FakeIms.layerTest())
)

const outcome = Effect.flatMap(TokenCache.TokenCache, (cache) => cache.refresh()).pipe(
  Effect.match({ onSuccess: () => "ok", onFailure: ({ reason }) => reason._tag })
)

describe("faults in process", () => {
  faults(it.effect, FakeIms.layerTest(), (effect) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust("1 second")
      return yield* Fiber.join(fiber)
    })
  )

  it.effect("applies a forDuration step until its time has passed on the clock", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", Fault.forDuration(Fault.html(503, "Down"), "10 minutes"))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* outcome, "ServerError")
      yield* TestClock.adjust("599 seconds")
      assert.strictEqual(yield* outcome, "ServerError")
      // The second failure is followed by a pause of 2 s, and a fifth at most.
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* outcome, "ok")
    }).pipe(Effect.provide(App))
  )

  it.effect("rejects valid credentials once during maintenance, then returns a page, then behaves normally", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", ...FakeIms.maintenance("4 minutes"))
      assert.strictEqual(yield* outcome, "InvalidClient")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* outcome, "ServerError")
      yield* TestClock.adjust("4 minutes")
      assert.strictEqual(yield* outcome, "ok")
    }).pipe(Effect.provide(App))
  )

  it.effect("delays the response until TestClock has advanced far enough", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", Fault.once(Fault.delay("4 seconds")))
      const fiber = yield* Effect.forkChild(outcome)
      yield* fake.awaitRequest("POST /connect/token")
      yield* TestClock.adjust("3999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
    }).pipe(Effect.provide(App))
  )

  it.effect.each<readonly [string, Fault.Fault, string]>([
    ["InvalidResponse for half of a body", Fault.truncate, "InvalidResponse"],
    ["Transport for bytes that are not HTTP", Fault.garbage, "Transport"],
    ["Transport for a connection that is reset", Fault.reset, "Transport"],
    ["the token from a body that arrives one byte at a time", Fault.dribble("1 millis"), "ok"],
    ["Timeout for a body whose bytes arrive too slowly", Fault.dribble("100 millis"), "Timeout"]
  ])("returns %s", ([_name, fault, expected]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", Fault.once(fault))
      const fiber = yield* Effect.forkChild(outcome)
      yield* fake.awaitRequest("POST /connect/token")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), expected)
    }).pipe(Effect.provide(App))
  )

  it.effect("applies random faults in the same order in each run", () =>
    Effect.gen(function* () {
      const outcomes = Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        const chaos = Fault.chaos("seed", [1, "none"], [1, Fault.reset], [1, Fault.html(503, "Down")])
        yield* fake.script("GET /users/me", Fault.always(chaos))
        return yield* Effect.forEach(Array.from({ length: 30 }), () =>
          Effect.match(Users.me, { onSuccess: () => "ok", onFailure: (error) => error._tag })
        )
      }).pipe(Effect.provide(Layer.fresh(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest())))))
      const first = yield* outcomes
      assert.deepStrictEqual(yield* outcomes, first)
      assert.sameMembers([...new Set(first)], ["ok", "HttpClientError", "ITwinApiError"])
    })
  )

  it.effect("logs a warning about unused steps when the fake is closed, and dies if it is strict", () => {
    const warnings: Array<unknown> = []
    const logger = Logger.make((options) => {
      warnings.push(options.message)
    })
    return Effect.gen(function* () {
      for (const strict of [false, true]) {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(FakeIms.layerTest({ strict }), scope)
        yield* Context.get(context, FakeIms.FakeIms).script("GET /users/me", Fault.once(Fault.hang))
        const exit = yield* Effect.exit(Scope.close(scope, Exit.void))
        assert.strictEqual(Exit.isFailure(exit), strict)
        if (Exit.isFailure(exit)) assert.include(Cause.pretty(exit.cause), "never used")
      }
      assert.include(String(warnings[0]), "GET /users/me")
      assert.strictEqual(warnings.length, 1)
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("decodes a script from the JSON that it was encoded to", () =>
    Effect.gen(function* () {
      const steps = [
        Fault.after(Fault.times(Fault.delay("3 seconds"), 2), 1),
        Fault.forDuration(Fault.html(503, "Down"), "1 minute"),
        Fault.once(Fault.fields({ expires_in: "x", scope: null })),
        Fault.always(Fault.stall)
      ]
      const codec = Schema.toCodecJson(Schema.Array(Fault.Step))
      const encoded = yield* Schema.encodeEffect(codec)(steps)
      const decoded = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(JSON.stringify(encoded)))
      assert.deepStrictEqual(decoded, steps)
    })
  )
})
