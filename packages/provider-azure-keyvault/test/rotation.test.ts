// The secret of the app is rotated while 50 fibers call the API: with a time in which both secrets are valid, and
// without. The real SDK reads the vault. Hours pass on the virtual clock.

import { assert, describe, it } from "@effect/vitest"
import { ITwin, Users } from "@effect-itwin/core"
import { FakeIms, FakeKeyVault } from "@effect-itwin/testing"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { fresh, name, provider, settle } from "./support.ts"

const minute = 60_000

interface Failure {
  readonly at: number
  readonly reason: string
}

/** Lets minutes pass in steps of 5 s, and lets the SDK's promises end in each step. */
const pass = (minutes: number) =>
  Effect.gen(function* () {
    for (let second = 0; second < minutes * 60; second += 5) {
      yield* settle
      yield* TestClock.adjust("5 seconds")
    }
  })

/** Runs the scenario while 50 fibers call `/users/me` every 30 s. Returns the calls that failed. */
const whileFibersCall = <E, R>(
  story: (app: FakeIms.App) => Effect.Effect<void, E, R | FakeIms.FakeIms | FakeKeyVault.FakeKeyVault>
) =>
  Effect.gen(function* () {
    const ims = yield* FakeIms.FakeIms
    const vault = yield* FakeKeyVault.FakeKeyVault
    const app = yield* ims.registerApp({ name: "Rotated", tokenLife: "10 minutes" })
    const { clientId, clientSecret } = app.credentials
    yield* vault.setSecret(name, Redacted.value(clientSecret))
    const failures: Array<Failure> = []
    let calls = 0
    const call = Users.me.pipe(
      Effect.catch((error) =>
        Effect.clockWith((clock) =>
          Effect.sync(() => {
            failures.push({
              at: clock.currentTimeMillisUnsafe() / minute,
              reason: error.reason._tag
            })
          })
        )
      ),
      Effect.andThen(
        Effect.sync(() => {
          calls++
        })
      ),
      Effect.andThen(Effect.sleep("30 seconds")),
      Effect.forever
    )
    yield* Effect.gen(function* () {
      const fibers = yield* Effect.all(Array.from({ length: 50 }, () => Effect.forkChild(call)))
      yield* story(app)
      yield* Fiber.interruptAll(fibers)
    }).pipe(
      Effect.provide(
        ITwin.layerWith({}).pipe(
          Layer.provide(provider(() => ({}), { clientId: { literal: clientId }, clientSecret: name }))
        )
      )
    )
    const requests = (yield* ims.tokenRequests).map(({ at, outcome, secretVersion }) => ({
      at: at / minute,
      outcome,
      secretVersion
    }))
    return { calls, failures, requests }
  }).pipe(Effect.provide(Layer.merge(FakeIms.layerTest(), fresh)))

describe("a secret rotated while 50 fibers call the API", () => {
  it.effect("fails no call, and uses the new secret, when it is in the vault before the old one is revoked", () =>
    Effect.gen(function* () {
      const { calls, failures, requests } = yield* whileFibersCall((app) =>
        Effect.gen(function* () {
          const ims = yield* FakeIms.FakeIms
          const vault = yield* FakeKeyVault.FakeKeyVault
          yield* pass(4)
          const next = yield* ims.regenerateSecret(app.credentials.clientId, { overlap: "1 hour" })
          yield* pass(5)
          yield* vault.setSecret(name, Redacted.value(next.credentials.clientSecret))
          yield* pass(11)
          yield* ims.revokeSecret(app.credentials.clientId, app.credentials.clientSecret)
          yield* pass(10)
        })
      )
      assert.deepStrictEqual(failures, [])
      assert.isAbove(calls, 50 * 30)
      for (const { at, secretVersion } of requests) assert.strictEqual(secretVersion, at < 9 ? 1 : 2, `at minute ${at}`)
      assert.isTrue(requests.some((request) => request.secretVersion === 1))
      assert.isTrue(requests.some((request) => request.at > 20 && request.secretVersion === 2))
    })
  )

  it.effect("fails calls until 60 s after the new version, and recovers, when the old secret was revoked before", () =>
    Effect.gen(function* () {
      const { failures, requests } = yield* whileFibersCall((app) =>
        Effect.gen(function* () {
          const ims = yield* FakeIms.FakeIms
          const vault = yield* FakeKeyVault.FakeKeyVault
          yield* pass(4)
          const next = yield* ims.regenerateSecret(app.credentials.clientId)
          yield* pass(9)
          yield* vault.setSecret(name, Redacted.value(next.credentials.clientSecret))
          yield* pass(12)
        })
      )
      assert.isAbove(failures.length, 0)
      // The token of minute 0 is used until minute 9. The new version is stored at minute 13.
      for (const { at, reason } of failures) {
        assert.strictEqual(reason, "InvalidClient")
        assert.isAtLeast(at, 9)
        assert.isAtMost(at, 14.1)
      }
      const refused = requests.filter((request) => request.outcome === "invalid_client")
      assert.isTrue(refused.every((request) => request.secretVersion === 1))
      // 50 callers fail for minutes, and replayed failures make no request.
      assert.isBelow(refused.length, 20)
      assert.isTrue(
        requests.some((request) => request.at >= 13 && request.secretVersion === 2 && request.outcome === "ok")
      )
    })
  )
})
