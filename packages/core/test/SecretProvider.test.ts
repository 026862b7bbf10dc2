import { assert, describe, it } from "@effect/vitest"
import { ClientCredentials, SecretProvider, SecretProviderError } from "@effect-itwin/core"
import { Effect, Layer, Redacted } from "effect"

const credentials = (clientId: string) =>
  new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make("fake-secret-a+b/c=") })

const failing = (reason: SecretProviderError.SecretProviderErrorReason) =>
  Layer.succeed(SecretProvider.SecretProvider, {
    credentials: Effect.fail(new SecretProviderError.SecretProviderError({ reason }))
  })

const read = Effect.flatMap(SecretProvider.SecretProvider, (provider) => provider.credentials)
const environment = SecretProvider.layerStatic(credentials("service-environment"))
const about = { provider: "Vault", secretName: "itwin-secret" }

describe("SecretProvider.layerOrElse", () => {
  it.effect("does not read the second provider when the first one returns credentials", () =>
    Effect.gen(function* () {
      const first = SecretProvider.layerStatic(credentials("service-vault"))
      const found = yield* Effect.provide(read, SecretProvider.layerOrElse(environment)(first))
      assert.strictEqual(found.clientId, "service-vault")
    })
  )

  it.effect.each([new SecretProviderError.NotFound(about), new SecretProviderError.CredentialUnavailable(about)])(
    "reads the second provider when the first one fails with $_tag",
    (reason) =>
      Effect.gen(function* () {
        const found = yield* Effect.provide(read, SecretProvider.layerOrElse(environment)(failing(reason)))
        assert.strictEqual(found.clientId, "service-environment")
      })
  )

  it.effect.each([
    new SecretProviderError.Disabled(about),
    new SecretProviderError.AccessDenied(about),
    new SecretProviderError.Throttled(about),
    new SecretProviderError.Unavailable(about),
    new SecretProviderError.InvalidSecret(about),
    new SecretProviderError.Misconfigured(about)
  ])("does not read the second provider when the first one fails with $_tag", (reason) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(read, SecretProvider.layerOrElse(environment)(failing(reason))))
      assert.strictEqual(error.reason._tag, reason._tag)
      assert.include(error.message, "itwin-secret")
    })
  )

  it.effect("reads the second provider for the reasons that `when` selects", () =>
    Effect.gen(function* () {
      const found = yield* Effect.provide(
        read,
        failing(new SecretProviderError.Unavailable(about)).pipe(
          SecretProvider.layerOrElse(environment, { when: (reason) => reason._tag === "Unavailable" })
        )
      )
      assert.strictEqual(found.clientId, "service-environment")
    })
  )
})
