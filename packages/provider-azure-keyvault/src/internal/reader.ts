// Reads secrets with the real SDK, which is loaded at the first read: limits, retries and the sorting of failures are
// ours.
import type { SecretProperties } from "@azure/keyvault-secrets"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { TokenCredential, TokenOptions } from "../KeyVaultCredential.ts"
import type { Retry } from "../KeyVaultSecretProvider.ts"
import type { TestTransport } from "../TestTransport.ts"
import { type Choice, describe, isSlow, kindOf, makeCredential, pipelineOptions } from "./credentials.ts"
import { type Progress, reasonOf, timedOut } from "./failure.ts"
import { misconfigured, type Named, nameOf, provider, type Settings } from "./settings.ts"

type SecretsSdk = typeof import("@azure/keyvault-secrets")

/** One version of a secret, as the vault gave it. */
export interface Found {
  /** A span keeps what its effect gave: so the value is redacted before any sees it. */
  readonly value: Redacted.Redacted | undefined
  readonly version: string | undefined
  readonly expiresAt: DateTime.Utc | undefined
}

export type Read = (named: Named) => Effect.Effect<Found, SecretProviderError.SecretProviderError>

/** What the SDK promises of an answer, it does not check: it passes on what the vault wrote. */
const foundIn = (answer: { readonly value?: unknown; readonly properties: SecretProperties }): Found => {
  const { version, expiresOn } = answer.properties
  return {
    value: typeof answer.value === "string" ? Redacted.make(answer.value) : undefined,
    version,
    // Advisory: a date that is none must not keep a good secret back.
    expiresAt: expiresOn instanceof Date ? Option.getOrUndefined(DateTime.make(expiresOn)) : undefined
  }
}

/** Between attempts; what users see is its reason. */
class Failed extends Data.TaggedError("Failed")<{
  readonly reason: SecretProviderError.SecretProviderErrorReason
  readonly retryAfter: Duration.Duration | undefined
}> {}

const maxReportedRetryAfter = Duration.minutes(15)

/** Key Vault says it in seconds. */
const parseRetryAfter = (header: string | undefined): Duration.Duration | undefined =>
  header !== undefined && /^\d{1,9}$/.test(header)
    ? Duration.min(Duration.seconds(Number(header)), maxReportedRetryAfter)
    : undefined

interface Headers {
  get(name: string): string | undefined
}

/**
 * The credential, with the attempt's progress noted. It keeps the token of this one client: the SDK's own renewal in the
 * background would reject with nobody there to hear it.
 */
const watched = (credential: TokenCredential, progress: () => Progress): TokenCredential => {
  let last: { readonly key: string; readonly token: Awaited<ReturnType<TokenCredential["getToken"]>> } | undefined
  return {
    getToken: (scopes: string | Array<string>, options?: TokenOptions) => {
      const key = JSON.stringify([scopes, options?.tenantId, options?.claims])
      if (last?.key === key) return Promise.resolve(last.token)
      const current = progress()
      current.stage = "credential"
      return credential.getToken(scopes, options).then((token) => {
        if (token !== null) {
          last = { key, token }
          current.stage = "vault"
        }
        return token
      })
    }
  }
}

const makeClient = (
  sdk: SecretsSdk,
  credential: TokenCredential,
  settings: Settings,
  transport: TestTransport,
  progress: () => Progress
) =>
  new sdk.SecretClient(settings.vaultUrl, watched(credential, progress), {
    ...pipelineOptions(transport),
    ...(transport.trustAnyChallenge === true ? { disableChallengeResourceVerification: true } : {}),
    additionalPolicies: [
      {
        position: "perCall",
        policy: {
          name: "progress",
          sendRequest: (request, next) => {
            const current = progress()
            return next(request).then((response) => {
              const headers: Headers = response.headers
              current.status = response.status
              current.retryAfter = parseRetryAfter(headers.get("retry-after"))
              return response
            })
          }
        }
      }
    ]
  })

export interface Options {
  readonly settings: Settings
  readonly retry: Retry
  readonly transport: TestTransport
  /** Asked for until it succeeds; then what it gave is kept, with the tokens it keeps itself. */
  readonly choice: Effect.Effect<Choice, SecretProviderError.SecretProviderError>
}

const fail = (reason: SecretProviderError.SecretProviderErrorReason) =>
  new SecretProviderError.SecretProviderError({ reason })

const load = <A>(name: string, evaluate: () => Promise<A>) =>
  Effect.tryPromise({
    try: evaluate,
    catch: () => fail(misconfigured(name, `The package ${name} can't be loaded: install it.`))
  })

const makeSession = Effect.fnUntraced(function* (options: Options) {
  const { settings, transport, retry } = options
  const choice = yield* options.choice
  const [sdk, identity] = yield* Effect.all(
    [
      load("@azure/keyvault-secrets", () => import("@azure/keyvault-secrets")),
      load("@azure/identity", () => import("@azure/identity"))
    ],
    { concurrency: 2 }
  )
  const limit = isSlow(choice) ? retry.totalTimeout : retry.attemptTimeout
  const subject = { host: settings.host, kind: kindOf(choice) }
  const credential = Result.try({
    try: () =>
      makeCredential(identity, choice, transport, {
        authorityHost: settings.authorityHost,
        timeout: Duration.toMillis(limit)
      }),
    catch: (error) =>
      fail(
        reasonOf({ ...subject, named: { secret: settings.host, version: undefined } }, error, {
          stage: "credential",
          status: undefined,
          retryAfter: undefined
        })
      )
  })
  if (Result.isFailure(credential)) return yield* credential.failure
  yield* Effect.logInfo(`${provider}: ${settings.host} is asked with ${describe(choice)}.`)
  return { sdk, credential: credential.success, limit, subject }
})

/**
 * Reads, each time with a client of its own: it costs one challenge, and nothing that an earlier read left behind can
 * harm this one.
 */
export const makeReader = (options: Options) => {
  const { settings, transport, retry } = options
  let session: Effect.Success<ReturnType<typeof makeSession>> | undefined

  const schedule = Schedule.exponential(retry.baseDelay).pipe(
    Schedule.jittered,
    Schedule.setInputType<Failed>(),
    // A vault that limits the rate is left alone for longer (Microsoft: 1 s, 2 s, 4 s).
    Schedule.modifyDelay(({ duration, input }) =>
      Effect.succeed(
        input.retryAfter !== undefined
          ? Duration.max(duration, input.retryAfter)
          : input.reason._tag === "Throttled"
            ? Duration.times(duration, 2)
            : duration
      )
    )
  )

  /** All that `use` reads, within the one deadline. */
  return <A>(
    use: (read: Read) => Effect.Effect<A, SecretProviderError.SecretProviderError>,
    whole: string
  ): Effect.Effect<A, SecretProviderError.SecretProviderError> =>
    Effect.suspend(() => {
      let progress: Progress = { stage: "vault", status: undefined, retryAfter: undefined }
      /** Why the last attempt failed: says more than that the time is over. */
      let last: SecretProviderError.SecretProviderErrorReason | undefined
      let waiting: (() => SecretProviderError.SecretProviderErrorReason) | undefined

      return Effect.gen(function* () {
        session ??= yield* makeSession(options)
        const { sdk, credential, limit, subject } = session
        const client = makeClient(sdk, credential, settings, transport, () => progress)
        const read: Read = (named) => {
          const about = { ...subject, named }
          const attempt = Effect.suspend(() => {
            const current: Progress = { stage: "vault", status: undefined, retryAfter: undefined }
            progress = current
            waiting = () => timedOut(about, current, Duration.format(limit))
            return Effect.tryPromise({
              try: (abortSignal) =>
                client.getSecret(named.secret, {
                  abortSignal,
                  ...(named.version === undefined ? {} : { version: named.version })
                }),
              catch: (error) => new Failed({ reason: reasonOf(about, error, current), retryAfter: current.retryAfter })
            }).pipe(
              Effect.timeoutOrElse({
                duration: limit,
                orElse: () =>
                  Effect.fail(
                    new Failed({ reason: timedOut(about, current, Duration.format(limit)), retryAfter: undefined })
                  )
              })
            )
          })
          return attempt.pipe(
            Effect.tapError(({ reason }) =>
              Effect.sync(() => {
                last = reason
              })
            ),
            Effect.retry({
              times: retry.attempts - 1,
              while: ({ reason, retryAfter }) =>
                fail(reason).isRetryable &&
                Duration.isLessThanOrEqualTo(retryAfter ?? Duration.zero, retry.maxRetryAfter),
              schedule
            }),
            Effect.mapError(({ reason }) => fail(reason)),
            Effect.map(foundIn),
            Effect.withSpan("KeyVaultSecretProvider.read", {
              root: true,
              attributes: { "server.address": settings.host, "azure.keyvault.secret": nameOf(named) }
            })
          )
        }
        return yield* use(read)
      }).pipe(
        Effect.timeoutOrElse({
          duration: retry.totalTimeout,
          orElse: () =>
            Effect.fail(
              fail(
                last ??
                  waiting?.() ??
                  new SecretProviderError.Unavailable({
                    provider,
                    secretName: whole,
                    advice: `The Azure SDK was not ready within ${Duration.format(retry.totalTimeout)}.`
                  })
              )
            )
        })
      )
    })
}
