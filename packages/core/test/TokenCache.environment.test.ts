// Tokens come from the environment that is provided, otherwise from the one that `Environment.config` reads.
import { assert, describe, it } from "@effect/vitest"
import { Environment, ITwin, ITwinHttpClient, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Config, ConfigProvider, Effect, Layer } from "effect"
import { get } from "./cacheSupport.ts"
import { credentials, scripted, tokenAnswer } from "./support.ts"

const variables = (record: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnvRecord(record))

const qa = { ITWIN_ENVIRONMENT: "qa" }
const custom = { ITWIN_TOKEN_ENDPOINT: "http://localhost:1/token", ITWIN_API_URL: "http://localhost:2/api" }

const layers = {
  "TokenCache.layer": TokenCache.layer,
  "TokenCache.layerWith": TokenCache.layerWith({ name: "x" }),
  "ITwin.layer": ITwin.layer,
  "ITwin.layerWith": ITwin.layerWith({ name: "x" })
} as const
const names = ["TokenCache.layer", "TokenCache.layerWith", "ITwin.layer", "ITwin.layerWith"] as const

/** The client of the layer, and the URLs to which it sends requests. */
const over = () => {
  const ims = scripted(tokenAnswer())
  return {
    dependencies: Layer.mergeAll(ims.layer, SecretProvider.layerStatic(credentials)),
    urls: () => ims.requests.map((request) => request.url)
  }
}

const environment = Effect.map(TokenCache.TokenCache, (cache) => cache.environment)

describe("the environment of a layer", () => {
  it.effect.each(names)("uses production when no variable is set: %s", (name) => {
    const { dependencies, urls } = over()
    return Effect.gen(function* () {
      yield* get()
      assert.deepStrictEqual(urls(), [Environment.production.tokenEndpoint])
    }).pipe(Effect.provide(layers[name].pipe(Layer.provide([dependencies, variables({})]))))
  })

  it.effect.each(names)("uses the environment that ITWIN_ENVIRONMENT names: %s", (name) => {
    const { dependencies, urls } = over()
    return Effect.gen(function* () {
      yield* get()
      assert.deepStrictEqual(urls(), [Environment.qa.tokenEndpoint])
      assert.deepStrictEqual(yield* environment, Environment.qa)
    }).pipe(Effect.provide(layers[name].pipe(Layer.provide([dependencies, variables(qa)]))))
  })

  it.effect.each(names)("uses ITWIN_TOKEN_ENDPOINT and ITWIN_API_URL when both are set: %s", (name) => {
    const { dependencies, urls } = over()
    return Effect.gen(function* () {
      yield* get()
      assert.deepStrictEqual(urls(), ["http://localhost:1/token"])
      assert.strictEqual((yield* environment).apiBaseUrl, "http://localhost:2/api")
    }).pipe(Effect.provide(layers[name].pipe(Layer.provide([dependencies, variables(custom)]))))
  })

  it.effect("uses the same environment for token requests and API calls", () => {
    const { dependencies, urls } = over()
    return Effect.gen(function* () {
      const client = yield* ITwinHttpClient.ITwinHttpClient
      yield* client.get("/users/me")
      assert.deepStrictEqual(urls(), ["http://localhost:1/token", "http://localhost:2/api/users/me"])
    }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provide([dependencies, variables(custom)]))))
  })

  it.effect.each(names)("uses the environment that is provided, whatever the variables say: %s", (name) => {
    const { dependencies, urls } = over()
    return Effect.gen(function* () {
      yield* get()
      assert.deepStrictEqual(urls(), [Environment.production.tokenEndpoint])
    }).pipe(
      Effect.provide(
        layers[name].pipe(Layer.provide([dependencies, variables(qa), Environment.layer(Environment.production)]))
      )
    )
  })

  it.effect.each([
    [{ ITWIN_ENVIRONMENT: "staging" }, "ITWIN_ENVIRONMENT"],
    [{ ITWIN_TOKEN_ENDPOINT: "https://a.example/t" }, "together"],
    [{ ...qa, ...custom }, "not both"],
    [{ ITWIN_TOKEN_ENDPOINT: "http://a.example/t", ITWIN_API_URL: "https://a.example" }, "https URL"]
  ] as const)("fails to build with a ConfigError when the variables are wrong: %j", ([record, why]) =>
    Effect.gen(function* () {
      for (const name of names) {
        const { dependencies, urls } = over()
        const error = yield* Effect.flip(
          Effect.scoped(Layer.build(layers[name].pipe(Layer.provide([dependencies, variables(record)]))))
        )
        assert.instanceOf(error, Config.ConfigError)
        assert.include(error.message, why)
        assert.deepStrictEqual(urls(), [])
      }
    })
  )

  it.effect("does not read variables that a caller provides", () => {
    const { dependencies, urls } = over()
    return Effect.gen(function* () {
      yield* get().pipe(Effect.provide(variables(qa)))
      assert.deepStrictEqual(urls(), [Environment.production.tokenEndpoint])
    }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provide([dependencies, variables({})]))))
  })

  it.effect("uses the environment of the fake, whatever the variables say, when FakeIms.layerTest is provided", () =>
    Effect.gen(function* () {
      yield* get()
      assert.deepStrictEqual(yield* environment, Environment.production)
      yield* (yield* FakeIms.FakeIms).assertTokenRequests(1)
    }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()), Layer.provide(variables(qa)))))
  )

  it.effect("uses the environment of the fake when variables are wrong and FakeIms.layerTest is provided", () =>
    Effect.gen(function* () {
      yield* get()
    }).pipe(
      Effect.provide(
        ITwin.layer.pipe(
          Layer.provideMerge(FakeIms.layerTest()),
          Layer.provide(variables({ ITWIN_ENVIRONMENT: "staging" }))
        )
      )
    )
  )
})

describe("Environment.layerConfig", () => {
  const { layerConfig } = Environment
  type App = Layer.Layer<TokenCache.TokenCache, Config.ConfigError>
  type Dependencies = ReturnType<typeof over>["dependencies"]
  const placements: ReadonlyArray<readonly [string, (dependencies: Dependencies) => App]> = [
    ["provided with the dependencies", (dependencies) => ITwin.layer.pipe(Layer.provide([dependencies, layerConfig]))],
    [
      "provided before the dependencies",
      (dependencies) => ITwin.layer.pipe(Layer.provide(layerConfig), Layer.provide(dependencies))
    ],
    [
      "provided after the dependencies",
      (dependencies) => ITwin.layer.pipe(Layer.provide(dependencies), Layer.provide(layerConfig))
    ],
    [
      "provided to the dependencies only",
      (dependencies) => ITwin.layer.pipe(Layer.provide(dependencies.pipe(Layer.provide(layerConfig))))
    ],
    [
      "merged with the layer",
      (dependencies) => Layer.merge(ITwin.layer, layerConfig).pipe(Layer.provide(dependencies))
    ],
    [
      "merged around it with provideMerge",
      (dependencies) => ITwin.layer.pipe(Layer.provide(dependencies), Layer.provideMerge(layerConfig))
    ]
  ]

  it.effect.each(placements)(
    "makes the layer use the variables wherever Environment.layerConfig is provided: %s",
    ([_name, place]) => {
      const { dependencies, urls } = over()
      return Effect.gen(function* () {
        yield* get()
        assert.deepStrictEqual(urls(), [Environment.qa.tokenEndpoint])
      }).pipe(Effect.provide(place(dependencies).pipe(Layer.provide(variables(qa)))))
    }
  )

  it.effect(
    "makes a layer inside the program use the variables when Environment.layerConfig is provided around the program",
    () => {
      const { dependencies, urls } = over()
      return Effect.gen(function* () {
        yield* get()
        assert.deepStrictEqual(urls(), [Environment.qa.tokenEndpoint])
      }).pipe(
        Effect.provide(ITwin.layer.pipe(Layer.provide(dependencies))),
        Effect.provide(layerConfig),
        Effect.provide(variables(qa))
      )
    }
  )
})
