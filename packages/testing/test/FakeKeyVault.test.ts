import { ClientSecretCredential, ManagedIdentityCredential } from "@azure/identity"
import { SecretClient } from "@azure/keyvault-secrets"
import { assert, describe, it } from "@effect/vitest"
import { FakeKeyVault, Fault } from "@effect-itwin/testing"
import { DateTime, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { failure, makeVaultTest, newest, reads, vaultContract, type Wiring } from "./vaultContract.ts"
import { vaultOperations } from "./vaultOperations.ts"

/** Builds the SDK over the fake's `httpClient`, without retries, which would wait on the clock of the machine. */
const wiring = Effect.map(FakeKeyVault.FakeKeyVault, ({ httpClient, tenantId, clientId, clientSecret }): Wiring => {
  const options = { httpClient, retryOptions: { maxRetries: 0 } }
  return {
    options,
    credential: new ClientSecretCredential(tenantId, clientId, Redacted.value(clientSecret), options),
    wrongCredential: new ClientSecretCredential(tenantId, clientId, "fake-secret-wrong+/=", options)
  }
})

const makeClient = Effect.gen(function* () {
  const { vaultUrl } = yield* FakeKeyVault.FakeKeyVault
  const { credential, options } = yield* wiring
  return new SecretClient(vaultUrl, credential, options)
})

const fresh = Layer.suspend(() => FakeKeyVault.layerTest())

describe("FakeKeyVault in process", () => {
  const vaultTest = makeVaultTest(it.effect, fresh, wiring)
  vaultContract(vaultTest)
  vaultOperations(vaultTest)

  it.effect("delays an answer on the TestClock", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      yield* vault.script("GET /secrets/:name", Fault.once(Fault.delay("3 minutes")))
      const reading = yield* Effect.forkChild(newest(client, "itwin"))
      yield* vault.awaitRequest("GET /secrets/:name", 2)
      yield* TestClock.adjust("179 seconds")
      assert.isUndefined(reading.pollUnsafe())
      assert.deepInclude((yield* reads(vault))[1], { outcome: "unanswered", fault: "Delay", status: undefined })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(reading), "fake-secret-a+b/c=")
      assert.deepInclude((yield* reads(vault))[1], { at: 0, outcome: "ok", status: 200 })
    }).pipe(Effect.provide(fresh))
  )

  it.effect("times out on the TestClock after the SDK's timeout", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.hang))
      const reading = yield* Effect.forkChild(
        failure(() => client.getSecret("itwin", { requestOptions: { timeout: 5000 } }))
      )
      yield* vault.awaitRequest("GET /secrets/:name", 2)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(reading)).name, "AbortError")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("dates versions with virtual time, and makes the same ids from the same seed", () =>
    Effect.gen(function* () {
      const ids = yield* Effect.forEach([1, 2], () =>
        Effect.gen(function* () {
          const vault = yield* FakeKeyVault.FakeKeyVault
          return yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
        }).pipe(Effect.provide(FakeKeyVault.layerTest({ seed: "s" })))
      )
      assert.strictEqual(ids[0], ids[1])
      const { properties } = yield* Effect.gen(function* () {
        const vault = yield* FakeKeyVault.FakeKeyVault
        yield* TestClock.setTime(DateTime.makeUnsafe("2030-01-01T00:00:00Z").epochMilliseconds)
        yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
        const client = yield* makeClient
        return yield* Effect.promise(() => client.getSecret("itwin"))
      }).pipe(Effect.provide(fresh))
      assert.strictEqual(properties.createdOn?.toISOString(), "2030-01-01T00:00:00.000Z")
    })
  )

  it.effect("returns a token to a managed identity, and accepts the one that MSAL kept from an earlier fake", () => {
    const endpoints = Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      const options = { httpClient: vault.httpClient }
      const client = new SecretClient(vault.vaultUrl, new ManagedIdentityCredential(options), options)
      assert.strictEqual(yield* newest(client, "itwin"), "fake-secret-a+b/c=")
      return (yield* vault.tokenRequests).map(({ route, outcome }) => [route, outcome])
    })
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.provide(endpoints, FakeKeyVault.layerTest()), [
        ["GET /metadata/identity/oauth2/token", "ok"]
      ])
      assert.deepStrictEqual(yield* Effect.provide(endpoints, FakeKeyVault.layerTest()), [])
    })
  })

  it.effect("serves the documents that MSAL requests for an authority it does not know", () =>
    Effect.gen(function* () {
      const { httpClient, tenantId } = yield* FakeKeyVault.FakeKeyVault
      const get = (path: string) =>
        Effect.promise(() =>
          httpClient.sendRequest({ url: `https://login.microsoftonline.com${path}`, method: "GET", headers: [] })
        ).pipe(Effect.map(({ bodyAsText }) => JSON.parse(bodyAsText)))
      const { tenant_discovery_endpoint } = yield* get(`/common/discovery/instance?api-version=1.1`)
      const { token_endpoint } = yield* get(new URL(tenant_discovery_endpoint).pathname)
      assert.strictEqual(token_endpoint, `https://login.microsoftonline.com/${tenantId}/oauth2/v2.0/token`)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("rejects a request to another host as not found", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = new SecretClient(
        "https://other.vault.azure.net",
        { getToken: () => Promise.resolve(null) },
        {
          httpClient: vault.httpClient,
          retryOptions: { maxRetries: 0 }
        }
      )
      const error = yield* failure(() => client.getSecret("itwin"))
      assert.strictEqual(error.code, "ENOTFOUND")
      assert.deepStrictEqual(yield* vault.journal, [])
    }).pipe(Effect.provide(fresh))
  )

  it.effect("lists the steps of a script that were never applied", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.verify
      yield* vault.script("GET /secrets/:name", Fault.once(FakeKeyVault.throttled))
      yield* vault.script("GET /metadata/identity/oauth2/token", Fault.after(Fault.once(Fault.hang), 3))
      const error = yield* Effect.flip(vault.verify)
      assert.instanceOf(error, FakeKeyVault.FakeError)
      assert.include(error.message, `GET /secrets/:name: {"fault":{"_tag":"Respond"`)
      assert.include(
        error.message,
        `GET /metadata/identity/oauth2/token: {"fault":{"_tag":"Hang"},"after":3,"times":1}`
      )
      yield* vault.clearScripts
      yield* vault.verify
    }).pipe(Effect.provide(fresh))
  )

  it.effect("treats a change of a secret that it does not have as a mistake of the test", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      for (const mistake of [
        vault.setSecret("under_score", "x"),
        vault.disableVersion("absent"),
        vault.deleteSecret("absent"),
        vault.recoverSecret("absent"),
        vault.purgeSecret("absent"),
        vault.script("GET /secret", Fault.once(Fault.hang))
      ]) {
        assert.isTrue(Exit.hasDies(yield* Effect.exit(mistake)))
      }
    }).pipe(Effect.provide(fresh))
  )

  it.effect("purges a deleted secret after 90 days", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      yield* vault.deleteSecret("itwin")
      yield* TestClock.adjust("2159 hours")
      assert.strictEqual((yield* Effect.promise(() => client.getDeletedSecret("itwin"))).name, "itwin")
      assert.isTrue(Exit.hasDies(yield* Effect.exit(vault.setSecret("itwin", "fake-secret-d+e/f="))))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* failure(() => client.getDeletedSecret("itwin"))).statusCode, 404)
      yield* vault.setSecret("itwin", "fake-secret-d+e/f=")
      assert.strictEqual(yield* newest(client, "itwin"), "fake-secret-d+e/f=")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("recovers and purges a secret by its controls", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      yield* vault.deleteSecret("itwin")
      yield* vault.recoverSecret("itwin")
      assert.strictEqual(yield* newest(client, "itwin"), "fake-secret-a+b/c=")
      yield* vault.deleteSecret("itwin")
      yield* vault.purgeSecret("itwin")
      assert.strictEqual((yield* failure(() => client.getDeletedSecret("itwin"))).statusCode, 404)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("forgets everything but tenant, app and key when it is reset", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      yield* vault.setSecret("deleted", "fake-secret-a+b/c=")
      yield* vault.deleteSecret("deleted")
      yield* newest(client, "itwin")
      yield* vault.deny("ForbiddenByPolicy")
      yield* vault.revokeTokens
      yield* vault.setChallenge({ resource: "https://evil.example" })
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.hang))
      yield* vault.reset
      assert.deepStrictEqual(yield* vault.journal, [])
      assert.strictEqual(yield* vault.maxConcurrent, 0)
      yield* vault.verify
      assert.strictEqual((yield* failure(() => client.getSecret("itwin"))).statusCode, 404)
      yield* vault.setSecret("deleted", "fake-secret-d+e/f=")
      assert.strictEqual(yield* newest(client, "deleted"), "fake-secret-d+e/f=")
      assert.deepStrictEqual(yield* vault.tokenRequests, [])
    }).pipe(Effect.provide(fresh))
  )

  it.effect("revokes a token of an earlier fake with the same seed, and accepts it before that", () =>
    Effect.gen(function* () {
      const tokens = yield* Effect.gen(function* () {
        const vault = yield* FakeKeyVault.FakeKeyVault
        const first = yield* vault.issueToken()
        yield* vault.revokeTokens
        return [first, yield* vault.issueToken()]
      }).pipe(Effect.provide(fresh))
      yield* Effect.gen(function* () {
        const vault = yield* FakeKeyVault.FakeKeyVault
        yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
        const { options } = yield* wiring
        const statusOf = (token: Redacted.Redacted) => {
          const getToken = () => Promise.resolve({ token: Redacted.value(token), expiresOnTimestamp: 8.64e15 })
          const client = new SecretClient(vault.vaultUrl, { getToken }, options)
          return Effect.promise(() =>
            client.getSecret("itwin").then(
              () => 200,
              ({ statusCode }) => statusCode
            )
          )
        }
        assert.deepStrictEqual(yield* Effect.forEach(tokens, statusOf), [200, 200])
        yield* vault.revokeTokens
        assert.deepStrictEqual(yield* Effect.forEach(tokens, statusOf), [401, 401])
        assert.strictEqual(yield* statusOf(yield* vault.issueToken()), 200)
      }).pipe(Effect.provide(fresh))
    })
  )

  it.effect("returns a request when it arrives, and counts concurrent ones", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      yield* newest(client, "itwin")
      yield* vault.script("GET /secrets/:name", Fault.times(Fault.delay("1 minute"), 3))
      const reading = yield* Effect.forkChild(
        Effect.all(
          [1, 2, 3].map(() => newest(client, "itwin")),
          { concurrency: "unbounded" }
        )
      )
      assert.deepInclude(yield* vault.awaitRequest("GET /secrets/:name", 5), { concurrency: 3 })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(reading)
      assert.strictEqual(yield* vault.maxConcurrent, 3)
      assert.strictEqual((yield* vault.awaitRequest("GET /secrets/:name")).outcome, "challenge")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("keeps as many journal entries as configured", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      for (const _ of [1, 2, 3]) yield* newest(client, "itwin")
      assert.deepStrictEqual(
        (yield* vault.journal).map(({ number, path }) => [number, path]),
        [
          [4, "/secrets/itwin/"],
          [5, "/secrets/itwin/"]
        ]
      )
      assert.strictEqual(yield* vault.droppedEntries, 3)
      assert.strictEqual(yield* vault.countRequests("GET /secrets/:name"), 4)
    }).pipe(Effect.provide(FakeKeyVault.layerTest({ journalLimit: 2 })))
  )

  it.effect("dies when it is closed with unused steps and is strict", () =>
    Effect.gen(function* () {
      const build = (strict: boolean) =>
        Effect.gen(function* () {
          const vault = yield* FakeKeyVault.FakeKeyVault
          yield* vault.script("GET /secrets/:name", Fault.once(Fault.hang))
        }).pipe(Effect.provide(FakeKeyVault.layerTest({ strict })), Effect.exit)
      assert.isTrue(Exit.hasDies(yield* build(true)))
      assert.isTrue(Exit.isSuccess(yield* build(false)))
    })
  )

  it.effect("issues a token with the claims of a fault", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      yield* vault.script("POST /:tenant/oauth2/v2.0/token", Fault.once(Fault.claims({ aud: "https://other.example" })))
      assert.strictEqual((yield* failure(() => client.getSecret("itwin"))).statusCode, 401)
      assert.deepInclude((yield* vault.journal).at(-1), {
        outcome: "AKV10022",
        explanation: "The token has another audience than the vault."
      })
    }).pipe(Effect.provide(fresh))
  )
})
