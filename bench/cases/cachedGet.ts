// Measures a cached `get` inside a fiber, next to the same loop over `Effect.sync(() => token)`. Prints nanoseconds per
// turn.
import { TokenCache } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Layer } from "effect"
import { print } from "./print.ts"

const turns = 1_000_000

const loop = <A, E, R>(effect: () => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const started = performance.now()
    for (let i = 0; i < turns; i++) yield* effect()
    return ((performance.now() - started) * 1e6) / turns
  })

const program = Effect.gen(function* () {
  const cache = yield* TokenCache.TokenCache
  const token = yield* cache.get()
  const ours: Array<number> = []
  const yardstick: Array<number> = []
  // Interleaved; the first round warms up.
  for (let round = 0; round < 8; round++) {
    const a = yield* loop(() => Effect.sync(() => token))
    const b = yield* loop(() => cache.get())
    if (round > 0) {
      yardstick.push(a)
      ours.push(b)
    }
  }
  print({ ours, yardstick })
})

await Effect.runPromise(
  program.pipe(Effect.provide(TokenCache.layer.pipe(Layer.provide(FakeIms.layerTest()))), Effect.orDie)
)
