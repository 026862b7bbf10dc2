// Sends an API request again after a failure that may pass. Only methods whose repetition changes nothing (RFC 9110
// §9.2.2) are repeated: a POST may have done its work before the connection was lost.
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Schedule from "effect/Schedule"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { TokenError } from "../../TokenError.ts"
import { checkCount, checkDuration } from "../checkOption.ts"
import { isReplayable } from "./redirect.ts"
import { parseRetryAfter } from "./retryAfter.ts"
import { mayPass } from "./transport.ts"
import { type Answer, answerOf, errorOf, release } from "./unauthenticated.ts"

export interface Options {
  readonly attempts?: number | undefined
  readonly baseDelay?: Duration.Input | undefined
  readonly maxRetryAfter?: Duration.Input | undefined
}

type Outcome = Exit.Exit<Answer, HttpClientError.HttpClientError | TokenError>

interface Failed extends RetryPolicy.Failure {
  readonly outcome: Outcome
  readonly answer?: Answer | undefined
}

const methods = /^(GET|HEAD|PUT|DELETE|OPTIONS)$/
const statuses = [429, 502, 503, 504]

/** Returns the failure if another attempt may help, otherwise undefined. */
const failedOf = (outcome: Outcome, now: DateTime.Utc): Failed | undefined => {
  const answer = answerOf(outcome)
  if (answer !== undefined) {
    return statuses.includes(answer.status)
      ? { outcome, answer, isRetryable: true, retryAfter: parseRetryAfter(answer.headers, now) }
      : undefined
  }
  const error = errorOf(outcome)
  return error?._tag === "HttpClientError" &&
    error.reason._tag === "TransportError" &&
    mayPass(error.reason.description)
    ? { outcome, isRetryable: true }
    : undefined
}

/** Returns a function that repeats an exchange. A 401 and its replay are one attempt. */
export const makeRetry = ({ attempts = 3, baseDelay = "200 millis", maxRetryAfter = "10 seconds" }: Options) => {
  checkCount("ITwinHttpClient: retry.attempts", attempts)
  const schedule: Schedule.Schedule<Duration.Duration, Failed> = RetryPolicy.schedule({
    ...RetryPolicy.none,
    attempts,
    baseDelay: checkDuration("ITwinHttpClient: retry.baseDelay", baseDelay),
    maxRetryAfter: checkDuration("ITwinHttpClient: retry.maxRetryAfter", maxRetryAfter)
  })
  // A response that nobody gets would keep its connection during the pause.
  const releasing = Schedule.tap(schedule, ({ input: { answer } }) =>
    answer === undefined ? Effect.void : release(answer)
  )
  return (
    request: HttpClientRequest.HttpClientRequest,
    exchange: Effect.Effect<Answer, HttpClientError.HttpClientError | TokenError>
  ): Effect.Effect<Answer, HttpClientError.HttpClientError | TokenError> =>
    methods.test(request.method) && isReplayable(request)
      ? Effect.exit(exchange).pipe(
          Effect.zip(DateTime.now),
          Effect.flatMap(([outcome, now]) => {
            const failed = failedOf(outcome, now)
            return failed === undefined ? Effect.succeed(outcome) : Effect.fail(failed)
          }),
          Effect.retry(releasing),
          Effect.catch(({ outcome }) => Effect.succeed(outcome)),
          Effect.flatten
        )
      : exchange
}
