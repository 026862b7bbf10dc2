import { assert, describe, it } from "@effect/vitest"
import { Environment } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Fiber } from "effect"
import { HttpClient, HttpServerResponse } from "effect/http"
import { makeFake } from "../src/internal/fakeIms.ts"

const url = "https://api.bentley.com"
const get = (path: string) => HttpClient.get(`${url}${path}`)

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
      const { engine } = yield* makeFake(undefined, {
        environment: Environment.production,
        algorithm: "EdDSA",
        seed: "s"
      })
      const fiber = yield* Effect.forkChild(engine.arrival("GET /users/me", 1), { startImmediately: true })
      assert.strictEqual(engine.journal.waiting(), 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(engine.journal.waiting(), 0)
    })
  )
})
