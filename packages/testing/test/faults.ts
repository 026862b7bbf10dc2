// The result of a token request for each fault: one table, run in process and over a socket.

import { assert, type it as unit } from "@effect/vitest"
import {
  Environment,
  ITwin,
  ITwinApiError,
  RetryPolicy,
  Scopes,
  SecretProvider,
  TokenRequest,
  Users
} from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Duration, Effect, Layer } from "effect"
import type { HttpClient } from "effect/http"

const table: ReadonlyArray<readonly [string, Fault.Fault, string]> = [
  ["503 with HTML", Fault.html(503, "Maintenance"), "ServerError"],
  ["429 with Retry-After", Fault.rateLimit(60), "RateLimited"],
  ["429 with a malformed Retry-After", Fault.rateLimit("soon"), "RateLimited"],
  ["a redirect", Fault.redirect("https://login.example.com/"), "RedirectRefused"],
  ["a page of a captive portal", Fault.html(200, "Welcome"), "InvalidResponse"],
  ["a delay within the limit", Fault.delay("10 millis"), "ok"],
  ["a delay over the limit", Fault.delay("10 seconds"), "Timeout"],
  ["no answer", Fault.hang, "Timeout"],
  ["a stall in the body", Fault.stall, "Timeout"],
  ["a reset before the answer", Fault.reset, "Transport/reset"],
  ["a reset in the body", Fault.resetAmidBody, "Transport/reset"],
  ["a truncated body", Fault.truncate, "InvalidResponse"],
  ["a wrong content type", Fault.contentType("text/html"), "ok"],
  ["expires_in as text", Fault.fields({ expires_in: "3600" }), "ok"],
  ["expires_in negative", Fault.fields({ expires_in: -1 }), "InvalidResponse"],
  ["no expires_in", Fault.omit("expires_in"), "ok"],
  ["no access_token", Fault.omit("access_token"), "InvalidResponse"],
  ["another token type", Fault.fields({ token_type: "MAC" }), "InvalidResponse"],
  ["an unknown OAuth error", Fault.respond({ status: 400, body: { error: "weird" } }), "OAuthError"],
  ["204", Fault.respond({ status: 204 }), "UnexpectedStatus"]
]

/** Sends requests to the fake, in process or on its socket. */
const provideEnvironment = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(FakeIms.FakeIms, ({ environment }) => Effect.provide(effect, Environment.layer(environment)))

/** Runs the effect to its end, and advances virtual time where time is virtual. */
export type RunToEnd = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const policy = RetryPolicy.layer(RetryPolicy.make({ attempts: 1, attemptTimeout: Duration.seconds(1) }))

const appLayer = Layer.unwrap(
  Effect.gen(function* () {
    const fake = yield* FakeIms.FakeIms
    const app = yield* fake.registerApp({ name: "Faults" })
    return ITwin.layerWith({}).pipe(Layer.provide([SecretProvider.layerStatic(app.credentials), policy]))
  })
)

export const faults = (
  test: typeof unit.effect | typeof unit.live,
  layer: Layer.Layer<FakeIms.FakeIms | HttpClient.HttpClient, unknown>,
  runToEnd: RunToEnd
) => {
  const withApp = Effect.provide(Layer.provideMerge(appLayer, Layer.fresh(layer)))
  // Without the cache, which would remember a Retry-After.
  const outcome = Effect.gen(function* () {
    const fake = yield* FakeIms.FakeIms
    const { credentials } = yield* Effect.orDie(fake.registerApp({ name: "Request" }))
    return yield* TokenRequest.send({ credentials, scopes: Scopes.itwinPlatform })
  }).pipe(
    Effect.provide(policy),
    provideEnvironment,
    Effect.match({
      onSuccess: () => "ok",
      onFailure: ({ reason }) => (reason._tag === "Transport" ? `Transport/${reason.kind}` : reason._tag)
    }),
    runToEnd
  )

  test.each(table)("returns the expected result for %s, and a token for the next request", ([_name, fault, expected]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", Fault.once(fault))
      assert.strictEqual(yield* outcome, expected)
      yield* fake.verify
      assert.strictEqual(yield* outcome, "ok")
      yield* fake.assertTokenRequests(2)
    }).pipe(withApp)
  )

  test("applies steps in order: after, times, always", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script(
        "POST /connect/token",
        Fault.after(Fault.times(Fault.rateLimit(1), 2), 1),
        Fault.always(Fault.html(503, "Down"))
      )
      const outcomes = yield* Effect.all(Array.from({ length: 5 }, () => outcome))
      assert.deepStrictEqual(outcomes, ["ok", "RateLimited", "RateLimited", "ServerError", "ServerError"])
      yield* fake.clearScripts
      assert.strictEqual(yield* outcome, "ok")
    }).pipe(withApp))

  test("fails the scripted API call and no other request", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("GET /users/me", Fault.once(FakeIms.gateway401), Fault.once(FakeIms.rateLimited(7)))
      const first = yield* Effect.flip(Users.me)
      assert.instanceOf(first, ITwinApiError.ITwinApiError)
      assert.strictEqual(first.reason._tag, "Unauthorized")
      assert.include(first.message, "Invalid JWT")
      const second = yield* Effect.flip(Users.me)
      assert.deepInclude(second.reason, { _tag: "RateLimited", retryAfter: Duration.seconds(7) })
      assert.strictEqual((yield* Users.me).givenName, "Faults")
      yield* fake.assertTokenRequests(1)
    }).pipe(withApp))

  test("verify fails with the steps that were never used", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", Fault.once(Fault.hang))
      const error = yield* Effect.flip(fake.verify)
      assert.include(error.message, 'POST /connect/token: {"fault":{"_tag":"Hang"}')
      yield* fake.clearScripts
    }).pipe(withApp))

  test("lists its routes when a script names an unknown one", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const exit = yield* Effect.exit(fake.script("GET /nothing", Fault.once(Fault.hang)))
      assert.include(String(exit), "GET /users/me")
    }).pipe(withApp))
}
