// The attempts of a token request: each has a time limit, failures that may pass are followed by another one, and no
// foreign error leaves.
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Tracer from "effect/Tracer"
import * as Environment from "../../Environment.ts"
import { RetryPolicy, schedule } from "../../RetryPolicy.ts"
import type { Scopes } from "../../Scopes.ts"
import * as TokenError from "../../TokenError.ts"
import { ClientAuthentication, type Response } from "../../TokenRequest.ts"
import { BeforeAttempt } from "../http/beforeAttempt.ts"
import { withoutHttpClientSpan } from "../http/clientSpan.ts"
import * as http from "../http/exchange.ts"
import { pinTransport } from "../http/pinTransport.ts"
import { maxBodyBytes } from "../http/readText.ts"
import { transportReason } from "../http/transport.ts"
import { defectOf } from "../shown/defect.ts"
import { clientRequest, type Sent, serverTextFor } from "./client.ts"
import type { GrantForm, Received } from "./decode.ts"
import { redirectRefused, tokenError } from "./reasons.ts"

/** A token request without its network. */
export interface Request<A> extends Sent {
  /** The name of the span. */
  readonly name: string
  readonly scopes: Scopes
  readonly form: GrantForm
  readonly decode: (response: Response, received: Received) => Result.Result<A, TokenError.TokenError>
  /** Whether the request may be sent again after a failure that may pass. */
  readonly mayRepeat: (error: TokenError.TokenError) => boolean
}

interface Attempt<A> extends Request<A> {
  readonly endpoint: string
  readonly correlationId: string
  readonly authentication: ClientAuthentication
}

/** 32 hexadecimal digits. */
const makeCorrelationId: Effect.Effect<string> = Effect.map(Random.Random, (random) => {
  let id = ""
  while (id.length < 32) {
    id += Math.floor(random.nextDoubleUnsafe() * 2 ** 32)
      .toString(16)
      .padStart(8, "0")
  }
  return id
})

const problemError = (problem: http.Problem, attempt: Attempt<unknown>): TokenError.TokenError => {
  switch (problem._tag) {
    case "Transport":
      return tokenError(transportReason(problem.cause, problem.fallback), attempt, problem)
    case "TooLarge":
      return tokenError(new TokenError.ResponseTooLarge({ limit: maxBodyBytes }), attempt, problem)
    case "Followed": {
      const serverText = serverTextFor(attempt)
      return tokenError(redirectRefused(problem.url, true, attempt.endpoint, serverText), attempt, {
        status: problem.status,
        correlationId: serverText.showCorrelationId(problem.headers["x-correlation-id"])
      })
    }
  }
}

/** Sends the request, reads the response and decodes it, without a time limit. */
const exchange = Effect.fnUntraced(function* <A>(
  attempt: Attempt<A>,
  client: HttpClient.HttpClient
): Effect.fn.Return<A, TokenError.TokenError> {
  const sentAt = yield* DateTime.now
  const headers = { "x-correlation-id": attempt.correlationId }
  const request = clientRequest(attempt, attempt.endpoint, attempt.authentication, headers)
  const response = yield* Effect.mapError(http.exchange(client, request), (problem) => problemError(problem, attempt))
  const receivedAt = yield* DateTime.now
  return yield* Effect.fromResult(attempt.decode(response, { ...attempt, sentAt, receivedAt }))
})

/**
 * Requests a token with the attempts of `RetryPolicy`. Replaces every foreign error, because it may contain the request
 * with the secret.
 */
export const requestToken = Effect.fnUntraced(function* <A>(
  request: Request<A>
): Effect.fn.Return<A, TokenError.TokenError, HttpClient.HttpClient> {
  // Neither `Effect.fn` nor `withSpan`: both capture a stack for each call, which makes a request measurably slower.
  const endpoint = (yield* Environment.current).tokenEndpoint
  const authentication = yield* ClientAuthentication
  const policy = yield* RetryPolicy
  const beforeAttempt = yield* BeforeAttempt
  const clock = yield* Clock.Clock
  const client = yield* HttpClient.HttpClient
  const withOwnTransport = yield* pinTransport(client)
  const attributes = {
    "http.request.method": "POST",
    "url.full": endpoint,
    "itwin.client_id": request.credentials.clientId,
    "itwin.scopes": request.scopes
  }
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const deadline = now() + Duration.toMillis(policy.totalTimeout)
  const timeLeft = () => Duration.millis(deadline - now())
  const limitedAttempt = Effect.flatMap(makeCorrelationId, (correlationId): Effect.Effect<A, TokenError.TokenError> => {
    const attempt = { ...request, endpoint, correlationId, authentication }
    const left = timeLeft()
    const isLast = Duration.isLessThan(left, policy.attemptTimeout)
    const onTimeout = Effect.failSync(() =>
      tokenError(new TokenError.Timeout({ limit: isLast ? policy.totalTimeout : policy.attemptTimeout }), attempt)
    )
    if (!Duration.isGreaterThan(left, Duration.zero)) return onTimeout
    return Effect.suspend(() => exchange(attempt, client)).pipe(
      Effect.timeoutOrElse({ duration: isLast ? left : policy.attemptTimeout, orElse: () => onTimeout }),
      Effect.catchCause((cause) =>
        Effect.fail(
          Option.getOrElse(Cause.findErrorOption(cause), () =>
            tokenError(new TokenError.Defect({ module: "HttpClient", ...defectOf(cause) }), attempt)
          )
        )
      )
    )
  })
  const pauses: Schedule.Schedule<Duration.Duration, TokenError.TokenError> = schedule(policy)
  const attempts = Effect.retry(
    Effect.andThen(beforeAttempt, limitedAttempt),
    Schedule.while(
      pauses,
      ({ duration, input }) => Duration.isLessThan(duration, timeLeft()) && request.mayRepeat(input)
    )
  )
  return yield* Effect.useSpan(request.name, { attributes }, (span) =>
    attempts.pipe(
      Effect.updateContext(withOwnTransport),
      // The client's own span would end with an error that contains the request with the secret.
      withoutHttpClientSpan,
      Effect.provideService(Tracer.ParentSpan, span)
    )
  )
})
