/**
 * Reads the credentials of the app. Replace this one service to move from variables to a vault.
 *
 * A provider reads its backend each time `credentials` is run, so that a rotated secret is seen. It does not cache what
 * it read.
 *
 * **Example** (Falling back to a second provider)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ClientCredentials, SecretProvider, SecretProviderError } from "@effect-itwin/core"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const Vault = Layer.succeed(SecretProvider.SecretProvider, {
 *   credentials: Effect.fail(
 *     new SecretProviderError.SecretProviderError({
 *       reason: new SecretProviderError.NotFound({ provider: "MyVault", secretName: "itwin" })
 *     })
 *   )
 * })
 * const Fallback = SecretProvider.layerStatic(
 *   new ClientCredentials.ClientCredentials({
 *     clientId: "service-abc",
 *     clientSecret: Redacted.make("fake-secret-a+b/c=")
 *   })
 * )
 *
 * it.effect("reads the second provider when the first has no such secret", () =>
 *   Effect.gen(function* () {
 *     const provider = yield* SecretProvider.SecretProvider
 *     assert.strictEqual((yield* provider.credentials).clientId, "service-abc")
 *   }).pipe(Effect.provide(Vault.pipe(SecretProvider.layerOrElse(Fallback))))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ClientCredentials } from "./ClientCredentials.ts"
import type { SecretProviderError, SecretProviderErrorReason } from "./SecretProviderError.ts"

/**
 * Reads the credentials of the app from their backend.
 *
 * @category services
 * @since 0.1.0
 */
export class SecretProvider extends Context.Service<
  SecretProvider,
  {
    /** Reads the backend. Interruptible; safe to run many times at once. */
    readonly credentials: Effect.Effect<ClientCredentials, SecretProviderError>
  }
>()("@effect-itwin/core/SecretProvider") {}

/**
 * Provides credentials that the program already has, for example in a test.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerStatic = (credentials: ClientCredentials): Layer.Layer<SecretProvider> =>
  Layer.succeed(SecretProvider, { credentials: Effect.succeed(credentials) })

/**
 * Reads from a second provider if the first one has no secret: first the vault, then the variables.
 *
 * **Details**
 *
 * `when` selects the reasons for which the second provider is read; by default `NotFound` and `CredentialUnavailable`.
 *
 * **Gotchas**
 *
 * Do not include `Disabled` or `AccessDenied` in `when`. Otherwise an outdated copy kept elsewhere would replace a
 * secret that was disabled in the vault.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerOrElse: <E2, R2>(
  that: Layer.Layer<SecretProvider, E2, R2>,
  options?: { readonly when?: ((reason: SecretProviderErrorReason) => boolean) | undefined }
) => <E, R>(self: Layer.Layer<SecretProvider, E, R>) => Layer.Layer<SecretProvider, E | E2, R | R2> =
  (that, options) => (self) => {
    const when = options?.when ?? ((reason) => reason._tag === "NotFound" || reason._tag === "CredentialUnavailable")
    return Layer.effect(
      SecretProvider,
      Effect.gen(function* () {
        const first = Context.get(yield* Layer.build(self), SecretProvider)
        const second = Context.get(yield* Layer.build(that), SecretProvider)
        return {
          credentials: Effect.catchIf(
            first.credentials,
            (error) => when(error.reason),
            () => second.credentials
          )
        }
      })
    )
  }
