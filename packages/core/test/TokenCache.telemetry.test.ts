// The metrics of the cache by name and attribute, and its log lines by level.
import { assert, describe, it } from "@effect/vitest"
import { Scopes, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Fiber, Layer, Logger, type LogLevel, Metric, Redacted, References } from "effect"
import { TestClock } from "effect/testing"
import {
  backendError,
  cached,
  down,
  get,
  invalidClient,
  makeBackend,
  over,
  reasonOf,
  refresh,
  route,
  script,
  soft
} from "./cacheSupport.ts"

const at = (seconds: number) => TestClock.setTime(seconds * 1000)

describe("metrics", () => {
  /** The cache with its own registry of metrics. */
  const measured = (options?: TokenCache.Options) => {
    const registry = new Map()
    const layer = cached({ name: "m", ...options }).pipe(Layer.provide(Layer.succeed(Metric.MetricRegistry, registry)))
    const states = Effect.map(Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry), (all) =>
      all
        .filter(({ id }) => id.startsWith("itwin."))
        .map(({ id, attributes, state }) => ({ id, attributes: { ...attributes }, state }))
    )
    const one = (id: string, attributes: Record<string, string>) =>
      Effect.map(
        states,
        (all) =>
          all.find(
            (metric) =>
              metric.id === id && Object.entries(attributes).every(([key, value]) => metric.attributes[key] === value)
          )?.state
      )
    const count = (id: string, attributes: Record<string, string>) =>
      Effect.map(one(id, attributes), (state) => (state !== undefined && "count" in state ? Number(state.count) : 0))
    return { layer, states, one, count }
  }

  it.effect("counts calls by hit, stale and miss, and publishes hits with the next request", () => {
    const { count, layer } = measured()
    const counts = Effect.forEach(["hit", "stale", "miss"], (result) => count("itwin.auth.cache.requests", { result }))
    return Effect.gen(function* () {
      yield* get()
      assert.deepStrictEqual(yield* counts, [0, 0, 1])
      for (let i = 0; i < 6; i++) yield* get()
      const { peekUnsafe } = yield* TokenCache.TokenCache
      assert.isDefined(peekUnsafe())
      assert.deepStrictEqual(yield* counts, [0, 0, 1])
      yield* at(soft)
      assert.isUndefined(peekUnsafe())
      yield* get()
      assert.deepStrictEqual(yield* counts, [7, 1, 1])
      yield* at(soft + 3600)
      yield* get()
      assert.deepStrictEqual(yield* counts, [7, 1, 2])
    }).pipe(Effect.provide(layer))
  })

  it.effect("measures how long requests take, and counts failures by their reason", () => {
    const { count, layer, one } = measured()
    return Effect.gen(function* () {
      yield* script(Fault.once(Fault.delay("2 seconds")), Fault.once(Fault.hang), Fault.once(down))
      const fiber = yield* Effect.forkChild(get())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(fiber)
      const state = yield* one("itwin.auth.token.request.duration", {})
      assert.isTrue(state !== undefined && "sum" in state && state.sum === 2)
      const late = yield* Effect.forkChild(Effect.flip(refresh()))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(late)
      yield* TestClock.adjust("1.2 seconds")
      yield* Effect.flip(refresh())
      for (const reason of ["Timeout", "ServerError"]) {
        assert.strictEqual(yield* count("itwin.auth.refresh.failures", { "error.type": reason }), 1)
        assert.strictEqual(yield* count("itwin.auth.token.request.duration", { "error.type": reason }), 1)
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("measures the remaining life of the newest token", () => {
    const { layer, one } = measured()
    return Effect.gen(function* () {
      yield* get()
      assert.deepInclude(yield* one("itwin.auth.token.time_to_expiry", {}), { value: 3600 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("publishes the metrics of the guide, each with the cache's name and no other attributes", () => {
    const { layer, states } = measured()
    return Effect.gen(function* () {
      yield* get()
      yield* script(Fault.once(down))
      yield* Effect.flip(refresh())
      const all = yield* states
      assert.deepStrictEqual([...new Set(all.map(({ id }) => id))].sort(), [
        "itwin.auth.cache.requests",
        "itwin.auth.refresh.failures",
        "itwin.auth.token.request.duration",
        "itwin.auth.token.time_to_expiry"
      ])
      for (const { attributes } of all) {
        assert.strictEqual(attributes["itwin.auth.cache"], "m")
        for (const name of Object.keys(attributes)) {
          assert.include(["itwin.auth.cache", "result", "error.type", "unit"], name)
        }
      }
    }).pipe(Effect.provide(layer))
  })
})

describe("log", () => {
  const logged = (options?: TokenCache.Options) => {
    const lines: Array<readonly [LogLevel.LogLevel, string]> = []
    const logger = Logger.make(({ logLevel, message }) => {
      const text = String(message)
      if (/access token|client id/i.test(text)) lines.push([logLevel, text])
    })
    const logging = Layer.mergeAll(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All"))
    const layer = cached(options).pipe(Layer.provide(logging))
    return { lines, levels: () => lines.splice(0).map(([level]) => level), logging, layer }
  }

  it.effect("logs an obtained token at level debug", () => {
    const { layer, levels } = logged()
    return Effect.gen(function* () {
      yield* get()
      assert.deepStrictEqual(levels(), ["Debug"])
      yield* refresh()
      assert.deepStrictEqual(levels(), ["Debug"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("logs each failed renewal at level warning, and the recovery once at level info", () => {
    const { layer, levels } = logged()
    return Effect.gen(function* () {
      yield* get()
      yield* script(Fault.times(down, 2))
      levels()
      yield* at(soft)
      yield* get()
      assert.deepStrictEqual(levels(), ["Warn"])
      yield* at(soft + 30)
      yield* get()
      assert.deepStrictEqual(levels(), ["Warn"])
      yield* at(soft + 60)
      yield* get()
      assert.deepStrictEqual(levels(), ["Info"])
      yield* refresh()
      assert.deepStrictEqual(levels(), ["Debug"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("logs a failed renewal at level error from 2 min before expiry", () => {
    const { layer, levels } = logged()
    return Effect.gen(function* () {
      yield* get()
      yield* script(Fault.always(down))
      levels()
      yield* at(3479)
      yield* get()
      yield* at(3600 - 120 + 30)
      yield* get()
      assert.deepStrictEqual(levels(), ["Warn", "Error"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("logs a failed first request at level debug, because its caller gets the error", () => {
    const { layer, levels } = logged()
    return Effect.gen(function* () {
      yield* script(Fault.once(invalidClient))
      assert.strictEqual(yield* reasonOf(get()), "InvalidClient")
      yield* reasonOf(get(Scopes.make("other")))
      assert.deepStrictEqual(levels(), ["Debug"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("logs a failed warm-up at level warning, without the secret, even when a caller waits for it too", () => {
    const { lines, logging } = logged()
    return Effect.gen(function* () {
      const { credentials } = yield* SecretProvider.SecretProvider
      const secret = Redacted.value((yield* credentials).clientSecret)
      const body = { error: "invalid_client", error_description: `${secret} is wrong` }
      yield* script(Fault.once(Fault.respond({ status: 401, body })))
      const slowly = { credentials: Effect.delay(credentials, "1 second") }
      const cache = yield* TokenCache.make({ warmUp: true }).pipe(
        Effect.provideService(SecretProvider.SecretProvider, slowly)
      )
      const caller = yield* Effect.forkChild(Effect.flip(cache.get()))
      // Twice: after invalid_client the secret is read once more.
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(caller)).reason._tag, "InvalidClient")
      assert.deepStrictEqual(
        lines.map(([level]) => level),
        ["Warn"]
      )
      assert.notInclude(lines[0]?.[1], secret)
    }).pipe(Effect.scoped, Effect.provide([logging, FakeIms.layerTest()]))
  })

  it.effect("logs nothing when the end of the program interrupts a warm-up", () => {
    const { levels, logging } = logged()
    return Effect.gen(function* () {
      yield* script(Fault.once(Fault.hang))
      const fake = yield* FakeIms.FakeIms
      yield* Effect.scoped(Effect.andThen(TokenCache.make({ warmUp: true }), fake.awaitRequest(route)))
      assert.deepStrictEqual(levels(), [])
    }).pipe(Effect.provide([logging, FakeIms.layerTest()]))
  })

  it.effect("logs the cache and the client, and no token", () => {
    const texts: Array<string> = []
    const logger = Logger.map(Logger.formatJson, (text) => {
      texts.push(text)
    })
    return Effect.gen(function* () {
      const token = yield* get()
      const text = texts.find((text) => text.includes("Obtained an access token")) ?? ""
      assert.include(text, '"itwin.auth.cache":"named"')
      assert.include(text, token.clientId)
      assert.notInclude(texts.join(""), Redacted.value(token.value))
    }).pipe(
      Effect.provide(
        cached({ name: "named" }).pipe(
          Layer.provide([Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All")])
        )
      )
    )
  })

  it.effect("logs the name of the cache on every line", () => {
    const lines: Array<{ readonly message: string; readonly cache: unknown }> = []
    const logger = Logger.map(Logger.formatStructured, ({ annotations, message }) => {
      lines.push({ message: String(message), cache: annotations["itwin.auth.cache"] })
    })
    const backend = makeBackend()
    return Effect.gen(function* () {
      yield* get()
      yield* script(Fault.once(down))
      yield* reasonOf(refresh())
      yield* TestClock.adjust("2 seconds")
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* refresh()
      const two = yield* (yield* FakeIms.FakeIms).registerApp({ name: "Two", scopes: ["itwin-platform"] })
      backend.answer = () => Effect.succeed(two.credentials)
      yield* refresh()
      for (const told of [
        "Obtained an",
        "Obtained no",
        "Recovered",
        "credentials read last",
        "returned the client id"
      ]) {
        assert.isTrue(
          lines.some(({ message }) => message.includes(told)),
          told
        )
      }
      for (const { cache, message } of lines) assert.strictEqual(cache, "named", message)
    }).pipe(
      Effect.provide(
        over(backend, { name: "named" }).pipe(
          Layer.provide([Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All")])
        )
      )
    )
  })
})
