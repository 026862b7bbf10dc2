import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { ITwin, type ITwinApiError, ITwinHttpClient, TokenError } from "@effect-itwin/core"
import { FakeIms, FakeImsServer, Fault } from "@effect-itwin/testing"
import { Effect, Fiber, Layer, Option, Redacted, type Schema } from "effect"
import { HttpClient, type HttpClientError, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { expectTypeOf } from "vitest"
import { type IModel, iModels } from "../any-api/imodels.ts"
import { run } from "./spawn.ts"

const App = ITwin.layerWith({ retry: {} }).pipe(Layer.provideMerge(FakeIms.layerTest()))

/** Serves iModels as the fake's own API, and records what was asked for. */
const serve = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  const seen: Array<readonly [method: string, url: string, accept: string | undefined, body: string]> = []
  const answer = (status: number, body: unknown) => HttpServerResponse.jsonUnsafe(body, { status })
  for (const [method, path, body] of [
    [
      "GET",
      "/imodels",
      {
        iModels: [
          { id: "a", displayName: "Bridge" },
          { id: "b", displayName: null }
        ]
      }
    ],
    ["GET", "/imodels/:id", { iModel: { id: "a", displayName: "Bridge" } }],
    ["POST", "/imodels", { iModel: { id: "c" } }]
  ] as const) {
    yield* fake.addRoute(method, path, ({ request }) =>
      Effect.map(Effect.orDie(request.text), (text) => {
        seen.push([method, request.url.replace("https://api.bentley.com", ""), request.headers.accept, text])
        return answer(method === "POST" ? 201 : 200, body)
      })
    )
  }
  return seen
})

const v2 = "application/vnd.bentley.itwin-platform.v2+json"

describe("examples/any-api", () => {
  it("has exactly the errors of the token, of the API, of HTTP and of the schema", () => {
    type Client = Effect.Success<typeof iModels>
    type Failure =
      | TokenError.TokenError
      | ITwinApiError.ITwinApiError
      | HttpClientError.HttpClientError
      | Schema.SchemaError
    type List = (request: {
      readonly query: { readonly iTwinId: string; readonly $top?: number }
    }) => Effect.Effect<{ readonly iModels: ReadonlyArray<typeof IModel.Type> }, Failure>
    expectTypeOf<Client["list"]>().toExtend<List>()
    expectTypeOf<Effect.Error<ReturnType<Client["list"]>>>().toEqualTypeOf<Failure>()
    expectTypeOf<Effect.Error<ReturnType<Client["get"]>>>().toEqualTypeOf<Failure>()
    expectTypeOf<Effect.Error<ReturnType<Client["create"]>>>().toEqualTypeOf<Failure>()
    expectTypeOf<Effect.Services<ReturnType<Client["create"]>>>().toEqualTypeOf<never>()
    expectTypeOf(iModels).toEqualTypeOf<Effect.Effect<Client, never, ITwinHttpClient.ITwinHttpClient>>()
  })

  it.effect("sends typed requests for version 2, and decodes the responses", () =>
    Effect.gen(function* () {
      const seen = yield* serve
      const client = yield* iModels
      const { iModels: found } = yield* client.list({ query: { iTwinId: "x y", $top: 2 } })
      assert.deepStrictEqual(
        found.map(({ displayName }) => displayName),
        ["Bridge", null]
      )
      assert.strictEqual((yield* client.get({ params: { id: "a" } })).iModel.displayName, "Bridge")
      assert.strictEqual((yield* client.create({ payload: { iTwinId: "x", name: "New" } })).iModel.id, "c")
      assert.deepStrictEqual(seen, [
        ["GET", "/imodels?iTwinId=x+y&%24top=2", v2, ""],
        ["GET", "/imodels/a", v2, ""],
        ["POST", "/imodels", v2, '{"iTwinId":"x","name":"New"}']
      ])
    }).pipe(Effect.provide(App))
  )

  it.effect("fails with an ITwinApiError when the API returns another status, and retries a 503 of a GET only", () =>
    Effect.gen(function* () {
      yield* serve
      const fake = yield* FakeIms.FakeIms
      const client = yield* iModels
      const down = Fault.respond({ status: 503, body: { error: { code: "Down", message: "Down." } } })
      const forbidden = Fault.respond({ status: 403, body: { error: { code: "InsufficientPermissions" } } })

      yield* fake.script("GET /imodels/:id", Fault.once(down), Fault.once(down))
      const fiber = yield* Effect.forkChild(client.get({ params: { id: "a" } }))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).iModel.id, "a")

      yield* fake.script("POST /imodels", Fault.once(down), Fault.once(forbidden))
      for (const tag of ["Unavailable", "Forbidden"]) {
        const error = yield* Effect.flip(client.create({ payload: { iTwinId: "x", name: "New" } }))
        assert.isTrue(error._tag === "ITwinApiError" && error.reason._tag === tag)
      }
      yield* fake.verify
    }).pipe(Effect.provide(App))
  )

  it.effect("fails with the TokenError of a generated client that uses the plain HttpClient", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", Fault.always(Fault.html(403, "no")))
      const error = yield* Effect.flip(Effect.provide(HttpClient.get("/imodels"), ITwinHttpClient.layerHttpClient))
      const inner = Option.getOrUndefined(TokenError.fromHttpClientError(error))
      assert.strictEqual(inner?.reason._tag, "UnexpectedStatus")
    }).pipe(Effect.provide(App))
  )

  const main = fileURLToPath(new URL("../any-api/main.ts", import.meta.url))

  it.live("prints the iModels, or the e-mail to invite, when it runs as a program", () =>
    Effect.gen(function* () {
      yield* serve
      const fake = yield* FakeIms.FakeIms
      const { credentials } = yield* fake.registerApp({ name: "Mine" })
      const variables = {
        ITWIN_TOKEN_ENDPOINT: fake.environment.tokenEndpoint,
        ITWIN_API_URL: fake.environment.apiBaseUrl,
        ITWIN_CLIENT_ID: credentials.clientId,
        ITWIN_CLIENT_SECRET: Redacted.value(credentials.clientSecret),
        ITWIN_ID: "x"
      }
      assert.deepStrictEqual(yield* run([main], variables), {
        code: 0,
        stdout: "a  Bridge\nb  without a name\n",
        stderr: ""
      })
      const forbidden = Fault.respond({ status: 403, body: { error: { code: "InsufficientPermissions" } } })
      yield* fake.script("GET /imodels", Fault.once(forbidden))
      const failed = yield* run([main], variables)
      assert.strictEqual(failed.code, 1)
      assert.include(failed.stderr, `ITwinApiError: The owner of the token lacks a permission`)
      assert.include(failed.stderr, credentials.clientEmail)
    }).pipe(Effect.provide(FakeImsServer.layer()))
  )
})

describe("docs/any-api.md", () => {
  const guide = readFileSync(new URL("../../docs/any-api.md", import.meta.url), "utf8")

  it.each(["imodels.ts", "main.ts"])("shows %s as it is", (file) => {
    assert.include(guide, readFileSync(new URL(`../any-api/${file}`, import.meta.url), "utf8"))
  })
})

describe("the imports of core", () => {
  it("do not include effect/http-api, so that a program without it does not load it", () => {
    const core = fileURLToPath(new URL("../../packages/core/src", import.meta.url))
    const files = globSync("**/*.ts", { cwd: core })
    assert.isAbove(files.length, 30)
    for (const file of files) assert.notInclude(readFileSync(`${core}/${file}`, "utf8"), "effect/http-api", file)
  })
})
