import { ClientSecretCredential, ManagedIdentityCredential } from "@azure/identity"
import { SecretClient } from "@azure/keyvault-secrets"
import { assert, describe, it } from "@effect/vitest"
import { FakeKeyVault, Fault } from "@effect-itwin/testing"
import { DateTime, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { failure, newest, vaultContract, type Wiring } from "./vaultContract.ts"

/** The real SDK over the fake's `httpClient`. Its retries are off: they would wait for the machine's clock. */
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
  vaultContract(it.effect, fresh, wiring)

  it.effect("delays on the TestClock", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      yield* vault.script([Fault.once(Fault.delay("3 minutes"))])
      const reading = yield* Effect.forkChild(newest(client, "itwin"))
      yield* vault.awaitRequests(2)
      yield* TestClock.adjust("179 seconds")
      assert.isUndefined(reading.pollUnsafe())
      assert.deepInclude((yield* vault.journal)[1], { outcome: "aborted", fault: "Delay", status: undefined })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(reading), "fake-secret-a+b/c=")
      assert.deepInclude((yield* vault.journal)[1], { at: 0, outcome: "ok", status: 200 })
    }).pipe(Effect.provide(fresh))
  )

  it.effect("times out on the TestClock, as the SDK asks it to", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const client = yield* makeClient
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      yield* vault.script([Fault.always(Fault.hang)])
      const reading = yield* Effect.forkChild(
        failure(() => client.getSecret("itwin", { requestOptions: { timeout: 5000 } }))
      )
      yield* vault.awaitRequests(2)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(reading)).name, "AbortError")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("stamps versions with virtual time, and makes the same ids from the same seed", () =>
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

  it.effect("gives a managed identity its token, and takes the one that MSAL kept from a fake before", () => {
    const endpoints = Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      const options = { httpClient: vault.httpClient }
      const client = new SecretClient(vault.vaultUrl, new ManagedIdentityCredential(options), options)
      assert.strictEqual(yield* newest(client, "itwin"), "fake-secret-a+b/c=")
      return (yield* vault.tokenRequests).map(({ endpoint, outcome }) => [endpoint, outcome])
    })
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.provide(endpoints, FakeKeyVault.layerTest()), [["metadata", "ok"]])
      assert.deepStrictEqual(yield* Effect.provide(endpoints, FakeKeyVault.layerTest()), [])
    })
  })

  it.effect("serves MSAL's discovery for an authority that it does not know", () =>
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

  it.effect("finds no other host", () =>
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

  it.effect("lists the steps of a script that nothing used", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.verify
      yield* vault.script([Fault.once(FakeKeyVault.throttled)])
      yield* vault.script([Fault.after(Fault.once(Fault.hang), 3)], "metadata")
      const error = yield* Effect.flip(vault.verify)
      assert.strictEqual(error.steps.length, 2)
      assert.include(error.message, `metadata: {"fault":{"_tag":"Hang"},"after":3,"times":1}`)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("takes a change to a secret it does not have for a mistake of the test", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      for (const mistake of [
        vault.setSecret("under_score", "x"),
        vault.disableVersion("absent"),
        vault.deleteSecret("absent")
      ]) {
        assert.isTrue(Exit.hasDies(yield* Effect.exit(mistake)))
      }
    }).pipe(Effect.provide(fresh))
  )
})
