// Rule 6: a failure that lasts is replayed for a while, to spare IMS.
import { assert, describe, it } from "@effect/vitest"
import { Scopes, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Duration, Effect } from "effect"
import {
  a,
  twoScopesApp as app,
  assertRequests,
  b,
  cached,
  clear,
  get,
  invalidClient,
  oauth,
  pass,
  reasonOf,
  refresh,
  requests,
  script,
  times,
  toSoft
} from "./cacheSupport.ts"

describe("a failure that lasts", () => {
  it.effect("is replayed whole, with the time that is left of it", () =>
    Effect.gen(function* () {
      yield* script(
        Fault.always(Fault.respond({ status: 401, body: { error: "invalid_client", error_description: "no" } }))
      )
      const error = yield* Effect.flip(get())
      assert.isUndefined(error.nextAttemptIn)
      yield* pass(1)
      const replayed = yield* Effect.flip(get())
      assert.deepInclude(replayed.reason, { _tag: "InvalidClient", description: "no" })
      for (const field of ["status", "correlationId", "clientId", "endpoint"] as const) {
        assert.isDefined(replayed[field])
        assert.strictEqual(replayed[field], error[field])
      }
      const left = Duration.toMillis(replayed.nextAttemptIn ?? 0)
      assert.isAtLeast(left, 3000)
      assert.isAtMost(left, 4000)
      assert.include(replayed.message, "not asked again for")
      yield* pass(1)
      assert.strictEqual(Duration.toMillis((yield* Effect.flip(get())).nextAttemptIn ?? 0), left - 1000)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("is replayed for 5 s, doubling to 60 s, each up to a fifth shorter", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(invalidClient))
      for (let i = 0; i < 4000; i++) {
        yield* Effect.flip(get())
        yield* pass(0.1)
      }
      const made = yield* times
      const pauses = made.slice(1).map((time, i) => time - (made[i] ?? 0))
      for (const [i, pause] of pauses.entries()) {
        const full = Math.min(60, 5 * 2 ** i)
        assert.isAtMost(pause, full + 0.1, `pause ${i}`)
        assert.isAtLeast(pause, full * 0.8, `pause ${i}`)
      }
      assert.isAtLeast(pauses.length, 7)
      assert.isAbove(new Set(pauses.slice(5).map((pause) => pause.toFixed(1))).size, 1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("counts once when it meets several scopes at once, or is asked for again", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(invalidClient))
      yield* Effect.all([get(a), get(b), refresh(a)].map(Effect.flip), { concurrency: "unbounded" })
      yield* Effect.flip(refresh(a))
      const made = yield* requests
      yield* pass(5)
      yield* Effect.flip(get(a))
      assert.strictEqual(yield* requests, made + 1)
      yield* pass(7.9)
      yield* Effect.flip(get(a))
      assert.strictEqual(yield* requests, made + 1)
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect.each(["invalid_client", "unauthorized_client"])("%s holds for all scopes", (error) =>
    Effect.gen(function* () {
      yield* script(Fault.always(oauth(error)))
      const first = yield* reasonOf(get(a))
      assert.strictEqual(yield* reasonOf(get(b)), first)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect("invalid_scope holds for its own scopes only", () =>
    Effect.gen(function* () {
      const other = Scopes.make("other")
      assert.strictEqual(yield* reasonOf(get(other)), "InvalidScope")
      assert.strictEqual(yield* reasonOf(get(other)), "InvalidScope")
      yield* assertRequests(1)
      yield* get(a)
      yield* assertRequests(2)
      assert.strictEqual(yield* reasonOf(get(other)), "InvalidScope")
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect("invalid_scope is replayed too when invalid_client came, and went, before it", () =>
    Effect.gen(function* () {
      const other = Scopes.make("other")
      yield* script(Fault.once(invalidClient))
      yield* Effect.flip(get(other))
      yield* pass(5)
      assert.strictEqual(yield* reasonOf(get(other)), "InvalidScope")
      assert.strictEqual(yield* reasonOf(get(other)), "InvalidScope")
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect.each(["invalid_request", "unsupported_grant_type", "access_denied"])("%s is not replayed", (error) =>
    Effect.gen(function* () {
      yield* script(Fault.once(oauth(error)))
      yield* Effect.flip(get())
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("does not concern those who hold a valid token", () =>
    Effect.gen(function* () {
      const old = yield* get(a)
      yield* script(Fault.always(invalidClient))
      yield* Effect.flip(get(b))
      assert.strictEqual(yield* get(a), old)
      yield* toSoft
      yield* Effect.flip(get(b))
      const made = yield* requests
      assert.strictEqual(yield* get(a), old)
      assert.strictEqual(yield* requests, made)
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect("refresh goes past it, and its success ends it", () =>
    Effect.gen(function* () {
      yield* script(Fault.times(invalidClient, 2))
      yield* Effect.flip(get(a))
      assert.strictEqual(yield* reasonOf(refresh(a)), "InvalidClient")
      yield* assertRequests(2)
      yield* Effect.flip(get(a))
      yield* assertRequests(2)
      yield* refresh(a)
      yield* get(b)
      yield* assertRequests(4)
    }).pipe(Effect.provide(cached({}, { app })))
  )

  it.effect("a success ends its doubling: the next one is replayed for 5 s again", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      yield* script(Fault.times(invalidClient, 3))
      for (let i = 0; i < 3; i++) {
        yield* Effect.flip(refresh())
        yield* pass(60)
      }
      yield* cache.invalidate(yield* refresh())
      yield* script(Fault.once(invalidClient))
      yield* Effect.flip(get())
      yield* pass(5)
      yield* get()
      yield* assertRequests(6)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("is not replayed when the option says so", () =>
    Effect.gen(function* () {
      yield* script(Fault.always(invalidClient))
      for (let i = 0; i < 5; i++) yield* Effect.flip(get())
      yield* assertRequests(5)
      yield* clear
      yield* get()
    }).pipe(Effect.provide(cached({ replayFailures: false })))
  )

  it.effect("says that the secret worked before: revoked, or maintenance", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const first = yield* get()
      assert.notInclude((yield* Effect.flip(get(Scopes.make("other")))).message, "before")
      yield* (yield* TokenCache.TokenCache).invalidate(first)
      yield* fake.disableApp(first.clientId)
      assert.include((yield* Effect.flip(get())).message, "revoked, or IMS is in maintenance")
    }).pipe(Effect.provide(cached()))
  )
})
