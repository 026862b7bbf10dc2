// Reads secrets with the real SDK: limits, retries and the sorting of failures are ours.
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

/** One version of a secret, as the vault gave it. */
export interface Found {
  /** A span keeps what its effect gave: so the value is redacted before any sees it. */
  readonly value: Redacted.Redacted
  readonly version: string | undefined
  readonly expiresAt: DateTime.Utc | undefined
}

export type Read = (named: Named) => Effect.Effect<Found, SecretProviderError.SecretProviderError>

const fail = (reason: SecretProviderError.SecretProviderErrorReason) =>
  new SecretProviderError.SecretProviderError({ reason })

/** Between attempts; what users see is its error. */
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
  // What the SDK throws over an answer that it can't read is the answer's fault.
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
          : `${host} gave no answer within ${shown(limit)}.`
    })
  )

/** What the SDK promises of an answer, it does not check: it passes on what the vault wrote. */
const foundIn = (answer: { readonly value?: unknown; readonly properties: SecretProperties }): Found => {
  const { version, expiresOn } = answer.properties
  const value = String(answer.value)
  return {
    value: Redacted.make(value),
    // It is shown, so it must be what a vault gives: 32 hexadecimal digits.
    version: /^[\da-f]{32}$/i.test(version ?? "") && version !== value ? version : undefined,
    // Advisory: a date that is not one must not keep a good secret back.
    expiresAt: expiresOn instanceof Date ? Option.getOrUndefined(DateTime.make(expiresOn)) : undefined
  }
}

/**
 * Reads, each time with a new client: it costs one challenge, and nothing that an earlier read left behind can harm this
 * one.
 */
export const makeReader = (options: Options) => {
  const { settings, retry } = options
  let session: Effect.Success<ReturnType<typeof makeSession>> | undefined

  /** All that `use` reads, within the one deadline. */
  return <A>(
    use: (read: Read) => Effect.Effect<A, SecretProviderError.SecretProviderError>
  ): Effect.Effect<A, SecretProviderError.SecretProviderError> =>
    Effect.suspend(() => {
      /** Why the time passes: the last failure, or what the first attempt waits for. */
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
                    advice: `The Azure SDK was not ready within ${shown(retry.totalTimeout)}.`
                  })
                )
            )
        })
      )
    })
}
