import { assert, describe, it } from "@effect/vitest"
import { ClientCredentials, ITwin, SecretProvider, SecretProviderError, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { AccessTokenVerifier, IntrospectionVerifier } from "@effect-itwin/verify"
import { DateTime, Effect, Fiber, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { type Answer, clientId, ims, issuer, json, outcome, verify } from "./support.ts"

const route = "POST /connect/introspect"
const Platform = (options?: FakeIms.TestOptions) => ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest(options)))

const get = Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get())
const countOf = Effect.map(
  Effect.flatMap(FakeIms.FakeIms, ({ journal }) => journal),
  (entries) => entries.filter((entry) => entry.route === route).length
)

describe("IntrospectionVerifier with the fake", () => {
  it.effect("returns what IMS says about the token, and asks once in 60 s", () =>
    Effect.gen(function* () {
      const token = yield* get
      const text = Redacted.value(token.value)
      yield* Effect.gen(function* () {
        const verified = yield* verify(text)
        assert.strictEqual(verified.clientId, token.clientId)
        assert.strictEqual(verified.subject, token.clientId)
        assert.strictEqual(verified.kind, "service")
        assert.deepStrictEqual(verified.scopes, ["itwin-platform"])
        assert.deepStrictEqual(verified.expiresAt, DateTime.makeUnsafe(3_600_000))
        assert.strictEqual(Redacted.value(verified.value), text)
        yield* TestClock.adjust("59 seconds")
        yield* verify(text)
        assert.strictEqual(yield* countOf, 1)
        yield* TestClock.adjust("1 second")
        yield* verify(text)
        assert.strictEqual(yield* countOf, 2)
      }).pipe(Effect.provide(IntrospectionVerifier.layer({ clientIds: [token.clientId] })))
    }).pipe(Effect.provide(Platform()))
  )

  it.effect("asks once when many callers present the same token at the same time", () =>
    Effect.gen(function* () {
      const token = yield* get
      const fake = yield* FakeIms.FakeIms
      yield* fake.script(route, Fault.once(Fault.delay("1 second")))
      yield* Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(
          Effect.all(
            Array.from({ length: 20 }, () => outcome(Redacted.value(token.value))),
            { concurrency: 20 }
          )
        )
        yield* fake.awaitRequest(route)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual([...new Set(yield* Fiber.join(fiber))], ["accepted"])
        assert.strictEqual(yield* countOf, 1)
      }).pipe(Effect.provide(IntrospectionVerifier.layer({ clientIds: [token.clientId] })))
    }).pipe(Effect.provide(Platform()))
  )

  it.effect("asks each time when cacheFor is zero, and for a token that is not active", () =>
    Effect.gen(function* () {
      const token = yield* get
      const fake = yield* FakeIms.FakeIms
      const text = Redacted.value(token.value)
      yield* Effect.gen(function* () {
        yield* verify(text)
        yield* fake.revokeToken(token)
        assert.strictEqual(yield* outcome(text), "Inactive")
        assert.strictEqual(yield* outcome(text), "Inactive")
        assert.strictEqual(yield* countOf, 3)
      }).pipe(Effect.provide(IntrospectionVerifier.layer({ clientIds: [token.clientId], cacheFor: 0 })))
    }).pipe(Effect.provide(Platform()))
  )

  it.effect("uses a response no longer than the token is valid", () =>
    Effect.gen(function* () {
      const token = yield* get
      const text = Redacted.value(token.value)
      yield* Effect.gen(function* () {
        yield* verify(text)
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(yield* outcome(text), "Inactive")
      }).pipe(Effect.provide(IntrospectionVerifier.layer({ clientIds: [token.clientId] })))
    }).pipe(Effect.provide(Platform({ tokenLife: "20 seconds" })))
  )

  it.effect("fails when the secret of this service is revoked", () =>
    Effect.gen(function* () {
      const token = yield* get
      const fake = yield* FakeIms.FakeIms
      const { clientSecret } = yield* (yield* SecretProvider.SecretProvider).credentials
      yield* fake.revokeSecret(token.clientId, clientSecret)
      const error = yield* Effect.flip(verify(Redacted.value(token.value))).pipe(
        Effect.provide(IntrospectionVerifier.layer({ clientIds: [token.clientId] }))
      )
      assert.strictEqual(error.reason._tag, "IntrospectionUnavailable")
      assert.include(error.message, "rejected the request of this service (status 401)")
    }).pipe(Effect.provide(Platform()))
  )
})

const active = {
  active: true,
  client_id: clientId,
  scope: "itwin-platform",
  exp: 3600,
  iss: issuer,
  aud: "bentley-api-management"
}

const credentials = new ClientCredentials.ClientCredentials({
  clientId: "service-Mine",
  clientSecret: Redacted.make("fake-secret-a+b/c=")
})

const verifier = (answer: Answer, options: Partial<IntrospectionVerifier.Options> = {}) =>
  IntrospectionVerifier.layer({ clientIds: [clientId], ...options }).pipe(
    Layer.provide([ims(answer).layer, SecretProvider.layerStatic(credentials)])
  )

describe("an introspection response", () => {
  it.effect.each<readonly [name: string, response: unknown, outcome: string]>([
    ["everything is there", active, "accepted"],
    ["issuer and audience are absent", { ...active, iss: undefined, aud: undefined }, "accepted"],
    ["active is false", { ...active, active: false }, "Inactive"],
    ["active is a text", { ...active, active: "true" }, "IntrospectionUnavailable"],
    ["active is absent", { ...active, active: undefined }, "IntrospectionUnavailable"],
    ["the body repeats active", `{"active":false,${JSON.stringify(active).slice(1)}`, "IntrospectionUnavailable"],
    ["the body is a list", [active], "IntrospectionUnavailable"],
    ["the body is a page", "<html>", "IntrospectionUnavailable"],
    ["the client is not listed", { ...active, client_id: "service-Other" }, "WrongClient"],
    ["the client is absent", { ...active, client_id: undefined }, "Malformed"],
    ["the issuer is another one", { ...active, iss: "https://elsewhere.example" }, "WrongIssuer"],
    ["the audience is another one", { ...active, aud: ["elsewhere"] }, "WrongAudience"],
    ["the audience is a number", { ...active, aud: 7 }, "Malformed"],
    ["the token has expired", { ...active, exp: -30 }, "Expired"],
    ["the token expired within the tolerance", { ...active, exp: -29 }, "accepted"],
    ["exp is absent", { ...active, exp: undefined }, "Malformed"],
    ["the token is not valid yet", { ...active, nbf: 31 }, "NotYetValid"],
    ["nbf is within the tolerance", { ...active, nbf: 30 }, "accepted"],
    ["nbf is a text", { ...active, nbf: "0" }, "Malformed"],
    ["a scope is missing", { ...active, scope: "users:read" }, "InsufficientScope"]
  ])("leads to the right outcome when %s", ([_name, response, expected]) =>
    Effect.gen(function* () {
      const text = "fake-opaque~token"
      assert.strictEqual(yield* outcome(text), expected)
      assert.strictEqual(yield* outcome(text), expected)
    }).pipe(
      Effect.provide(
        verifier(() => new Response(typeof response === "string" ? response : JSON.stringify(response)), {
          scopes: ["itwin-platform"]
        })
      )
    )
  )

  it.effect("is Expired when exp and tolerance have passed", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(3_630_000)
      assert.strictEqual(yield* outcome("fake-token"), "Expired")
    }).pipe(Effect.provide(verifier(json(active))))
  )

  it.effect.each<readonly [token: string, outcome: string]>([
    ["", "Missing"],
    ["fake token", "Malformed"],
    ["fake\ntoken", "Malformed"],
    ["a".repeat(33 * 1024), "Malformed"]
  ])("is not requested for what can't be a token: %s", ([text, expected]) => {
    const server = ims(json(active))
    return Effect.gen(function* () {
      assert.strictEqual(yield* outcome(text), expected)
      assert.lengthOf(server.state.requests, 0)
    }).pipe(
      Effect.provide(
        IntrospectionVerifier.layer({ clientIds: [clientId] }).pipe(
          Layer.provide([server.layer, SecretProvider.layerStatic(credentials)])
        )
      )
    )
  })

  it.effect.each<readonly [name: string, credentials: Effect.Effect<never, SecretProviderError.SecretProviderError>]>([
    [
      "fails",
      Effect.fail(
        new SecretProviderError.SecretProviderError({
          reason: new SecretProviderError.NotFound({ provider: "Vault", secretName: "itwin" })
        })
      )
    ],
    ["dies", Effect.die(new Error("fake-secret-a+b/c="))]
  ])("is not requested when the SecretProvider %s", ([_name, failing]) => {
    const server = ims(json(active))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(verify("fake-token"))
      assert.strictEqual(error.reason._tag, "IntrospectionUnavailable")
      assert.notInclude(error.message, "fake-secret")
      assert.lengthOf(server.state.requests, 0)
    }).pipe(
      Effect.provide(
        IntrospectionVerifier.layer({ clientIds: [clientId] }).pipe(
          Layer.provide([server.layer, Layer.succeed(SecretProvider.SecretProvider, { credentials: failing })])
        )
      )
    )
  })
})

describe("IntrospectionVerifier.layer", () => {
  it.effect.each<readonly [name: string, options: Partial<IntrospectionVerifier.Options>, expected: RegExp]>([
    ["clientIds is empty", { clientIds: [] }, /^clientIds must/],
    ["cacheFor is longer than 60 s", { cacheFor: "61 seconds" }, /^cacheFor must/],
    ["endpoint is http", { endpoint: "http://ims.example/connect/introspect" }, /^endpoint must/]
  ])("dies when %s", ([_name, options, expected]) =>
    Effect.gen(function* () {
      const defect = yield* Layer.build(verifier(json(active), options)).pipe(
        Effect.scoped,
        Effect.catchDefect((defect) => Effect.succeed(defect))
      )
      assert.match(defect instanceof Error ? defect.message : "", expected)
    })
  )

  it.effect("provides the same service as the local verifier", () =>
    Effect.gen(function* () {
      const { verify } = yield* AccessTokenVerifier.AccessTokenVerifier
      assert.strictEqual((yield* verify(Redacted.make("fake-token"))).clientId, clientId)
    }).pipe(Effect.provide(verifier(json(active))))
  )
})
