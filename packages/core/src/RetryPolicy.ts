/**
 * Limits how often and how long a token request is tried.
 *
 * `RetryPolicy` is a `Context.Reference`, read once when the token cache is built:
 * `Layer.provide(Layer.succeed(RetryPolicy.RetryPolicy, RetryPolicy.none))`.
 *
 * **Example** (One short attempt)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { RetryPolicy } from "@effect-itwin/core"
 * import { Duration } from "effect"
 *
 * it("keeps the default of a field that is not given", () => {
 *   const policy = RetryPolicy.make({ attempts: 1, attemptTimeout: "2 seconds" })
 *   assert.strictEqual(Duration.toSeconds(policy.attemptTimeout), 2)
 *   assert.strictEqual(Duration.toSeconds(policy.totalTimeout), 15)
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { checkCount, checkDuration, checkLimit } from "./internal/checkOption.ts"

/**
 * Describes the limits of a token request.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryPolicy {
  /** The number of attempts, including the first; at least 1. */
  readonly attempts: number
  /** The time limit of one attempt, from connecting to the last byte of the body. */
  readonly attemptTimeout: Duration.Duration
  /** The time limit of all attempts and the pauses between them. A pause that would exceed it is not started. */
  readonly totalTimeout: Duration.Duration
  /** The pause before the second attempt. It doubles with each further attempt, with a jitter of 80 to 120 %. */
  readonly baseDelay: Duration.Duration
  /** The longest `Retry-After` to wait for. With a longer one, the request fails immediately. */
  readonly maxRetryAfter: Duration.Duration
}

/**
 * Names the fields of a policy to set; a duration may be text like `"5 seconds"`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly attempts?: number | undefined
  readonly attemptTimeout?: Duration.Input | undefined
  readonly totalTimeout?: Duration.Input | undefined
  readonly baseDelay?: Duration.Input | undefined
  readonly maxRetryAfter?: Duration.Input | undefined
}

const defaults: RetryPolicy = {
  attempts: 3,
  attemptTimeout: Duration.seconds(5),
  totalTimeout: Duration.seconds(15),
  baseDelay: Duration.millis(200),
  maxRetryAfter: Duration.seconds(5)
}

/**
 * Holds the policy in use. The default is 3 attempts of 5 s each within 15 s, pauses of 200 ms and 400 ms (jittered),
 * and a `Retry-After` of at most 5 s.
 *
 * @category references
 * @since 0.1.0
 */
export const RetryPolicy: Context.Reference<RetryPolicy> = Context.Reference<RetryPolicy>(
  "@effect-itwin/core/RetryPolicy",
  { defaultValue: () => defaults }
)

/**
 * Builds a policy. Fields that are not given come from `base`, which is the default policy unless given. A limit may be
 * `Duration.infinity`.
 *
 * Throws a `RangeError` that names the field if `attempts` is not an integer of at least 1, if a limit is 0, or if a
 * duration is invalid or negative.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options, base: RetryPolicy = defaults): RetryPolicy => {
  const { attempts = base.attempts } = options
  checkCount("RetryPolicy: attempts", attempts)
  return {
    attempts,
    attemptTimeout: checkLimit("RetryPolicy: attemptTimeout", options.attemptTimeout ?? base.attemptTimeout),
    totalTimeout: checkLimit("RetryPolicy: totalTimeout", options.totalTimeout ?? base.totalTimeout),
    baseDelay: checkDuration("RetryPolicy: baseDelay", options.baseDelay ?? base.baseDelay),
    maxRetryAfter: checkDuration("RetryPolicy: maxRetryAfter", options.maxRetryAfter ?? base.maxRetryAfter)
  }
}

/**
 * Allows one attempt, with the default time limits.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: RetryPolicy = make({ attempts: 1 })

/**
 * Describes a failure to {@link schedule}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  readonly isRetryable: boolean
  /** How long the server asked to wait, if it did. */
  readonly retryAfter?: Duration.Duration | undefined
  /** Set if the error of an earlier request is returned again: no attempt is made before this time has passed. */
  readonly nextAttemptIn?: Duration.Duration | undefined
}

/**
 * Returns the pauses between the attempts: exponential, jittered, and at least as long as the server asked for.
 *
 * The schedule ends after `attempts`, at a failure that is not retryable, and at a `Retry-After` longer than
 * `maxRetryAfter`. The caller applies the time limits: `attemptTimeout` to each attempt, `totalTimeout` to all of them.
 *
 * @category conversions
 * @since 0.1.0
 */
export const schedule = (policy: RetryPolicy): Schedule.Schedule<Duration.Duration, Failure> =>
  Schedule.exponential(policy.baseDelay).pipe(
    Schedule.jittered,
    Schedule.setInputType<Failure>(),
    Schedule.modifyDelay(({ duration, input }) =>
      Effect.succeed(Duration.max(duration, input.retryAfter ?? Duration.zero))
    ),
    Schedule.while(
      ({ attempt, input }) =>
        attempt < policy.attempts &&
        input.isRetryable &&
        input.nextAttemptIn === undefined &&
        Duration.isLessThanOrEqualTo(input.retryAfter ?? Duration.zero, policy.maxRetryAfter)
    )
  )

/**
 * Provides the policy to the token cache that is built with this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: RetryPolicy): Layer.Layer<never> => Layer.succeed(RetryPolicy, policy)
