/**
 * For tests only: what leads the Azure SDK to a fake, and the switches of the SDK that make it less safe.
 *
 * The package's index does not export it. Only code that imports this module can set it: no option of
 * `KeyVaultSecretProvider`, no JSON and no variable can.
 *
 * **Gotchas**
 *
 * With {@link TestTransport} `trustAnyChallenge`, the server at `vaultUrl` chooses what token it is sent. Never
 * provide it in a program that has a real credential.
 *
 * **Example** (Reading from a fake vault)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { SecretProvider } from "@effect-itwin/core"
 * import { KeyVaultCredential, KeyVaultSecretProvider } from "@effect-itwin/provider-azure-keyvault"
 * import * as TestTransport from "@effect-itwin/provider-azure-keyvault/TestTransport"
 * import { FakeKeyVault } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * const Transport = Layer.unwrap(
 *   Effect.map(FakeKeyVault.FakeKeyVault, ({ httpClient }) => TestTransport.layer({ httpClient }))
 * )
 *
 * it.effect("fails when the fake vault has no such secret", () =>
 *   Effect.gen(function* () {
 *     const provider = yield* SecretProvider.SecretProvider
 *     const error = yield* Effect.flip(provider.credentials)
 *     assert.strictEqual(error.reason._tag, "NotFound")
 *   }).pipe(
 *     Effect.provide(
 *       KeyVaultSecretProvider.layer({
 *         vaultUrl: "https://fake-vault.vault.azure.net",
 *         json: "itwin",
 *         credential: KeyVaultCredential.managedIdentity()
 *       }).pipe(Layer.provide(Transport), Layer.provide(FakeKeyVault.layerTest()))
 *     )
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 */
import type { SecretClientOptions } from "@azure/keyvault-secrets"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

/**
 * Says what the Azure SDK talks to, and what it trusts there.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestTransport {
  /** What sends the requests of the SDK: `FakeKeyVault`'s `httpClient`, to open no socket. */
  readonly httpClient?: NonNullable<SecretClientOptions["httpClient"]> | undefined
  /** A certificate to trust, as PEM. */
  readonly certificate?: string | undefined
  /** Where Entra ID is; its metadata is not asked for then. */
  readonly authorityHost?: string | undefined
  /** Sets the SDK's `disableChallengeResourceVerification`: needed where the vault is on 127.0.0.1. */
  readonly trustAnyChallenge?: boolean | undefined
}

/**
 * Read when the layer of the provider is built; empty unless provided.
 *
 * @category references
 * @since 0.1.0
 */
export const TestTransport: Context.Reference<TestTransport> = Context.Reference<TestTransport>(
  "@effect-itwin/provider-azure-keyvault/TestTransport",
  { defaultValue: () => ({}) }
)

/**
 * Sets the transport for the providers that are built with it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (transport: TestTransport): Layer.Layer<never> => Layer.succeed(TestTransport, transport)
