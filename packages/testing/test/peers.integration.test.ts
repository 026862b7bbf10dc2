// Checks what the table "Why" of the README says about other clients, next to this library.
import { assert, describe, it } from "@effect/vitest"
import { SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms, FakeImsServer, Fault } from "@effect-itwin/testing"
import { ServiceAuthorizationClient } from "@itwin/service-authorization"
import { Effect, Layer, Logger } from "effect"
import { FetchHttpClient } from "effect/http"
import * as openid from "openid-client"
import { register, secretOf } from "./contract.ts"

const setUp = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  const app = yield* register()
  const { clientId } = app.credentials
  const clientSecret = secretOf(app)
  const authority = fake.environment.apiBaseUrl
  return { fake, app, clientId, clientSecret, authority }
})

const live = Layer.merge(FakeImsServer.layer(), FetchHttpClient.layer)
const shortLived = Layer.merge(FakeImsServer.layer({ tokenLife: "50 seconds" }), FetchHttpClient.layer)

/** Is an answer that no client retries. */
const refusal = Fault.always(Fault.respond({ status: 400, body: { error: "invalid_request" } }))

const cacheOf = (app: FakeIms.App) => TokenCache.layer.pipe(Layer.provide(SecretProvider.layerStatic(app.credentials)))

describe("100 first calls at the same time", () => {
  it.live("makes one token request for 100 concurrent first calls of TokenCache", () =>
    Effect.gen(function* () {
      const { app, fake } = yield* setUp
      yield* Effect.gen(function* () {
        const cache = yield* TokenCache.TokenCache
        yield* Effect.replicateEffect(cache.get(), 100, { concurrency: "unbounded" })
      }).pipe(Effect.provide(cacheOf(app)))
      yield* fake.assertTokenRequests(1)
    }).pipe(Effect.provide(live))
  )

  it.live("makes 100 token requests for 100 concurrent first calls of @itwin/service-authorization", () =>
    Effect.gen(function* () {
      const { authority, clientId, clientSecret, fake } = yield* setUp
      const client = new ServiceAuthorizationClient({ clientId, clientSecret, scope: "itwin-platform", authority })
      yield* Effect.promise(() => Promise.all(Array.from({ length: 100 }, () => client.getAccessToken())))
      yield* fake.assertTokenRequests(100)
    }).pipe(Effect.provide(live))
  )

  it.live("makes 100 token requests for 100 concurrent first calls of openid-client, and one for each later call", () =>
    Effect.gen(function* () {
      const { authority, clientId, clientSecret, fake } = yield* setUp
      const config = yield* Effect.promise(() =>
        openid.discovery(new URL(authority), clientId, clientSecret, undefined, {
          execute: [openid.allowInsecureRequests]
        })
      )
      const grant = () => openid.clientCredentialsGrant(config, { scope: "itwin-platform" })
      yield* Effect.promise(() => Promise.all(Array.from({ length: 100 }, grant)))
      yield* Effect.promise(grant)
      yield* fake.assertTokenRequests(101)
    }).pipe(Effect.provide(live))
  )
})

describe("a failed renewal, while the token is valid for less than a minute", () => {
  it.live("fails no caller of TokenCache when a renewal fails while the token is valid", () =>
    Effect.gen(function* () {
      const { app, fake } = yield* setUp
      yield* Effect.gen(function* () {
        const cache = yield* TokenCache.TokenCache
        const token = yield* cache.get()
        yield* fake.script("POST /connect/token", refusal)
        yield* Effect.flip(cache.refresh())
        assert.strictEqual(yield* cache.get(), token)
      }).pipe(Effect.provide(cacheOf(app)))
    }).pipe(Effect.provide([shortLived, Logger.layer([])]))
  )

  it.live("fails the caller of @itwin/service-authorization when a renewal fails while the token is valid", () =>
    Effect.gen(function* () {
      const { authority, clientId, clientSecret, fake } = yield* setUp
      const client = new ServiceAuthorizationClient({ clientId, clientSecret, scope: "itwin-platform", authority })
      yield* Effect.promise(() => client.getAccessToken())
      yield* fake.script("POST /connect/token", refusal)
      const error = yield* Effect.flip(
        Effect.tryPromise({ try: () => client.getAccessToken(), catch: (error) => error })
      )
      assert.match(String(error), /400/)
    }).pipe(Effect.provide([shortLived, Logger.layer([])]))
  )
})

describe("a new secret, when the old one is rejected", () => {
  it.live("uses the new secret in TokenCache when the old one is rejected", () =>
    Effect.gen(function* () {
      const { app, fake } = yield* setUp
      let credentials = app.credentials
      const secrets = Layer.succeed(SecretProvider.SecretProvider, { credentials: Effect.sync(() => credentials) })
      yield* Effect.gen(function* () {
        const cache = yield* TokenCache.TokenCache
        yield* cache.get()
        credentials = (yield* fake.regenerateSecret(credentials.clientId)).credentials
        yield* cache.refresh()
      }).pipe(Effect.provide(TokenCache.layer.pipe(Layer.provide(secrets))))
      yield* fake.assertTokenRequests(2)
    }).pipe(Effect.provide(live))
  )
})
