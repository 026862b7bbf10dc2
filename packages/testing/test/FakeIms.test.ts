import { assert, describe, it } from "@effect/vitest"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Exit, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { contract, getMe, register, tokenFor } from "./contract.ts"

describe("FakeIms in process", () => {
  contract(it.effect, FakeIms.layerTest())

  it.effect("lets time pass with TestClock: a token ends after its life", () =>
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

  it.effect("refuses a token of another fake, and one of the future", () =>
    Effect.gen(function* () {
      const other = yield* Effect.provide(Effect.flatMap(register(), tokenFor), FakeIms.layerTest({ seed: "other" }))
      assert.strictEqual((yield* getMe(`Bearer ${other}`)).status, 401)
      yield* TestClock.setTime(1_800_000_000_000)
      const token = yield* tokenFor(yield* register())
      yield* TestClock.setTime(1_700_000_000_000)
      assert.include((yield* getMe(`Bearer ${token}`)).body.error.details[0].message, "not valid yet")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("gives the same ids, secrets and tokens for the same seed and clock", () => {
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

  it.effect("fails a request to any other host, and says which it answers for", () =>
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

  it.effect.each(["", "x".repeat(61), "a,b", "a*b", "a`b", "a~b"])("registers no app named %j", (name) =>
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
