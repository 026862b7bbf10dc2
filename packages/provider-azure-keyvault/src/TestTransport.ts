/**
 * Connects the Azure SDK to a fake, in tests only.
 *
 * The settings make the SDK less safe. So the index of the package does not export this module, and only code can set
 * them: neither an option of `KeyVaultSecretProvider` nor a variable can.
 *
 * **Gotchas**
 *
 * With `trustAnyChallenge`, the server at `vaultUrl` chooses which token is sent to it. Never provide a transport in a
 * program that has a real credential.
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
 * Names the server that the Azure SDK connects to, and what it trusts.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestTransport {
  /** Sends the requests of the SDK: for example the `httpClient` of `FakeKeyVault`, which opens no socket. */
  readonly httpClient?: NonNullable<SecretClientOptions["httpClient"]> | undefined
  /** A certificate to trust, as PEM. */
  readonly certificate?: string | undefined
  /** The URL of Entra ID. Its metadata is then not requested. */
  readonly authorityHost?: string | undefined
  /** Sets the SDK's `disableChallengeResourceVerification`: needed for a vault on 127.0.0.1. */
  readonly trustAnyChallenge?: boolean | undefined
}

/**
 * Holds the transport, which is read when the layer of the provider is built; empty by default.
 *
 * @category references
 * @since 0.1.0
 */
export const TestTransport: Context.Reference<TestTransport> = Context.Reference<TestTransport>(
  "@effect-itwin/provider-azure-keyvault/TestTransport",
  { defaultValue: () => ({}) }
)

/**
 * Provides the transport to the providers that are built with this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (transport: TestTransport): Layer.Layer<never> => Layer.succeed(TestTransport, transport)
