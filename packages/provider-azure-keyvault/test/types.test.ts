// The types of the public API. `tsc -b` checks them.
import type { SecretProvider } from "@effect-itwin/core"
import { KeyVaultCredential, KeyVaultSecretProvider } from "@effect-itwin/provider-azure-keyvault"
import type { Config, Layer, Redacted } from "effect"
import { expectTypeOf, it } from "vitest"

it("KeyVaultSecretProvider.layer cannot fail to build, layerConfig fails with a ConfigError", () => {
  expectTypeOf(KeyVaultSecretProvider.layer).toEqualTypeOf<
    (options: KeyVaultSecretProvider.Options) => Layer.Layer<SecretProvider.SecretProvider>
  >()
  expectTypeOf(KeyVaultSecretProvider.layerConfig).toEqualTypeOf<
    Layer.Layer<SecretProvider.SecretProvider, Config.ConfigError>
  >()
  expectTypeOf(KeyVaultSecretProvider.config).toEqualTypeOf<Config.Config<KeyVaultSecretProvider.Options>>()
})

it("KeyVaultSecretProvider.Options takes two secrets or one JSON secret, not both", () => {
  type Options = KeyVaultSecretProvider.Options
  expectTypeOf<{ vaultUrl: string; json: string }>().toExtend<Options>()
  expectTypeOf<{ vaultUrl: string; clientId: { literal: string }; clientSecret: string }>().toExtend<Options>()
  expectTypeOf<{ vaultUrl: string; json: string; clientSecret: string }>().not.toExtend<Options>()
  expectTypeOf<{ vaultUrl: string; clientId: string; clientSecret: string }>().not.toExtend<Options>()
  expectTypeOf<{ vaultUrl: string }>().not.toExtend<Options>()
})

it("KeyVaultCredential takes a client secret only as Redacted", () => {
  expectTypeOf(KeyVaultCredential.clientSecret)
    .parameter(0)
    .toHaveProperty("clientSecret")
    .toEqualTypeOf<Redacted.Redacted>()
  expectTypeOf(KeyVaultCredential.config).toEqualTypeOf<Config.Config<KeyVaultCredential.KeyVaultCredential>>()
})
