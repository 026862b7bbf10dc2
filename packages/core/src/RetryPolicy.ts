/**
 * How often and how long the token request is tried.
 *
 * A `Context.Reference`, read once when the token cache is built:
 * `Layer.provide(Layer.succeed(RetryPolicy.RetryPolicy, RetryPolicy.none))`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import { checkLimit, checkMillis, checkWhole } from "./internal/options.ts"

/**
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

const defaults: RetryPolicy = {
  attempts: 3,
  attemptTimeout: Duration.seconds(5),
  totalTimeout: Duration.seconds(15),
  baseDelay: Duration.millis(200),
  maxRetryAfter: Duration.seconds(5)
}

/**
 * 3 attempts of 5 s each, 15 s in all, pauses of 200 ms and 400 ms (jittered), `Retry-After` up to 5 s.
 *
 * @category references
 * @since 0.1.0
 */
export const RetryPolicy: Context.Reference<RetryPolicy> = Context.Reference<RetryPolicy>(
  "@effect-itwin/core/RetryPolicy",
  { defaultValue: () => defaults }
)

/**
 * The default policy with some of it changed. A limit may be `Duration.infinity`.
 *
 * Throws a `RangeError` that names the field when `attempts` is no whole number from 1 on, a limit is 0, or a
 * duration is negative.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: { readonly [K in keyof RetryPolicy]?: RetryPolicy[K] | undefined }): RetryPolicy => {
  const {
    attempts = defaults.attempts,
    attemptTimeout = defaults.attemptTimeout,
    totalTimeout = defaults.totalTimeout,
    baseDelay = defaults.baseDelay,
    maxRetryAfter = defaults.maxRetryAfter
  } = options
  checkWhole("RetryPolicy: attempts", attempts)
  checkLimit("RetryPolicy: attemptTimeout", Duration.toMillis(attemptTimeout))
  checkLimit("RetryPolicy: totalTimeout", Duration.toMillis(totalTimeout))
  checkMillis("RetryPolicy: baseDelay", Duration.toMillis(baseDelay))
  checkMillis("RetryPolicy: maxRetryAfter", Duration.toMillis(maxRetryAfter))
  return { attempts, attemptTimeout, totalTimeout, baseDelay, maxRetryAfter }
}

/**
 * One attempt; its time limits stay.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: RetryPolicy = make({ attempts: 1 })

/**
 * Sets the policy for the token cache built with it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: RetryPolicy): Layer.Layer<never> => Layer.succeed(RetryPolicy, policy)
