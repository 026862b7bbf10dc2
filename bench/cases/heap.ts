// Measures what stays on the heap, in KiB: after a million cached gets, and after 100,000 different scope sets.
import { Scopes, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { print } from "./print.ts"

const used = Effect.sync(() => {
  for (let i = 0; i < 4; i++) globalThis.gc?.()
  return process.memoryUsage().heapUsed / 1024
})

// A client without a journal, which would grow in addition to the cache.
const Answering = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) =>
    Effect.sync(() =>
      HttpClientResponse.fromWeb(
        request,
        Response.json({ access_token: "x".repeat(1200), token_type: "Bearer", expires_in: 3600 })
      )
    )
  )
)

const App = TokenCache.layer.pipe(
  Layer.provide(Answering),
  Layer.provideMerge(
    Layer.effect(SecretProvider.SecretProvider, Effect.provide(SecretProvider.SecretProvider, FakeIms.layerTest()))
  )
)

const program = Effect.gen(function* () {
  const cache = yield* TokenCache.TokenCache
  const gets = (n: number) =>
    Effect.gen(function* () {
      for (let i = 0; i < n; i++) yield* cache.get()
    })
  yield* gets(100_000)
  const before = yield* used
  yield* gets(1_000_000)
  const after = yield* used
  const sets = (from: number, to: number) =>
    Effect.gen(function* () {
      for (let i = from; i < to; i++) yield* cache.get(Scopes.make(`scope-${i}`))
    })
  yield* sets(0, 5_000)
  const full = yield* used
  yield* sets(5_000, 100_000)
  print({ gets: [after - before], "scope sets": [(yield* used) - full] })
})

await Effect.runPromise(program.pipe(Effect.provide(App), Effect.orDie))
