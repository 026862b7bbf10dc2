// One flight: reads the secret and asks IMS, within one deadline. Whatever breaks on the way, it fails with a
// TokenError that holds nothing foreign.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type { AccessToken } from "../../AccessToken.ts"
import type { ClientCredentials } from "../../ClientCredentials.ts"
import { RetryPolicy } from "../../RetryPolicy.ts"
import type { Scopes } from "../../Scopes.ts"
import type { SecretProvider } from "../../SecretProvider.ts"
import * as SecretProviderError from "../../SecretProviderError.ts"
import * as TokenError from "../../TokenError.ts"
import * as TokenRequest from "../../TokenRequest.ts"

const isSameSecret = (self: ClientCredentials, that: ClientCredentials): boolean =>
  self.clientId === that.clientId && Redacted.value(self.clientSecret) === Redacted.value(that.clientSecret)

/** A provider that dies, interrupts itself or hangs is unavailable; what it died of may hold the secret. */
const unavailable = (advice: string) =>
  new SecretProviderError.SecretProviderError({
    reason: new SecretProviderError.Unavailable({
      provider: "SecretProvider",
      secretName: "the app's credentials",
      advice
    })
  })

/** Only an outage of the backend is bridged. */
const isOutage = ({ reason }: SecretProviderError.SecretProviderError): boolean =>
  reason._tag === "Unavailable" || reason._tag === "Throttled"

/** Runs it so that whoever is interrupted does not wait for its end: not all of it is ours, nor can all of it be ended. */
const detached = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.forkDetach(self, { startImmediately: true }), (fiber) =>
    Effect.onInterrupt(Fiber.join(fiber), () => Effect.sync(() => fiber.interruptUnsafe()))
  )

export interface Options {
  readonly provider: SecretProvider["Service"]
  readonly endpoint: string
  /** How long the last credentials that gave a token serve while the backend is down, in milliseconds. */
  readonly lastKnownGood: number
  readonly now: () => number
  /** The token at hand for the scopes. */
  readonly tokenOf: (scopes: Scopes) => AccessToken | undefined
  /** For the requests to IMS, and no other: the provider may have an HTTP client too. */
  readonly requestInit: globalThis.RequestInit
  /** Called with the credentials of each read, before they are used. */
  readonly onRead: (credentials: ClientCredentials) => Effect.Effect<void>
}

/** Credentials, when their backend gave them, and the how many-th read it was. */
interface Read {
  readonly credentials: ClientCredentials
  readonly at: number
  readonly nth: number
}

export const makeFlight = (
  options: Options
): ((scopes: Scopes) => Effect.Effect<AccessToken, TokenError.TokenError, HttpClient.HttpClient>) => {
  const { endpoint, provider, onRead } = options
  /** The credentials that gave the last token. */
  let good: Read | undefined
  let reads = 0
  /** Reads before this one are not kept: the backend has taken their credentials back. */
  let keepFrom = 0
  /** The same, and not forgotten when they are refused. */
  let worked: ClientCredentials | undefined
  /** The last ones sent, and those before them: a server that speaks of a rotation may repeat both. */
  let sent: ReadonlyArray<ClientCredentials> = []

  const forget = () => {
    good = undefined
    keepFrom = reads
  }

  const read = (limit: Duration.Duration) =>
    detached(provider.credentials).pipe(
      Effect.catchCause((cause) =>
        Cause.hasFails(cause)
          ? Effect.failCause(cause)
          : Effect.fail(unavailable("The provider broke; see its own logs."))
      ),
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () => Effect.fail(unavailable(`The provider gave no answer within ${Duration.format(limit)}.`))
      }),
      // A disabled or denied secret is a kill switch, for the outages after it too.
      Effect.tapError((error) => Effect.sync(() => (isOutage(error) ? undefined : forget()))),
      Effect.tap((credentials) => Effect.ignoreCause(onRead(credentials))),
      Effect.map((credentials): Read => {
        if (good !== undefined && good.credentials.clientId !== credentials.clientId) forget()
        return { credentials, at: options.now(), nth: reads++ }
      })
    )

  const readOrLastGood = (limit: Duration.Duration) =>
    Effect.catch(read(limit), (error) =>
      isOutage(error) && good !== undefined && options.now() < good.at + options.lastKnownGood
        ? Effect.as(
            Effect.ignoreCause(Effect.logWarning(`The last credentials that gave a token are used. ${error.message}`)),
            good
          )
        : Effect.fail(new TokenError.TokenError({ reason: new TokenError.SecretUnavailable({ error }), endpoint }))
    )

  const ask = (read: Read, scopes: Scopes) => {
    const { credentials } = read
    sent = [credentials, ...sent.filter((earlier) => !isSameSecret(earlier, credentials))].slice(0, 2)
    const held = [...sent, worked, good?.credentials, options.tokenOf(scopes)].filter(Predicate.isNotUndefined)
    return TokenRequest.send({ credentials, scopes, held }).pipe(
      Effect.provideService(FetchHttpClient.RequestInit, options.requestInit),
      Effect.tap(() =>
        Effect.sync(() => {
          // Not stamped anew: what serves while the backend is down would else serve for ever. And a slow flight does
          // not bring back what was replaced meanwhile.
          if (read.nth >= keepFrom && (good === undefined || read.nth >= good.nth)) good = read
          worked = credentials
        })
      ),
      Effect.mapError((error) => {
        if (error.reason._tag !== "InvalidClient") return error
        if (good !== undefined && isSameSecret(good.credentials, credentials)) good = undefined
        return worked !== undefined && isSameSecret(worked, credentials)
          ? new TokenError.TokenError({
              ...error,
              reason: new TokenError.InvalidClient({ description: error.reason.description, workedBefore: true })
            })
          : error
      })
    )
  }

  return Effect.fnUntraced(function* (scopes: Scopes) {
    const { totalTimeout } = yield* RetryPolicy
    // The read sits inside the whole, and leaves time to ask.
    const readLimit = Duration.times(totalTimeout, 2 / 3)
    const whole = Effect.gen(function* () {
      const first = yield* readOrLastGood(readLimit)
      return yield* Effect.catch(ask(first, scopes), (error) =>
        error.reason._tag === "InvalidClient"
          ? // It may have been rotated since it was read: look once more, and ask again if it is another.
            Effect.matchEffect(read(readLimit), {
              onFailure: () => Effect.fail(error),
              onSuccess: (again) =>
                isSameSecret(again.credentials, first.credentials) ? Effect.fail(error) : ask(again, scopes)
            })
          : Effect.fail(error)
      )
    })
    return yield* Effect.timeoutOrElse(detached(whole), {
      duration: totalTimeout,
      orElse: () =>
        Effect.fail(new TokenError.TokenError({ reason: new TokenError.Timeout({ limit: totalTimeout }), endpoint }))
    })
  })
}
