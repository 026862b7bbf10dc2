// Runs a token request with the services with which the layer was built, within the limits of an attempt.
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Environment from "../../Environment.ts"
import { RetryPolicy } from "../../RetryPolicy.ts"
import type * as TokenError from "../../TokenError.ts"
import { BeforeAttempt } from "../http/beforeAttempt.ts"
import type { Pin } from "../http/pinTransport.ts"
import type { Attempt } from "./tokenLife.ts"

export interface Options {
  readonly environment: Environment.Environment
  readonly policy: RetryPolicy
  /** Milliseconds of a clock that is never set back. */
  readonly now: () => number
  readonly client: HttpClient.HttpClient
  /** For requests to IMS only: a secret provider may use an HTTP client too. */
  readonly withOwnTransport: Pin
}

/** Returns the answer, and when the request was sent that got it. */
export type RunRequest = <A>(
  request: Effect.Effect<A, TokenError.TokenError, HttpClient.HttpClient>,
  attempt: Pick<Attempt, "isProbe" | "timeLeft" | "mayContinue">
) => Effect.Effect<{ readonly answer: A; readonly bornAt: number }, TokenError.TokenError>

export const makeRunRequest =
  ({ client, environment, now, policy, withOwnTransport }: Options): RunRequest =>
  (request, { isProbe, mayContinue, timeLeft }) => {
    let bornAt = now()
    const beforeAttempt = Effect.andThen(
      mayContinue,
      Effect.sync(() => {
        bornAt = now()
      })
    )
    const limits = { ...policy, attempts: isProbe ? 1 : policy.attempts, totalTimeout: timeLeft() }
    return request.pipe(
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.updateContext(withOwnTransport),
      Effect.provideService(Environment.Environment, environment),
      Effect.provideService(RetryPolicy, limits),
      Effect.provideService(BeforeAttempt, beforeAttempt),
      Effect.map((answer) => ({ answer, bornAt }))
    )
  }
