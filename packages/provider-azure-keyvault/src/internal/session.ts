// Loads the SDK at the first read, and builds clients with the credential. Records what each attempt sent.
import type * as RetryPolicy from "@effect-itwin/core/RetryPolicy"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { TokenCredential } from "../KeyVaultCredential.ts"
import type { TestTransport } from "../TestTransport.ts"
import { type Choice, describe, isSlow, kindOf, makeCredential, pipelineOptions } from "./credentials.ts"
import { type Exchange, recorded } from "./exchange.ts"
import { type Named, provider, type Settings, type Subject } from "./settings.ts"

/** The stage of an attempt, and its exchanges so far. */
export interface Attempt {
  readonly subject: Subject
  stage: "credential" | "vault"
  readonly credential: Array<Exchange>
  readonly vault: Array<Exchange>
}

export interface Options {
  readonly settings: Settings
  readonly retry: RetryPolicy.RetryPolicy
  readonly transport: TestTransport
  /** Run until it succeeds. Then the choice is kept, with the tokens that its credential keeps. */
  readonly choice: Effect.Effect<Choice, SecretProviderError.SecretProviderError>
}

const load = <A>(name: string, evaluate: () => Promise<A>) =>
  Effect.tryPromise({
    try: evaluate,
    catch: () =>
      new SecretProviderError.SecretProviderError({
        reason: new SecretProviderError.Misconfigured({
          provider,
          secretName: name,
          advice: `The package ${name} could not be loaded. Install it.`
        })
      })
  })

/** Longer timers of Node fire at once. */
const longestTimer = 2 ** 31 - 1

export const makeSession = Effect.fnUntraced(function* (options: Options) {
  const { settings, transport, retry } = options
  const choice = yield* options.choice
  const clock = yield* Clock.Clock
  const [sdk, identity, pipeline] = yield* Effect.all(
    [
      load("@azure/keyvault-secrets", () => import("@azure/keyvault-secrets")),
      load("@azure/identity", () => import("@azure/identity")),
      load("@azure/core-rest-pipeline", () => import("@azure/core-rest-pipeline"))
    ],
    { concurrency: 3 }
  )
  yield* Effect.logInfo(`${provider}: reads ${settings.host} with ${describe(choice)}.`)
  const limit = isSlow(choice) ? retry.totalTimeout : retry.attemptTimeout
  const timeout = Math.min(Duration.toMillis(limit), longestTimer)
  const httpClient = transport.httpClient ?? pipeline.createDefaultHttpClient()
  const now = () => clock.currentTimeMillisUnsafe()
  let attempt: Attempt | undefined
  let credential: TokenCredential | undefined

  const credentialOptions = {
    httpClient: recorded(httpClient, { exchanges: () => attempt?.credential, now, timeout }),
    authorityHost: settings.authorityHost,
    timeout
  }

  /**
   * Builds the client for one read. The client keeps its token, because the SDK's background renewal could cause an
   * unhandled rejection. It does not keep a credential that failed: MSAL would repeat that failure without a request
   * for a minute, or for as long as its `Retry-After` says, even if Entra ID has recovered.
   */
  const makeClient = () => {
    let last: { readonly key: string; readonly token: Awaited<ReturnType<TokenCredential["getToken"]>> } | undefined
    const getToken: TokenCredential["getToken"] = (scopes, tokenOptions) => {
      const key = JSON.stringify([scopes, tokenOptions?.tenantId, tokenOptions?.claims])
      if (last?.key === key) return Promise.resolve(last.token)
      const current = attempt
      if (current !== undefined) current.stage = "credential"
      credential ??= makeCredential(identity, choice, transport, credentialOptions)
      return credential.getToken(scopes, tokenOptions).then(
        (token) => {
          if (Predicate.isString(token?.token)) {
            last = { key, token }
            if (current !== undefined) current.stage = "vault"
          }
          return token
        },
        (error: unknown) => {
          credential = undefined
          return Promise.reject(error)
        }
      )
    }
    return new sdk.SecretClient(
      settings.vaultUrl,
      { getToken },
      {
        ...pipelineOptions(transport, recorded(httpClient, { exchanges: () => attempt?.vault, now })),
        ...(transport.trustAnyChallenge === true ? { disableChallengeResourceVerification: true } : {})
      }
    )
  }

  return {
    makeClient,
    limit,
    /** Begins an attempt. Only one runs at a time. */
    begin: (named: Named): Attempt => {
      const subject = { host: settings.host, kind: kindOf(choice), named }
      attempt = { subject, stage: "vault", credential: [], vault: [] }
      return attempt
    }
  }
})
