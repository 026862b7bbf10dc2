import { assert, describe, it } from "@effect/vitest"
import { Environment, ITwin, Users } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Exit, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { contract, getMe, register, tokenFor } from "./contract.ts"
import { usersContract } from "./usersContract.ts"

describe("FakeIms in process", () => {
  contract(it.effect, FakeIms.layerTest())
  usersContract(it.effect, FakeIms.layerTest())

  it.effect("rejects a token when its life has passed on TestClock", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_800_000_000_000)
      const token = yield* tokenFor(yield* register())
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* getMe(`Bearer ${token}`)).status, 200)
      yield* TestClock.adjust("1 second")
      const { status, body } = yield* getMe(`Bearer ${token}`)
      assert.strictEqual(status, 401)
      assert.include(body.error.details[0].message, "expired")
    }).pipe(Effect.provide(FakeIms.layerTest({ tokenLife: "1 minute" })))
  )

  it.effect("rejects a token of another fake, and a token that is not valid yet", () =>
    Effect.gen(function* () {
      const other = yield* Effect.provide(Effect.flatMap(register(), tokenFor), FakeIms.layerTest({ seed: "other" }))
      assert.strictEqual((yield* getMe(`Bearer ${other}`)).status, 401)
      yield* TestClock.setTime(1_800_000_000_000)
      const token = yield* tokenFor(yield* register())
      yield* TestClock.setTime(1_700_000_000_000)
      assert.include((yield* getMe(`Bearer ${token}`)).body.error.details[0].message, "not valid yet")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("makes the same ids, secrets and tokens for the same seed and clock", () => {
    const story = Effect.gen(function* () {
      const app = yield* register()
      return [app.credentials.clientId, Redacted.value(app.credentials.clientSecret), yield* tokenFor(app)]
    })
    return Effect.gen(function* () {
      const first = yield* Effect.provide(story, FakeIms.layerTest({ seed: "a" }))
      assert.deepStrictEqual(yield* Effect.provide(story, FakeIms.layerTest({ seed: "a" })), first)
      const other = yield* Effect.provide(story, FakeIms.layerTest({ seed: "b" }))
      for (const [index, value] of other.entries()) assert.notStrictEqual(value, first[index])
    })
  })

  it.effect("fails a request to another host and names the hosts that it answers for", () =>
    Effect.gen(function* () {
      for (const url of ["https://qa-ims.bentley.com/connect/token", "https://example.com/"]) {
        const error = yield* Effect.flip(HttpClient.get(url))
        assert.strictEqual(error.reason._tag, "TransportError")
        assert.include(error.message, "https://ims.bentley.com and https://api.bentley.com")
      }
      // Each host has its own routes.
      assert.strictEqual((yield* HttpClient.get("https://ims.bentley.com/users/me")).status, 404)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each<readonly [string, Environment.Environment, string]>([
    ["QA", Environment.qa, "https://qa-ims.bentley.com"],
    [
      "a gateway with paths",
      Environment.custom({ tokenEndpoint: "https://a.example/auth/token", apiBaseUrl: "https://b.example/itwin/" }),
      "https://a.example"
    ],
    [
      "one origin",
      Environment.custom({ tokenEndpoint: "http://127.0.0.1:1/token", apiBaseUrl: "http://127.0.0.1:1" }),
      "http://127.0.0.1:1"
    ]
  ])("answers for the hosts of the environment: %s", ([_name, environment, issuer]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      assert.strictEqual(fake.environment, environment)
      assert.strictEqual(yield* Environment.Environment, environment)
      assert.strictEqual((yield* Users.me).givenName, "Test")
      const metadata = yield* Effect.flatMap(
        HttpClient.get(`${issuer}/.well-known/openid-configuration`),
        ({ json }) => json
      )
      assert.deepInclude(metadata, { issuer, token_endpoint: environment.tokenEndpoint })
      yield* fake.assertTokenRequests(1)
      const error = yield* Effect.flip(HttpClient.get("https://ims.bentley.com/connect/token"))
      assert.include(error.message, "Call FakeIms.layerTest({ environment: Environment.production })")
    }).pipe(Effect.provide(ITwin.layerWith({}).pipe(Layer.provideMerge(FakeIms.layerTest({ environment })))))
  )

  it.effect("lists in its metadata only what it serves", () =>
    Effect.gen(function* () {
      const get = (url: string) => Effect.flatMap(HttpClient.get(url), (response) => response.json)
      const openid = yield* get("https://ims.bentley.com/.well-known/openid-configuration")
      assert.deepStrictEqual(yield* get("https://ims.bentley.com/.well-known/oauth-authorization-server"), openid)
      const urls = Object.entries(openid as Record<string, string>).filter(([name]) => /_endpoint$|_uri$/.test(name))
      assert.lengthOf(urls, 7)
      for (const [name, url] of urls) {
        const { status } = yield* HttpClient.get(url)
        assert.notStrictEqual(status, 404, name)
      }
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each(["", "x".repeat(61), "a,b", "a*b", "a`b", "a~b"])(
    "does not register an app with the name %j",
    (name) =>
      Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        const exit = yield* Effect.exit(fake.registerApp({ name }))
        assert.isTrue(Exit.isFailure(exit))
      }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("makes secrets that start with fake-secret- and need encoding", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 20; i++) {
        const { credentials } = yield* register()
        assert.match(credentials.clientId, /^service-[A-Za-z0-9]{25}$/)
        assert.match(Redacted.value(credentials.clientSecret), /^fake-secret-[^+]*\+[^/]*\/.*=$/)
      }
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})
