import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import * as Effect from "effect/Effect"

type Reason = SecretProviderError.SecretProviderErrorReason
type About = { readonly provider: string; readonly secretName: string; readonly advice: string }

const failing =
  (make: (about: About) => Reason) =>
  (secretName: string, advice: string): Effect.Effect<never, SecretProviderError.SecretProviderError> =>
    Effect.fail(
      new SecretProviderError.SecretProviderError({
        reason: make({ provider: "EnvSecretProvider", secretName, advice })
      })
    )

export const notFound = failing((about) => new SecretProviderError.NotFound(about))
export const invalid = failing((about) => new SecretProviderError.InvalidSecret(about))
export const misconfigured = failing((about) => new SecretProviderError.Misconfigured(about))
export const denied = failing((about) => new SecretProviderError.AccessDenied(about))
export const unavailable = failing((about) => new SecretProviderError.Unavailable(about))
