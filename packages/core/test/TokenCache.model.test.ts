// Compares the cache with a simple model, in random schedules of callers, time, clock jumps, and responses of IMS and
// of the secret backend. A failure prints the seed and the shortest list of commands that was found. MODEL_RUNS sets
// the number of schedules.
import { assert, describe, it } from "@effect/vitest"
import { type AccessToken, Environment, type Scopes, SecretProvider, TokenCache, TokenStore } from "@effect-itwin/core"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Logger, Random } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { type Command, Commands, keys, makeWorld } from "./cacheModel.ts"

const runs = Number(process.env.MODEL_RUNS ?? 400)
const seen = { tokens: 0, failures: 0, interrupted: 0, requests: 0, reads: 0, failed: 0, jumps: 0, bridged: 0 }

/** `withStore`: the cache has a private store in memory, and otherwise the same options. */
const run = Effect.fnUntraced(function* (commands: ReadonlyArray<Command>, withStore: boolean) {
  // Far from the epoch, so that no time in the past is 0.
  yield* TestClock.setTime(1_000_000_000)
  const world = yield* makeWorld
  const store = withStore ? TokenStore.layerMemory : Layer.empty
  const cache = yield* TokenCache.make({ soft: { ofLife: 0.25, atMost: "15 minutes" } }).pipe(
    Effect.provide([
      store,
      Layer.succeed(HttpClient.HttpClient, world.client),
      Layer.succeed(SecretProvider.SecretProvider, world.provider),
      Environment.layer(Environment.production),
      Logger.layer([])
    ]),
    Effect.withTracer(world.tracer),
    Effect.provideService(Clock.Clock, world.clock)
  )
  const callers: Array<Fiber.Fiber<void>> = []
  const lastSeen = new Map<Scopes.Scopes, AccessToken.AccessToken>()

  const call = (key: Scopes.Scopes, refreshes: boolean) =>
    Effect.gen(function* () {
      const askedAt = world.monotonic()
      if (refreshes) world.wanted(key, true)
      const exit = yield* Effect.exit(refreshes ? cache.refresh(key) : cache.get(key))
      world.judged(() => {
        if (Exit.isSuccess(exit)) {
          seen.tokens++
          lastSeen.set(key, exit.value)
          world.judgeToken(key, askedAt, exit.value)
        } else {
          seen.failures++
          const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
          assert.isDefined(failure, "nothing but a TokenError")
          if (!refreshes) world.judgeFailure(key)
        }
      })
    }).pipe(Effect.asVoid, Effect.forkChild)

  const replace = (key: Scopes.Scopes, token: AccessToken.AccessToken) =>
    Effect.gen(function* () {
      world.wanted(key, false)
      const another = yield* cache.replace(token)
      world.judged(() => {
        if (another._tag === "None") return
        assert.notStrictEqual(another.value, token, "another token")
        world.judgeToken(key, world.monotonic(), another.value)
      })
    }).pipe(Effect.asVoid, Effect.forkChild)

  const step = (command: Command): Effect.Effect<unknown> => {
    switch (command._tag) {
      case "Get":
      case "Refresh":
        return Effect.flatMap(call(keys[command.key], command._tag === "Refresh"), (fiber) =>
          Effect.sync(() => callers.push(fiber))
        )
      case "Replace": {
        const token = lastSeen.get(keys[command.key])
        if (token === undefined) return Effect.void
        return Effect.flatMap(replace(keys[command.key], token), (fiber) => Effect.sync(() => callers.push(fiber)))
      }
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
      case "Backend":
        return Effect.sync(() => world.backend(command.backend))
      case "Rotate":
        return Effect.sync(() => world.rotate(command.where))
      case "Jump":
        return Effect.sync(() => world.jump(command.seconds))
    }
  }

  for (const command of commands) {
    yield* step(command)
    // Lets callers run until they wait, so that the order of commands is the order of events.
    for (let i = 0; i < 5; i++) yield* Effect.yieldNow
    if (world.violations.length > 0) return yield* Effect.die(world.violations[0])
  }
  yield* TestClock.adjust("30 seconds")
  for (const fiber of callers) assert.isDefined(fiber.pollUnsafe(), "a caller that waits for ever")
  if (world.violations.length > 0) return yield* Effect.die(world.violations[0])
  seen.requests += world.counts.requests
  seen.reads += world.counts.reads
  seen.failed += world.counts.failures
  seen.jumps += world.counts.jumps
  seen.bridged += world.counts.bridged
}, Effect.scoped)

describe("the model of the cache", () => {
  it.effect.prop(
    "returns valid tokens, shares requests, respects pauses and keeps usable tokens when schedules are random",
    [Commands],
    ([commands]) => run(commands, false).pipe(Random.withSeed("model")),
    { arbitrary: { runs, seed: Number(process.env.MODEL_SEED ?? 2026), size: 60 }, timeout: 600_000 }
  )

  it.effect.prop(
    "does the same with a private store",
    [Commands],
    ([commands]) => run(commands, true).pipe(Random.withSeed("model")),
    { arbitrary: { runs, seed: Number(process.env.MODEL_SEED ?? 2026), size: 60 }, timeout: 600_000 }
  )

  it("has met tokens, failures, interruptions, clock jumps and outages when all random schedules have run", () => {
    if (process.env.MODEL_RUNS !== undefined) console.log(seen)
    assert.isAbove(seen.tokens, 1000)
    assert.isAbove(seen.failures, 200)
    assert.isAbove(seen.interrupted, 20)
    assert.isAbove(seen.requests, 500)
    assert.isAbove(seen.failed, 200)
    assert.isAbove(seen.jumps, 200)
    assert.isAbove(seen.bridged, 20)
  })
})
