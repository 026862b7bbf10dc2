// A fleet that starts all at once.

import { assert, it } from "@effect/vitest"
import { TokenStore } from "@effect-itwin/core"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { makeWorld, replica, textOf } from "./storeSupport.ts"

it.effect("makes one request when 1,000 caches start at once", () =>
  Effect.gen(function* () {
    const world = makeWorld()
    world.answer = (token) => Effect.delay(Effect.sync(token), "300 millis")
    const store = yield* TokenStore.makeMemory
    const caches = yield* Effect.replicateEffect(replica(world, store), 1000)
    const fibers = yield* Effect.forEach(caches, (cache) => Effect.forkChild(cache.get(), { startImmediately: true }))
    for (let i = 0; i < 15; i++) yield* TestClock.adjust("100 millis")
    const tokens = yield* Effect.forEach(fibers, Fiber.join)
    assert.deepEqual([...new Set(tokens.map(textOf))], ["token-1"])
    assert.strictEqual(world.requests, 1)
  })
)
