// Reads the credentials of the app and requests a token with them. Only this module and
// `readCredentials` know `SecretProvider`.
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { ClientCredentials } from "../../ClientCredentials.ts"
import type { SecretProvider } from "../../SecretProvider.ts"
import type * as SecretProviderError from "../../SecretProviderError.ts"
import * as TokenError from "../../TokenError.ts"
import { longestStated } from "./backoff.ts"
import { readCredentials } from "./readCredentials.ts"
import type { Acquired, Attempt } from "./tokenLife.ts"

/** Requests a token for the key with these credentials. */
export type Ask<K, C = ClientCredentials> = (
  credentials: C,
  key: K,
  attempt: Attempt
) => Effect.Effect<Acquired, TokenError.TokenError>

export interface Options<K> {
  readonly provider: SecretProvider["Service"]
  readonly endpoint: string
  /** How long the credentials read last are used while their backend is unreachable, in milliseconds. */
  readonly lastKnownGood: number
  /** Milliseconds of a clock that is never set back. */
  readonly now: () => number
  readonly ask: Ask<K>
}

const isSameSecret = (self: ClientCredentials, that: ClientCredentials): boolean =>
  self.clientId === that.clientId && Redacted.value(self.clientSecret) === Redacted.value(that.clientSecret)

/** Tells whether the backend is unreachable or throttles, which says nothing about the credentials. */
const isOutage = ({ reason }: SecretProviderError.SecretProviderError): boolean =>
  reason._tag === "Unavailable" || reason._tag === "Throttled"

export const makeAcquireToken = <K>(
  options: Options<K>
): ((key: K, attempt: Attempt) => Effect.Effect<Acquired, TokenError.TokenError>) => {
  const { ask, endpoint, now, provider } = options
  /** The credentials read last, unless the backend or IMS rejected them since. */
  let known: { readonly credentials: ClientCredentials; readonly readAt: number } | undefined
  /**
   * The wait that the backend asked for. Until it has passed, the backend is not read, and its error is returned again.
   */
  let throttled: { readonly error: SecretProviderError.SecretProviderError; readonly until: number } | undefined
  /** Counts calls of `forget`, so that a slow read that began earlier does not restore the credentials. */
  let forgotten = 0
  /** The credentials with which the last token was requested. */
  let worked: ClientCredentials | undefined

  const forget = () => {
    known = undefined
    forgotten++
  }

  const read = (attempt: Attempt) =>
    Effect.suspend(() => {
      if (throttled !== undefined && now() < throttled.until) return Effect.fail(throttled.error)
      // Leaves time for the token request.
      const limit = Duration.times(attempt.timeLeft(), 2 / 3)
      const generation = forgotten
      return readCredentials(provider, limit).pipe(
        // A disabled secret is a kill switch: the last good credentials are not used, not even in a later outage.
        Effect.tapError((error) =>
          Effect.sync(() => {
            if (!isOutage(error)) forget()
            if (error.retryAfter === undefined) return
            throttled = { error, until: now() + Math.min(Duration.toMillis(error.retryAfter), longestStated) }
          })
        ),
        Effect.tap((credentials) => {
          if (generation === forgotten) known = { credentials, readAt: now() }
          return attempt.useClient(credentials.clientId)
        })
      )
    })

  const readOrKnown = (attempt: Attempt) =>
    Effect.catch(read(attempt), (error) =>
      known !== undefined && isOutage(error) && now() < known.readAt + options.lastKnownGood
        ? Effect.as(
            Effect.ignoreCause(Effect.logWarning(`The credentials read last are used. ${error.message}`)),
            known.credentials
          )
        : Effect.fail(new TokenError.TokenError({ reason: new TokenError.SecretUnavailable({ error }), endpoint }))
    )

  const request: Ask<K> = (credentials, key, attempt) =>
    Effect.tap(ask(credentials, key, attempt), () =>
      Effect.sync(() => {
        worked = credentials
      })
    )

  const rejected = (error: TokenError.TokenError, credentials: ClientCredentials): TokenError.TokenError => {
    // Newer credentials, which another request read meanwhile, may be valid.
    if (known !== undefined && isSameSecret(known.credentials, credentials)) forget()
    if (error.reason._tag !== "InvalidClient" || worked === undefined || !isSameSecret(worked, credentials))
      return error
    const reason = new TokenError.InvalidClient({ description: error.reason.description, workedBefore: true })
    return new TokenError.TokenError({ ...error, reason })
  }

  const isInvalidClient = (error: TokenError.TokenError): boolean => error.reason._tag === "InvalidClient"

  return Effect.fnUntraced(function* (key: K, attempt: Attempt) {
    yield* attempt.mayContinue
    const first = yield* readOrKnown(attempt)
    return yield* request(first, key, attempt).pipe(
      Effect.catchIf(isInvalidClient, (error) =>
        // The secret may have been rotated since it was read. Read it again, and use it if it is another one.
        attempt.isProbe
          ? Effect.fail(rejected(error, first))
          : Effect.matchEffect(Effect.andThen(attempt.mayContinue, read(attempt)), {
              onFailure: () => Effect.fail(rejected(error, first)),
              onSuccess: (again) =>
                isSameSecret(again, first)
                  ? Effect.fail(rejected(error, first))
                  : Effect.mapError(request(again, key, attempt), (error) =>
                      isInvalidClient(error) ? rejected(error, again) : error
                    )
            })
      )
    )
  })
}
