/**
 * How often and how long the token request is tried.
 *
 * A `Context.Reference`, read once when the token cache is built:
 * `Layer.provide(Layer.succeed(RetryPolicy.RetryPolicy, RetryPolicy.none))`.
 *
 * **Example** (One short attempt)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { RetryPolicy } from "@effect-itwin/core"
 * import { Duration } from "effect"
 *
 * it("keeps the default for what is not given", () => {
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
 * Limits the attempts of a token request in number and time.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryPolicy {
  /** Requests in all, the first included; at least 1. */
  readonly attempts: number
  /** The limit of one attempt, from connecting to the last byte of the body. */
  readonly attemptTimeout: Duration.Duration
  /** The limit of all attempts and the pauses between them; a pause that would outlast it is not begun. */
  readonly totalTimeout: Duration.Duration
  /** The pause before the second attempt; it doubles with each further one, and is jittered (80–120 %). */
  readonly baseDelay: Duration.Duration
  /** A `Retry-After` up to this is waited for; a longer one fails at once, with it. */
  readonly maxRetryAfter: Duration.Duration
}

/**
 * The fields of a policy to set; durations as Effect takes them, such as `"5 seconds"`.
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
 * Returns 3 attempts of 5 s each, 15 s in all, pauses of 200 ms and 400 ms (jittered), `Retry-After` up to 5 s, unless
 * another policy is provided.
 *
 * @category references
 * @since 0.1.0
 */
export const RetryPolicy: Context.Reference<RetryPolicy> = Context.Reference<RetryPolicy>(
  "@effect-itwin/core/RetryPolicy",
  { defaultValue: () => defaults }
)

/**
 * Builds a policy; what is not given is as in the default policy, or as in `base`. A limit may be `Duration.infinity`.
 *
 * Throws a `RangeError` that names the field when `attempts` is not an integer of at least 1, a limit is 0, or a value
 * is not a duration or is negative.
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
 * One attempt; its time limits stay.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: RetryPolicy = make({ attempts: 1 })

/**
 * What {@link schedule} needs to know of a failure.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  readonly isRetryable: boolean
  /** How long the server asked to wait, if it did. */
  readonly retryAfter?: Duration.Duration | undefined
  /** Set when an earlier failure is told again: no attempt is made before. */
  readonly nextAttemptIn?: Duration.Duration | undefined
}

/**
 * Returns the pauses between the attempts: exponential, jittered, and at least as long as the server asked for.
 *
 * The schedule ends after `attempts`, at a failure that is not retryable, and at a `Retry-After` longer than
 * `maxRetryAfter`. The time limits are for the caller to apply: `attemptTimeout` inside each attempt, `totalTimeout`
 * around all of them.
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
 * Sets the policy for the token cache that is built with this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: RetryPolicy): Layer.Layer<never> => Layer.succeed(RetryPolicy, policy)
