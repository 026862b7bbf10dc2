import { assert, describe, it } from "@effect/vitest"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Fiber } from "effect"
import { HttpClient, HttpServerResponse } from "effect/http"
import { make } from "../src/internal/controls.ts"
import { fromSeed } from "../src/internal/engine/entropy.ts"
import { makeVault, recordRead } from "../src/internal/vault.ts"
import { makeControls } from "../src/internal/vaultControls.ts"

const url = "https://api.bentley.com"
const get = (path: string) => HttpClient.get(`${url}${path}`)

const makeVaultControls = Effect.gen(function* () {
  const vault = yield* makeVault({
    entropy: fromSeed("s"),
    url,
    authority: url,
    resource: url,
    tenantId: undefined
  })
  const controls = makeControls(vault, { sendRequest: () => Promise.reject(new Error("No request is sent here.")) })
  return { vault, controls }
})

const read = {
  at: 0,
  secretName: "itwin",
  version: undefined,
  authenticated: false,
  fault: undefined,
  status: undefined,
  outcome: "ok"
}

describe("waiting for requests", () => {
  it.effect("counts the requests to the route, and begins again after a reset", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.addRoute("GET", "/a", () => HttpServerResponse.empty())
      yield* get("/a")
      yield* get("/a")
      assert.strictEqual((yield* fake.awaitRequest("GET /a", 2)).correlationId, (yield* fake.journal)[1]?.correlationId)
      yield* fake.reset
      const second = yield* Effect.forkChild(fake.awaitRequest("GET /a", 2), { startImmediately: true })
      const both = [second, yield* Effect.forkChild(fake.awaitRequest("GET /a", 2), { startImmediately: true })]
      yield* get("/a")
      yield* get("/b")
      yield* Effect.yieldNow
      assert.isUndefined(second.pollUnsafe())
      yield* get("/a")
      yield* get("/a")
      const third = (yield* fake.journal)[2]
      assert.deepStrictEqual(yield* Fiber.joinAll(both), [third, third])
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("removes the waiter of the fake IMS when it is interrupted", () =>
    Effect.gen(function* () {
      const { engine } = yield* make(undefined, { issuer: url, apiBaseUrl: url, algorithm: "EdDSA", seed: "s" })
      const fiber = yield* Effect.forkChild(engine.arrival("GET /users/me", 1), { startImmediately: true })
      assert.strictEqual(engine.journal.waiting(), 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(engine.journal.waiting(), 0)
    })
  )

  it.effect("leaves nothing behind at the fake vault when it is interrupted, or over", () =>
    Effect.gen(function* () {
      const { vault, controls } = yield* makeVaultControls
      const interrupted = yield* Effect.forkChild(controls.awaitRequests(2), { startImmediately: true })
      const patient = yield* Effect.forkChild(controls.awaitRequests(1), { startImmediately: true })
      assert.strictEqual(vault.waiting.size, 2)
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(vault.waiting.size, 1)
      recordRead(vault, { ...read })
      yield* Fiber.join(patient)
      assert.strictEqual(vault.waiting.size, 0)
    })
  )
})
