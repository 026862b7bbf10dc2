// Each tenant gets its own token, and no caller can change where the secret is sent.
import { assert, describe, it } from "@effect/vitest"
import { Environment, ITwin, ITwinHttpClient, Scopes, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Clock, ConfigProvider, Context, Effect, Layer, LayerMap } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { cached, get, refresh } from "./cacheSupport.ts"
import { credentials, tokenAnswer } from "./support.ts"

type Tenant = "One" | "Two" | "Three"
const names = ["One", "Two", "Three"] as const

/** Three apps, and an API that returns which app's token a request had. */
const setUp = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  yield* fake.addRoute("GET", "/who", ({ clientId }) => HttpServerResponse.text(clientId))
  const one = yield* fake.registerApp({ name: "One" })
  const two = yield* fake.registerApp({ name: "Two" })
  const three = yield* fake.registerApp({ name: "Three" })
  return { One: one.credentials, Two: two.credentials, Three: three.credentials }
})

const who = (context: Context.Context<ITwin.ITwin>) =>
  Effect.flatMap(Context.get(context, ITwinHttpClient.ITwinHttpClient).get("/who"), (response) => response.text)

type Stack = (provider: Layer.Layer<SecretProvider.SecretProvider>) => ReturnType<typeof stackOf>

const stackOf = (provider: Layer.Layer<SecretProvider.SecretProvider>) =>
  ITwin.layerWith({}).pipe(Layer.provide(provider))

class OfOne extends Context.Service<OfOne, Context.Context<ITwin.ITwin>>()("test/One") {}
class OfTwo extends Context.Service<OfTwo, Context.Context<ITwin.ITwin>>()("test/Two") {}
class OfThree extends Context.Service<OfThree, Context.Context<ITwin.ITwin>>()("test/Three") {}

/** Builds the three stacks in one graph, calls at once, and returns the apps that the API saw. */
const ask = (stack: Stack) =>
  Effect.gen(function* () {
    const credentials = yield* setUp
    const tenant = (name: Tenant) => Layer.provide(stack(SecretProvider.layerStatic(credentials[name])))
    const itwin = Effect.context<ITwin.ITwin>()
    const graph = yield* Layer.build(
      Layer.mergeAll(
        Layer.effect(OfOne, itwin).pipe(tenant("One")),
        Layer.effect(OfTwo, itwin).pipe(tenant("Two")),
        Layer.effect(OfThree, itwin).pipe(tenant("Three"))
      )
    )
    const seen = yield* Effect.all(
      [who(Context.get(graph, OfOne)), who(Context.get(graph, OfTwo)), who(Context.get(graph, OfThree))],
      { concurrency: "unbounded" }
    )
    return { seen, own: names.map((name) => credentials[name].clientId) }
  }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))

describe("three tenants in one program", () => {
  it.effect("sends each request with its tenant's token when each tenant uses ITwin.layerWith", () =>
    Effect.gen(function* () {
      const { seen, own } = yield* ask(stackOf)
      assert.deepStrictEqual(seen, own)
    })
  )

  it.effect("sends each request with its tenant's token when each tenant uses the constant ITwin.layer", () =>
    Effect.gen(function* () {
      const { seen, own } = yield* ask((provider) => ITwin.layer.pipe(Layer.provide(provider)))
      assert.deepStrictEqual(seen, own)
    })
  )

  it.effect("returns its own token to each tenant when each uses the constant TokenCache.layer", () =>
    Effect.gen(function* () {
      const credentials = yield* setUp
      class One extends Context.Service<One, string>()("test/OneToken") {}
      class Two extends Context.Service<Two, string>()("test/TwoToken") {}
      const clientId = Effect.map(get(), (token) => token.clientId)
      const of = (name: Tenant) =>
        Layer.provide(TokenCache.layer.pipe(Layer.provide(SecretProvider.layerStatic(credentials[name]))))
      const graph = yield* Layer.build(
        Layer.mergeAll(Layer.effect(One, clientId).pipe(of("One")), Layer.effect(Two, clientId).pipe(of("Two")))
      )
      assert.strictEqual(Context.get(graph, One), credentials.One.clientId)
      assert.strictEqual(Context.get(graph, Two), credentials.Two.clientId)
      yield* (yield* FakeIms.FakeIms).assertTokenRequests(2)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )
})

describe("one const App", () => {
  const makeApp = () => ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))
  const count = Effect.flatMap(FakeIms.FakeIms, (fake) => Effect.map(fake.tokenRequests, (made) => made.length))

  it.effect("makes one token request when one program uses cache and client", () =>
    Effect.gen(function* () {
      yield* get()
      yield* get()
      yield* Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (client) => client.get("/users/me"))
      assert.strictEqual(yield* count, 1)
    }).pipe(Effect.provide(makeApp()))
  )

  it.effect("makes one token request when one const App is provided once to several programs in one run", () => {
    const App = makeApp()
    const program = Effect.andThen(get(), count)
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.all([program, program, program], { concurrency: "unbounded" }), [1, 1, 1])
    }).pipe(Effect.provide(App))
  })

  it.effect(
    "makes one token request in each program when one const App is provided to each of several programs",
    () => {
      // The fake is shared, as IMS is. App is not shared, because it is built on each use.
      const App = ITwin.layer
      return Effect.gen(function* () {
        for (let i = 1; i <= 3; i++) {
          yield* get().pipe(Effect.provide(App))
          assert.strictEqual(yield* count, i)
        }
      }).pipe(Effect.provide(FakeIms.layerTest()))
    }
  )

  it.effect("makes one token request when layers need one const App that is provided once to all of them", () => {
    class First extends Context.Service<First, string>()("test/First") {}
    class Second extends Context.Service<Second, string>()("test/Second") {}
    const tokenType = Effect.map(get(), (token) => token.tokenType)
    const services = Layer.mergeAll(Layer.effect(First, tokenType), Layer.effect(Second, tokenType))
    return Effect.gen(function* () {
      yield* First
      yield* Second
      assert.strictEqual(yield* count, 1)
    }).pipe(Effect.provide(services.pipe(Layer.provideMerge(makeApp()))))
  })
})

describe("three tenants in a LayerMap", () => {
  const throughMap = (stack: Stack) =>
    Effect.gen(function* () {
      const credentials = yield* setUp
      const tenants = yield* LayerMap.make((tenant: Tenant) => stack(SecretProvider.layerStatic(credentials[tenant])))
      const seen = yield* Effect.forEach(
        [...names, ...names],
        (tenant) => Effect.flatMap(tenants.contextEffect(tenant), who),
        { concurrency: "unbounded" }
      )
      const fake = yield* FakeIms.FakeIms
      const requests = (yield* fake.tokenRequests).length
      return { seen, own: [...names, ...names].map((name) => credentials[name].clientId), requests }
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))

  it.effect(
    "makes one token request for each tenant of a LayerMap, and sends each request with its tenant's token",
    () =>
      Effect.gen(function* () {
        const { seen, own, requests } = yield* throughMap(stackOf)
        assert.deepStrictEqual(seen, own)
        assert.strictEqual(requests, 3)
      })
  )

  it.effect(
    "sends each request with its tenant's token when each tenant of a LayerMap uses the constant ITwin.layer",
    () =>
      Effect.gen(function* () {
        const { seen, own, requests } = yield* throughMap((provider) => ITwin.layer.pipe(Layer.provide(provider)))
        assert.deepStrictEqual(seen, own)
        assert.strictEqual(requests, 3)
      })
  )
})

describe("what a caller provides", () => {
  const evil = "https://evil.example"
  const evilClient = HttpClient.make((request) =>
    Effect.succeed(HttpClientResponse.fromWeb(request, new Response("evil", { status: 500 })))
  )
  const evilClock = Effect.map(
    Clock.Clock,
    (clock): Clock.Clock => ({
      ...clock,
      currentTimeMillisUnsafe: () => 1e15,
      currentTimeMillis: Effect.succeed(1e15),
      sleep: () => Effect.void
    })
  )
  const ways = [
    ["HttpClient", Layer.succeed(HttpClient.HttpClient, evilClient)],
    ["RequestInit", Layer.succeed(FetchHttpClient.RequestInit, { headers: { "x-evil": "1" } })],
    ["Environment", Environment.layer(Environment.qa)],
    [
      "ConfigProvider",
      ConfigProvider.layer(
        ConfigProvider.fromUnknown({ ITWIN_ENVIRONMENT: "qa", ITWIN_TOKEN_ENDPOINT: evil, ITWIN_API_URL: evil })
      )
    ],
    ["Clock", Layer.effect(Clock.Clock, evilClock)],
    ["SecretProvider", Layer.succeed(SecretProvider.SecretProvider, { credentials: Effect.die("evil") })]
  ] as const

  it.effect.each(ways)(
    "does not let what a caller provides change get, refresh or the token in memory: %s",
    ([_name, layer]) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000_000)
        const fake = yield* FakeIms.FakeIms
        const cache = yield* TokenCache.TokenCache
        const token = yield* get().pipe(Effect.provide(layer))
        assert.strictEqual(token.issuedAt.epochMilliseconds, 1_000_000)
        assert.strictEqual(yield* get().pipe(Effect.provide(layer)), token)
        assert.strictEqual(yield* get(), token)
        assert.strictEqual((yield* cache.status.pipe(Effect.provide(layer)))[0]?.state, "fresh")
        assert.deepStrictEqual(cache.environment, Environment.production)
        assert.strictEqual((yield* refresh().pipe(Effect.provide(layer))).issuedAt.epochMilliseconds, 1_000_000)
        yield* fake.assertTokenRequests(2)
      }).pipe(Effect.provide(cached()))
  )

  it.effect("requests tokens with the RequestInit of the layer, not with that of a caller", () => {
    const seen: Array<RequestInit | undefined> = []
    const client = HttpClient.make((request, _url, _signal, fiber) =>
      Effect.suspend(() => {
        seen.push(Context.getOrUndefined(fiber.context, FetchHttpClient.RequestInit))
        return Effect.map(Effect.succeed(tokenAnswer()()), (answer) =>
          HttpClientResponse.fromWeb(request, answer instanceof Response ? answer : new Response())
        )
      })
    )
    return Effect.gen(function* () {
      const cache = yield* TokenCache.make().pipe(
        Effect.provideService(FetchHttpClient.RequestInit, { keepalive: true })
      )
      yield* cache.get().pipe(Effect.provideService(FetchHttpClient.RequestInit, { cache: "force-cache" }))
      assert.deepStrictEqual(seen, [{ keepalive: true, redirect: "manual" }])
    }).pipe(
      Effect.scoped,
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.provide(SecretProvider.layerStatic(credentials))
    )
  })

  it.effect("does not call itself when a caller provides the authenticated client as the HttpClient", () =>
    Effect.gen(function* () {
      const client = yield* ITwinHttpClient.ITwinHttpClient
      const plain = HttpClient.make((request) => Effect.orDie(client.execute(request)))
      const token = yield* get(Scopes.itwinPlatform).pipe(Effect.provideService(HttpClient.HttpClient, plain))
      assert.strictEqual(token.tokenType, "Bearer")
      yield* (yield* FakeIms.FakeIms).assertTokenRequests(1)
    }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
  )
})
