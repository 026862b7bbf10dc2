import { assert, describe, it } from "@effect/vitest"
import { Environment, ITwin, RetryPolicy, SecretProvider, TokenCache, Users } from "@effect-itwin/core"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import * as jose from "jose"
import { contract, register, tokenFor } from "./contract.ts"
import { faults } from "./faults.ts"
import { usersContract } from "./usersContract.ts"

const served = Layer.merge(FakeImsServer.layer(), FetchHttpClient.layer)

describe("FakeIms on a socket", () => {
  contract(it.live, served)
  // RSA keys take long to make, and the clients of others check them in userClients.integration.test.ts.
  usersContract(it.live, Layer.merge(FakeImsServer.layer({ algorithm: "EdDSA" }), FetchHttpClient.layer))
  faults(it.live, served, (effect) => effect)

  it.live("listens on loopback only, and says that it is a fake", () =>
    Effect.gen(function* () {
      const { environment } = yield* FakeIms.FakeIms
      assert.match(environment.apiBaseUrl, /^http:\/\/127\.0\.0\.1:\d+$/)
      const response = yield* HttpClient.get(`${environment.apiBaseUrl}/users/me`)
      assert.strictEqual(response.headers["x-fake-ims"], "1")
    }).pipe(Effect.provide(served))
  )

  it.live("issues RS256 tokens in its own name, with the platform's claims", () =>
    Effect.gen(function* () {
      const { environment } = yield* FakeIms.FakeIms
      const app = yield* register()
      const token = yield* tokenFor(app)
      const { alg, kid } = jose.decodeProtectedHeader(token)
      assert.strictEqual(alg, "RS256")
      assert.match(kid ?? "", /^fake-/)
      const claims = jose.decodeJwt(token)
      assert.deepInclude(claims, {
        iss: environment.apiBaseUrl,
        client_id: app.credentials.clientId,
        scope: ["itwin-platform"]
      })
      assert.include(claims.aud, "bentley-api-management")
      assert.strictEqual((claims.exp ?? 0) - (claims.iat ?? 0), 3600)
    }).pipe(Effect.provide(served))
  )

  it.live("makes one token request for 1,000 concurrent first callers over HTTP", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const app = yield* register()
      yield* Effect.gen(function* () {
        const cache = yield* TokenCache.TokenCache
        yield* Effect.all(
          Array.from({ length: 1000 }, () => cache.get()),
          { concurrency: "unbounded" }
        )
        assert.strictEqual((yield* Users.me).givenName, "Contract")
      }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provide(SecretProvider.layerStatic(app.credentials)))))
      assert.strictEqual((yield* fake.tokenRequests).length, 1)
    }).pipe(Effect.provide(served))
  )

  it.live("does not listen where others can reach it, unless that is allowed", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(FakeImsServer.layer({ host: "0.0.0.0" }))))
      assert.include(String(error.cause), "allowRemote")
    })
  )

  it.live("does not start with a public URL that has a path", () =>
    Effect.gen(function* () {
      const layer = FakeImsServer.layer({ host: "0.0.0.0", allowRemote: true, publicUrl: "http://fake-ims/x" })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error._tag, "ServeError")
      assert.include(String(error.cause), "without a path")
    })
  )

  it.live("serves no admin API unless the admin option is given", () =>
    Effect.gen(function* () {
      for (const admin of [undefined, true] as const) {
        const { health, apps } = yield* Effect.gen(function* () {
          const { environment, registerApp } = yield* FakeIms.FakeIms
          yield* registerApp({ name: "Seen" })
          return {
            health: (yield* HttpClient.get(`${environment.apiBaseUrl}/health`)).status,
            apps: (yield* HttpClient.get(`${environment.apiBaseUrl}/__admin/apps`)).status
          }
        }).pipe(Effect.provide(Layer.merge(FakeImsServer.layer({ admin }), FetchHttpClient.layer)))
        assert.deepStrictEqual([health, apps], admin === true ? [200, 200] : [404, 404])
      }
    })
  )

  it.live("stops listening when its layer is closed", () =>
    Effect.gen(function* () {
      const { environment, app } = yield* Effect.gen(function* () {
        const { environment } = yield* FakeIms.FakeIms
        return { environment, app: yield* register() }
      }).pipe(Effect.provide(served))
      const error = yield* Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get()).pipe(
        Effect.flip,
        Effect.provide(
          TokenCache.layer.pipe(
            Layer.provide([
              FetchHttpClient.layer,
              SecretProvider.layerStatic(app.credentials),
              Layer.succeed(Environment.Environment, environment),
              RetryPolicy.layer(RetryPolicy.none)
            ])
          )
        )
      )
      assert.deepInclude(error.reason, { _tag: "Transport", kind: "refused" })
      assert.include(error.message, environment.tokenEndpoint)
    })
  )
})
