// How often and how long a read is tried: the defaults, and whether what was given can be kept to.
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Retry, VaultOptions } from "../KeyVaultSecretProvider.ts"
import { type Checked, misconfigured } from "./settings.ts"

const defaults: Retry = {
  attempts: 4,
  attemptTimeout: Duration.seconds(4),
  totalTimeout: Duration.seconds(9),
  baseDelay: Duration.millis(500),
  maxRetryAfter: Duration.seconds(4)
}

const isPositive = (duration: Duration.Duration): boolean => Duration.isGreaterThan(duration, Duration.zero)
const isNotNegative = (duration: Duration.Duration): boolean => !Duration.isNegative(duration)

/** Effect makes zero of a duration that is no number: so a timeout of zero is a mistake, and a pause of zero is none. */
const limits = [
  ["attemptTimeout", isPositive, "longer than zero"],
  ["totalTimeout", isPositive, "longer than zero"],
  ["baseDelay", isNotNegative, "not negative"],
  ["maxRetryAfter", isNotNegative, "not negative"]
] as const

export const retryOf = (given: VaultOptions["retry"]): Checked<Retry> => {
  const attempts = given?.attempts ?? defaults.attempts
  if (!Number.isInteger(attempts) || attempts < 1) {
    return misconfigured("retry.attempts", "It must be a whole number from 1 on.")
  }
  const retry: { -readonly [K in keyof Retry]: Retry[K] } = { ...defaults, attempts }
  for (const [key, isAllowed, expected] of limits) {
    const duration = Duration.fromInput(given?.[key] ?? defaults[key])
    if (Option.isNone(duration) || !isAllowed(duration.value)) {
      return misconfigured(`retry.${key}`, `It must be a duration that is ${expected}.`)
    }
    retry[key] = duration.value
  }
  return retry
}
