// Defines what the contract of secret providers stores, and reads the outcomes.
import { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import type { SecretProviderError, SecretProviderErrorReason } from "@effect-itwin/core/SecretProviderError"
import * as Cause from "effect/Cause"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

export type Tag = SecretProviderErrorReason["_tag"]
export type Outcome = Exit.Exit<ClientCredentials, SecretProviderError>

const clientId = "service-contract"

// Secrets of the platform contain these characters, which are lost where encoding is forgotten.
export const first = "fake-secret-first+1/a="
export const second = "fake-secret-second+2/b="

export const credentialsOf = (clientSecret: string): ClientCredentials =>
  new ClientCredentials({ clientId, clientSecret: Redacted.make(clientSecret) })

export const has = (credentials: ClientCredentials, clientSecret: string): boolean =>
  credentials.clientId === clientId && Redacted.value(credentials.clientSecret) === clientSecret

export const failureOf = (outcome: Outcome): SecretProviderError | undefined =>
  outcome._tag === "Failure" ? Option.getOrUndefined(Cause.findErrorOption(outcome.cause)) : undefined

/** Describes the outcome of a read, in words that show no secret. */
export const seen = (outcome: Outcome): string => {
  if (outcome._tag === "Success") {
    const { value } = outcome
    if (has(value, first)) return "the first secret"
    if (has(value, second)) return "the second secret"
    return value.clientId === clientId ? "some other text as the secret" : "another client id"
  }
  const failure = failureOf(outcome)
  if (failure !== undefined) return `${failure.reason._tag}${failure.isRetryable ? ", retryable" : ""}`
  return Cause.hasInterruptsOnly(outcome.cause) ? "an interruption" : "a defect"
}
