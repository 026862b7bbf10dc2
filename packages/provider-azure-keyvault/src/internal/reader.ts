// Reads secrets with the SDK. Limits, retries and the reasons of failures are implemented here.
import type { SecretProperties } from "@azure/keyvault-secrets"
import * as RetryPolicy from "@effect-itwin/core/RetryPolicy"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { credentialFailure, unreachable } from "./credentialFailure.ts"
import { isBug } from "./sdkError.ts"
import { type Attempt, makeSession, type Options } from "./session.ts"
import { type Named, nameOf, provider } from "./settings.ts"
import { answerProblem, vaultFailure } from "./vaultFailure.ts"

/** One version of a secret, as the vault returned it. */
export interface Found {
  /** Redacted at once, because a span keeps the result of its effect. */
  readonly value: Redacted.Redacted
  readonly version: string | undefined
  readonly expiresAt: DateTime.Utc | undefined
}

export type Read = (named: Named) => Effect.Effect<Found, SecretProviderError.SecretProviderError>

const fail = (reason: SecretProviderError.SecretProviderErrorReason) =>
  new SecretProviderError.SecretProviderError({ reason })

/** The failure of one attempt. Users see its error. */
class Failed extends Data.TaggedError("Failed")<{
  readonly error: SecretProviderError.SecretProviderError
  readonly retryAfter: Duration.Duration | undefined
}> {
  get isRetryable(): boolean {
    return this.error.isRetryable
  }
}

const failed = (attempt: Attempt, thrown: unknown): Failed => {
  const { subject } = attempt
  const exchanges = attempt[attempt.stage]
  // If there is a response, the SDK threw because it could not read that response.
  const isAnswered = exchanges.at(-1)?.status !== undefined
  const error =
    isBug(thrown) && !isAnswered
      ? SecretProviderError.fromDefect({ provider, secretName: nameOf(subject.named) }, thrown)
      : fail(
          attempt.stage === "credential"
            ? credentialFailure(subject, thrown, exchanges)
            : vaultFailure(subject, thrown, exchanges.at(-1))
        )
  return new Failed({ error, retryAfter: exchanges.at(-1)?.retryAfter })
}

const shown = (duration: Duration.Duration): string => Duration.format(duration).replace(/(\d)(?=[a-z])/g, "$1 ")

const timedOut = ({ stage, subject: { host, kind, named } }: Attempt, limit: Duration.Duration) =>
  fail(
    new SecretProviderError.Unavailable({
      provider,
      secretName: nameOf(named),
      advice:
        stage === "credential"
          ? `${unreachable(kind, kind === "ManagedIdentity")} (waited ${shown(limit)})`
          : `${host} did not respond within ${shown(limit)}. Check that this program can reach port 443.`
    })
  )

/** Takes the secret from a response. The SDK does not check the types of what the vault returned. */
const foundIn = (answer: { readonly value?: unknown; readonly properties: SecretProperties }): Found => {
  const { version, expiresOn } = answer.properties
  const value = String(answer.value)
  return {
    value: Redacted.make(value),
    // The version is shown, so it must have the form that a vault uses: 32 hexadecimal digits.
    version: /^[\da-f]{32}$/i.test(version ?? "") && version !== value ? version : undefined,
    // An invalid date must not make a valid secret unusable.
    expiresAt: expiresOn instanceof Date ? Option.getOrUndefined(DateTime.make(expiresOn)) : undefined
  }
}

/**
 * Builds the function that reads. Each read has a new client, so that it does not depend on earlier reads. This costs
 * one challenge.
 */
export const makeReader = (options: Options) => {
  const { settings, retry } = options
  let session: Effect.Success<ReturnType<typeof makeSession>> | undefined

  /** Runs all reads of `use` within one deadline. */
  return <A>(
    use: (read: Read) => Effect.Effect<A, SecretProviderError.SecretProviderError>
  ): Effect.Effect<A, SecretProviderError.SecretProviderError> =>
    Effect.suspend(() => {
      /** Why the time limit may be reached: the last failure, or what the first attempt waits for. */
      let why: (() => SecretProviderError.SecretProviderError) | undefined

      return Effect.gen(function* () {
        session ??= yield* makeSession(options)
        const { begin, limit, makeClient } = session
        const client = makeClient()
        const read: Read = (named) =>
          Effect.suspend(() => {
            const attempt = begin(named)
            why ??= () => timedOut(attempt, limit)
            return Effect.tryPromise({
              try: (abortSignal) =>
                client.getSecret(named.secret, {
                  abortSignal,
                  ...(named.version === undefined ? {} : { version: named.version })
                }),
              catch: (thrown) => failed(attempt, thrown)
            }).pipe(
              Effect.timeoutOrElse({
                duration: limit,
                orElse: () => Effect.fail(new Failed({ error: timedOut(attempt, limit), retryAfter: undefined }))
              }),
              Effect.flatMap((answer) => {
                const problem = answerProblem(attempt.subject, answer)
                return problem === undefined
                  ? Effect.succeed(foundIn(answer))
                  : Effect.fail(new Failed({ error: fail(problem), retryAfter: undefined }))
              })
            )
          }).pipe(
            Effect.tapError(({ error }) =>
              Effect.sync(() => {
                why = () => error
              })
            ),
            Effect.retry(RetryPolicy.schedule(retry)),
            Effect.mapError(({ error }) => error),
            Effect.withSpan("KeyVaultSecretProvider.read", {
              root: true,
              attributes: { "server.address": settings.host, "azure.keyvault.secret": nameOf(named) }
            })
          )
        return yield* use(read)
      }).pipe(
        Effect.timeoutOrElse({
          duration: retry.totalTimeout,
          orElse: () =>
            Effect.fail(
              why?.() ??
                fail(
                  new SecretProviderError.Unavailable({
                    provider,
                    secretName: settings.host,
                    advice: `The Azure SDK was not loaded within ${shown(retry.totalTimeout)}. Check the load of this machine.`
                  })
                )
            )
        })
      )
    })
}
