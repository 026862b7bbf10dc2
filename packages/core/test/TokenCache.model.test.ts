// The cache against a simple model: random interleavings of callers, time, answers of IMS and changes of the secret, and
// what must hold whatever happens. A failure prints the seed and the shortest list of commands found.
import { assert, describe, it } from "@effect/vitest"
import { type AccessToken, RetryPolicy, type Scopes, SecretProvider, TokenCache } from "@effect-itwin/core"
import { Duration, Effect, Exit, Fiber, Layer, Random } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { type Command, Commands, keys, makeWorld } from "./cacheModel.ts"

const seen = { tokens: 0, failures: 0, interrupted: 0, requests: 0 }

const run = Effect.fnUntraced(function* (commands: ReadonlyArray<Command>) {
  // Far from the epoch, so that no moment of the past is 0.
  yield* TestClock.setTime(1_000_000_000)
  const world = yield* makeWorld
  const cache = yield* TokenCache.make().pipe(
    Effect.provide([
      Layer.succeed(HttpClient.HttpClient, world.client),
      Layer.succeed(SecretProvider.SecretProvider, world.provider),
      RetryPolicy.layer(RetryPolicy.none)
    ])
  )
  const callers: Array<Fiber.Fiber<void>> = []
  const lastSeen = new Map<Scopes.Scopes, AccessToken.AccessToken>()

  const call = (key: Scopes.Scopes, refreshes: boolean) =>
    Effect.gen(function* () {
      const askedAt = world.now()
      if (refreshes) world.refreshing(key)
      const exit = yield* Effect.exit(refreshes ? cache.refresh(key) : cache.get(key))
      yield* Effect.sync(() => {
        if (Exit.isSuccess(exit)) {
          seen.tokens++
          lastSeen.set(key, exit.value)
          world.judgeToken(key, askedAt, exit.value)
        } else {
          seen.failures++
          const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
          assert.isDefined(failure, "nothing but a TokenError")
          if (failure !== undefined && !refreshes) world.judgeFailure(key, failure.error)
        }
      }).pipe(Effect.catchDefect((violation) => Effect.sync(() => world.violations.push(violation))))
    }).pipe(Effect.asVoid, Effect.forkChild)

  const step = (command: Command): Effect.Effect<unknown> => {
    switch (command._tag) {
      case "Get":
      case "Refresh":
        return Effect.flatMap(call(keys[command.key], command._tag === "Refresh"), (fiber) =>
          Effect.sync(() => callers.push(fiber))
        )
      case "Pass":
        return TestClock.adjust(Duration.seconds(command.seconds))
      case "Invalidate": {
        const token = lastSeen.get(keys[command.key])
        if (token === undefined) return Effect.void
        return Effect.andThen(
          cache.invalidate(token),
          Effect.sync(() => world.invalidated(token))
        )
      }
      case "Interrupt": {
        const waiting = callers.filter((fiber) => fiber.pollUnsafe() === undefined)
        const fiber = waiting[command.which % Math.max(1, waiting.length)]
        if (fiber === undefined) return Effect.void
        seen.interrupted++
        return Fiber.interrupt(fiber)
      }
      case "Answer":
        return Effect.sync(() => world.answer(command.answer))
      case "Rotate":
        return Effect.sync(() => world.rotate(command.where))
    }
  }

  for (const command of commands) {
    yield* step(command)
    // Lets callers come to where they wait, so that the order of commands is the order of events.
    for (let i = 0; i < 3; i++) yield* Effect.yieldNow
    if (world.violations.length > 0) return yield* Effect.die(world.violations[0])
  }
  yield* TestClock.adjust("20 seconds")
  for (const fiber of callers) assert.isDefined(fiber.pollUnsafe(), "a caller that waits for ever")
  if (world.violations.length > 0) return yield* Effect.die(world.violations[0])
  seen.requests += world.requests()
}, Effect.scoped)

describe("the cache, whatever happens", () => {
  it.effect.prop(
    "hands out no expired and no foreign token, makes no second flight, and fails nobody for whom there is a token",
    [Commands],
    ([commands]) => run(commands).pipe(Random.withSeed("model")),
    { arbitrary: { runs: 400, seed: 2026, size: 60 }, timeout: 20_000 }
  )

  it("and the runs have seen what they are about", () => {
    assert.isAbove(seen.tokens, 1000)
    assert.isAbove(seen.failures, 200)
    assert.isAbove(seen.interrupted, 20)
    assert.isAbove(seen.requests, 500)
  })
})
