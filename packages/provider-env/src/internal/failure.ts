import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"

type Reason = SecretProviderError.SecretProviderErrorReason
type About = { readonly provider: string; readonly secretName: string; readonly advice: string }

const fail = (reason: Reason) => Effect.fail(new SecretProviderError.SecretProviderError({ reason }))

const failing = (make: (about: About) => Reason) => (secretName: string, advice: string) =>
  fail(make({ provider: "EnvSecretProvider", secretName, advice }))

export const notFound = (secretName: string, advice: string, problem?: string) =>
  fail(new SecretProviderError.NotFound({ provider: "EnvSecretProvider", secretName, advice, problem }))
const invalid = failing((about) => new SecretProviderError.InvalidSecret(about))
export const misconfigured = failing((about) => new SecretProviderError.Misconfigured(about))
export const denied = failing((about) => new SecretProviderError.AccessDenied(about))
export const unavailable = failing((about) => new SecretProviderError.Unavailable(about))

/** Returns the value, or fails with `InvalidSecret` and its advice. */
export const orInvalid = <A>(secretName: string, result: Result.Result<A, string>) =>
  Result.match(result, {
    onSuccess: (value) => Effect.succeed(value),
    onFailure: (advice) => invalid(secretName, advice)
  })
