import { assert, describe, it } from "@effect/vitest"
import { Environment } from "@effect-itwin/core"
import { FakeIms, FakeKeyVault, Fault, Journal } from "@effect-itwin/testing"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { makeControls } from "../src/internal/controls.ts"
import { makeScript } from "../src/internal/engine/script.ts"
import { makeFake } from "../src/internal/fakeIms.ts"
import { getMe, register, tokenFor } from "./contract.ts"

/** Is more than the number of arguments that a call can have. */
const many = 150_000

const entry: Journal.Entry = {
  number: 1,
  method: "GET",
  path: "/users/me",
  query: {},
  headers: {},
  body: undefined,
  fault: undefined,
  explanation: undefined,
  at: 0,
  route: "GET /users/me",
  correlationId: "fake",
  concurrency: 1,
  form: {},
  clientId: undefined,
  authentication: undefined,
  secretVersion: undefined,
  status: 200,
  outcome: "ok"
}

describe("a fake with a long history", () => {
  it("formats its journal as a table whose columns are as wide as their widest cell", () => {
    const entries = Array.from({ length: many }, () => entry)
    const lines = Journal.format([...entries, { ...entry, route: "GET /much/longer" }]).split("\n")
    assert.strictEqual(lines.length, many + 2)
    assert.strictEqual(lines[0]?.indexOf("status"), lines.at(-1)?.indexOf("200"))
  })

  it.effect("returns how many requests it served at once after the journal dropped them", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      assert.strictEqual(yield* fake.maxConcurrent, 0)
      yield* fake.script("GET /users/me", Fault.times(Fault.delay("1 second"), 3))
      const calls = yield* Effect.forkChild(Effect.replicateEffect(getMe(), 3, { concurrency: 3 }))
      yield* fake.awaitRequest("GET /users/me", 3)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(calls)
      yield* Effect.replicateEffect(getMe(), 3)
      assert.deepStrictEqual(
        (yield* fake.journal).map(({ concurrency, number }) => [number, concurrency]),
        [[6, 1]]
      )
      assert.strictEqual(yield* fake.maxConcurrent, 3)
    }).pipe(Effect.provide(FakeIms.layerTest({ journalLimit: 1 })))
  )

  it.effect("forgets tokens that have expired", () =>
    Effect.gen(function* () {
      const where = { environment: Environment.production, algorithm: "EdDSA", seed: "s" } as const
      const fake = yield* makeFake({ tokenLife: "1 minute" }, where)
      const controls = makeControls(fake, Environment.production)
      yield* controls.registerApp({ name: "Busy" })
      for (let i = 0; i < 2_500; i++) {
        yield* controls.issueToken()
        yield* TestClock.adjust("1 second")
        assert.isAtMost(fake.ims.issued.size(), 1_000)
      }
    })
  )

  it.effect("accepts a script with as many steps as the journal has entries", () =>
    Effect.gen(function* () {
      const script = makeScript(yield* Clock.Clock)
      script.add(Array.from({ length: many }, () => Fault.once(Fault.hang)))
      assert.strictEqual(script.unused().length, many)
    })
  )
})

describe("a fake whose clock is beyond the years of a Date", () => {
  const beyond = 9_000_000_000_000_000

  it.effect("serves a user and formats its journal when its clock is beyond the years of a Date", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(beyond)
      const { status, body } = yield* getMe(`Bearer ${yield* tokenFor(yield* register())}`)
      assert.strictEqual(status, 200)
      assert.strictEqual(body.user.createdDateTime, String(beyond))
      const fake = yield* FakeIms.FakeIms
      assert.match(Journal.format(yield* fake.journal), /^2 +9000000000000000 +GET \/users\/me +200/m)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("refuses a token for the vault when its clock is beyond the years of a Date", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(beyond)
      const { httpClient, tenantId } = yield* FakeKeyVault.FakeKeyVault
      const url = `https://login.microsoftonline.com/${tenantId}/oauth2/v2.0/token`
      const { status, bodyAsText } = yield* Effect.promise(() =>
        httpClient.sendRequest({ url, method: "POST", headers: [], body: "grant_type=client_credentials" })
      )
      assert.isAtLeast(status, 400)
      assert.include(JSON.parse(bodyAsText), { timestamp: String(beyond) })
    }).pipe(Effect.provide(FakeKeyVault.layerTest()))
  )
})
