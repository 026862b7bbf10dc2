import { assert, describe, it } from "@effect/vitest"
import * as TestTransport from "@effect-itwin/provider-azure-keyvault/TestTransport"
import { FakeKeyVault } from "@effect-itwin/testing"
import { Effect, Layer } from "effect"
import { itwinAuth, secretOf, withApp } from "./harness.ts"

const Transport = Layer.unwrap(
  Effect.map(FakeKeyVault.FakeKeyVault, ({ httpClient }) => TestTransport.layer({ httpClient }))
)

const env = {
  ITWIN_CLIENT_ID: undefined,
  ITWIN_CLIENT_SECRET: undefined,
  ITWIN_KEY_VAULT_URL: "https://fake-vault.vault.azure.net",
  ITWIN_KEY_VAULT_CLIENT_ID_NAME: "itwin-client-id",
  ITWIN_KEY_VAULT_CLIENT_SECRET_NAME: "itwin-client-secret",
  ITWIN_KEY_VAULT_CREDENTIAL: "managed-identity"
}

describe("itwin-auth --provider keyvault", () => {
  it.effect("reads the credentials from the vault, and names the secrets", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const vault = yield* FakeKeyVault.FakeKeyVault
        yield* vault.setSecret("itwin-client-id", app.credentials.clientId)
        yield* vault.setSecret("itwin-client-secret", secretOf(app))
        const { code, stderr, stdout } = yield* itwinAuth(app, ["doctor", "--provider", "keyvault"], { env })
        assert.strictEqual(stderr, "")
        assert.include(
          stdout,
          "✓ credentials  Azure Key Vault fake-vault.vault.azure.net, secret itwin-client-id and secret " +
            `itwin-client-secret; client id ${app.credentials.clientId}\n✓ token `
        )
        assert.strictEqual(code, 0)
        // Once by the doctor: the token request uses the same credentials.
        assert.strictEqual(
          (yield* vault.journal).filter(({ outcome, route }) => route === "GET /secrets/:name" && outcome === "ok")
            .length,
          2
        )
      }).pipe(Effect.provide(Layer.provideMerge(Transport, FakeKeyVault.layerTest())))
    )
  )

  it.effect("ends with 2 and names the secret when the vault does not have it", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* itwinAuth(app, ["token", "--provider", "keyvault"], { env })
        assert.strictEqual(stdout, "")
        assert.match(stderr, /^itwin-auth: KeyVaultSecretProvider: itwin-client-(id|secret) was not found/)
        assert.strictEqual(code, 2)
      }).pipe(Effect.provide(Layer.provideMerge(Transport, FakeKeyVault.layerTest())))
    )
  )
})
