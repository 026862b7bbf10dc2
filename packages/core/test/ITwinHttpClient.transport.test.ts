// The destination and the transport of an API call: redirects, the Host header, and options of fetch and undici.
import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinHttpClient, SecretProvider } from "@effect-itwin/core"
import { Context, Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpBody, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { credentials, type Step, scripted, tokenAnswer } from "./support.ts"

const api = "https://api.bentley.com"
const files = "https://files.example.com"
const authorization = "Bearer fake.token"

const over = (script: ReturnType<typeof scripted>) =>
  ITwin.layerWith({ origins: [files] }).pipe(Layer.provide([script.layer, SecretProvider.layerStatic(credentials)]))

const redirect =
  (location: string, status = 302): Step =>
  () =>
    new Response("moved", { status, headers: { location } })

const done: Step = () => new Response("done")

const execute = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (client) => client.execute(request))

const bytes = new TextEncoder().encode("{}")
const withBody = (method: "POST" | "PUT") =>
  HttpClientRequest.make(method)("/x").pipe(
    HttpClientRequest.setBody(HttpBody.uint8Array(bytes, "application/json")),
    HttpClientRequest.setHeaders({ cookie: "a=b", "content-encoding": "identity" })
  )

describe("a redirect of an API", () => {
  it.effect.each([
    "https://evil.example/x",
    "https://api.bentley.com.evil.example/x",
    "https://api.bentley.com@evil.example/x",
    "http://api.bentley.com/x",
    "https://user:password@api.bentley.com/x",
    "//user@api.bentley.com/x",
    "//evil.example/x",
    "blob:https://api.bentley.com/1",
    "data:text/plain,x",
    "http://[",
    ""
  ])("returns the redirect of an API, and sends nothing further, when it leads to %j", (location) => {
    const script = scripted(tokenAnswer(), redirect(location, 307), redirect(location, 302))
    return Effect.gen(function* () {
      for (const status of [307, 302]) {
        const response = yield* execute(withBody("POST"))
        assert.strictEqual(response.status, status)
        assert.strictEqual(yield* response.text, "moved")
      }
      assert.deepStrictEqual(
        script.requests.slice(1).map(({ url }) => url),
        [`${api}/x`, `${api}/x`]
      )
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("follows the redirect of an API with the token when it leads to a listed origin", () => {
    const script = scripted(tokenAnswer(), redirect("/y?a=b%20c"), redirect(`${files}/z`), done)
    return Effect.gen(function* () {
      const response = yield* execute(HttpClientRequest.get("/x", { headers: { cookie: "a=b" } }))
      assert.strictEqual(yield* response.text, "done")
      assert.strictEqual(response.url, `${files}/z`)
      assert.strictEqual(response.request.url, `${api}/x`)
      assert.deepStrictEqual(
        script.requests.slice(1).map(({ headers, url }) => [url, headers.authorization, headers.cookie]),
        [
          [`${api}/x`, authorization, "a=b"],
          [`${api}/y?a=b%20c`, authorization, "a=b"],
          [`${files}/z`, authorization, undefined]
        ]
      )
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each<readonly [number, "POST" | "PUT", string, boolean]>([
    [301, "POST", "GET", false],
    [302, "POST", "GET", false],
    [303, "POST", "GET", false],
    [303, "PUT", "GET", false],
    [301, "PUT", "PUT", true],
    [307, "POST", "POST", true],
    [308, "PUT", "PUT", true]
  ])(
    "follows a redirect by the method rules of fetch when %d is returned for %s: %s",
    ([status, method, next, keepsBody]) => {
      const script = scripted(tokenAnswer(), redirect("/y", status), done)
      return Effect.gen(function* () {
        yield* execute(withBody(method))
        const sent = script.requests[2]
        assert.strictEqual(sent?.method, next)
        assert.strictEqual(sent?.body._tag, keepsBody ? "Uint8Array" : "Empty")
        assert.strictEqual(sent?.headers["content-type"], keepsBody ? "application/json" : undefined)
        assert.strictEqual(sent?.headers["content-encoding"], keepsBody ? "identity" : undefined)
      }).pipe(Effect.provide(over(script)))
    }
  )

  it.effect("returns the redirect of an API when the body is a stream that would be sent again", () => {
    const script = scripted(tokenAnswer(), redirect("/y", 307), redirect("/y", 303), done)
    return Effect.gen(function* () {
      const upload = HttpClientRequest.bodyStream(HttpClientRequest.post("/x"), Stream.succeed(bytes))
      assert.strictEqual((yield* execute(upload)).status, 307)
      assert.strictEqual((yield* execute(upload)).status, 200)
      assert.strictEqual(script.requests.length, 4)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("returns the redirect of an API when it is the eleventh in a row", () => {
    const script = scripted(tokenAnswer(), redirect("/x"))
    return Effect.gen(function* () {
      assert.strictEqual((yield* execute(HttpClientRequest.get("/x"))).status, 302)
      assert.strictEqual(script.requests.length, 1 + 11)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([300, 304])(
    "returns the response of an API when its status is %d, which is not a redirect",
    (status) => {
      const script = scripted(tokenAnswer(), () => new Response(null, { status, headers: { location: "/y" } }))
      return Effect.gen(function* () {
        assert.strictEqual((yield* execute(HttpClientRequest.get("/x"))).status, status)
        assert.strictEqual(script.requests.length, 2)
      }).pipe(Effect.provide(over(script)))
    }
  )

  it.effect("cancels the body of a redirect when it follows that", () => {
    let cancelled = 0
    const body = () => new ReadableStream({ cancel: () => void cancelled++ })
    const script = scripted(
      tokenAnswer(),
      () => new Response(body(), { status: 302, headers: { location: "/y" } }),
      done
    )
    return Effect.gen(function* () {
      yield* execute(HttpClientRequest.get("/x"))
      assert.strictEqual(cancelled, 1)
    }).pipe(Effect.provide(over(script)))
  })
})

/** A fetch that returns responses of IMS and the API, and records the requests to the API. */
const recordingFetch = () => {
  const sent: Array<RequestInit & { readonly names: ReadonlyArray<string> }> = []
  const fetch: typeof globalThis.fetch = (url, init) => {
    if (String(url).includes("connect/token")) {
      return Promise.resolve(Response.json({ access_token: "fake.token", token_type: "Bearer" }))
    }
    sent.push({ ...init, names: Object.keys(init?.headers ?? {}) })
    return Promise.resolve(Response.json({}))
  }
  return { fetch, sent }
}

describe("the Host header", () => {
  it.effect("sends no Host header when a caller, a transformation or fetch options set it", () => {
    const { fetch, sent } = recordingFetch()
    const setHost = HttpClientRequest.setHeader("Host", "evil.example")
    const given = Layer.effect(
      HttpClient.HttpClient,
      Effect.map(HttpClient.HttpClient, (client) =>
        HttpClient.makeWith(
          (request: Effect.Effect<HttpClientRequest.HttpClientRequest>) =>
            client.postprocess(Effect.map(request, setHost)),
          (request) => Effect.succeed(setHost(request))
        )
      )
    ).pipe(
      Layer.provide(FetchHttpClient.layer),
      Layer.provide([
        Layer.succeed(FetchHttpClient.Fetch, fetch),
        Layer.succeed(FetchHttpClient.RequestInit, { headers: { HOST: "evil.example", "x-build": "1" } })
      ])
    )
    return Effect.gen(function* () {
      const client = yield* ITwinHttpClient.ITwinHttpClient
      yield* HttpClient.mapRequest(client, setHost).get("/x", { headers: { host: "evil.example" } })
      const names = sent.flatMap(({ names }) => names.map((name) => name.toLowerCase()))
      assert.notInclude(names, "host")
      assert.include(names, "x-build")
      assert.include(names, "authorization")
    }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provide([given, SecretProvider.layerStatic(credentials)]))))
  })

  it.effect("sends no Host header when a caller sets it and the client is not fetch", () => {
    const script = scripted(tokenAnswer(), done)
    return Effect.gen(function* () {
      yield* execute(HttpClientRequest.get("/x", { headers: { Host: "evil.example" } }))
      assert.isUndefined(script.requests[1]?.headers.host)
    }).pipe(Effect.provide(over(script)))
  })
})

describe("options of the transport", () => {
  it.effect("uses the transport options of the layer when a caller provides others", () => {
    const layer = recordingFetch()
    const caller = recordingFetch()
    return Effect.gen(function* () {
      for (const _ of [1, 2]) {
        yield* execute(HttpClientRequest.get("/x")).pipe(
          Effect.provideService(FetchHttpClient.Fetch, caller.fetch),
          Effect.provideService(FetchHttpClient.RequestInit, { cache: "reload", redirect: "follow" })
        )
      }
      assert.strictEqual(caller.sent.length, 0)
      assert.deepStrictEqual(
        layer.sent.map(({ cache, redirect }) => [cache, redirect]),
        [
          ["no-store", "manual"],
          ["no-store", "manual"]
        ]
      )
    }).pipe(
      Effect.provide(
        ITwin.layer.pipe(
          Layer.provide([FetchHttpClient.layer, SecretProvider.layerStatic(credentials)]),
          Layer.provide([
            Layer.succeed(FetchHttpClient.Fetch, layer.fetch),
            Layer.succeed(FetchHttpClient.RequestInit, { cache: "no-store" })
          ])
        )
      )
    )
  })

  // The name is that of platform-node: undici reads the options from the context of each request.
  const UndiciOptions = Context.Reference<string>("@effect/platform-node/NodeHttpClient/UndiciOptions", {
    defaultValue: () => "default"
  })

  it.effect.each([
    ["provided to the layer", "layer"],
    ["provided to no layer", "default"]
  ])("does not use the undici options of a caller when they are %s", ([_when, expected]) => {
    const seen: Array<string> = []
    const client = HttpClient.make((request, url, _signal, fiber) => {
      const isApi = url.origin === api
      if (isApi) seen.push(fiber.getRef(UndiciOptions))
      const response = isApi
        ? new Response("done")
        : Response.json({ access_token: "fake.token", token_type: "Bearer" })
      return Effect.succeed(HttpClientResponse.fromWeb(request, response))
    })
    const layer = ITwin.layer.pipe(
      Layer.provide([Layer.succeed(HttpClient.HttpClient, client), SecretProvider.layerStatic(credentials)]),
      Layer.provide(expected === "layer" ? Layer.succeed(UndiciOptions, "layer") : Layer.empty)
    )
    return execute(HttpClientRequest.get("/x")).pipe(
      Effect.provideService(UndiciOptions, "caller"),
      Effect.andThen(Effect.sync(() => assert.deepStrictEqual(seen, [expected]))),
      Effect.provide(layer)
    )
  })
})
