// Invalid options are programming errors, so they are defects: a `RangeError` that names the option, thrown when the
// layer is built.
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** Throws a `RangeError` unless the value of the option is valid. */
export const checkOption = (name: string, value: unknown, isValid: boolean, expected: string): void => {
  if (!isValid) throw new RangeError(`${name} must be ${expected}, not ${String(value)}`)
}

/** Throws a `RangeError` unless the value is an integer of at least 1. */
export const checkCount = (name: string, value: number): void =>
  checkOption(name, value, Number.isInteger(value) && value >= 1, "an integer of at least 1")

/** Returns the duration; throws a `RangeError` if the input is not one, or is negative. */
export const checkDuration = (name: string, input: Duration.Input): Duration.Duration => {
  const duration = Option.getOrUndefined(Duration.fromInput(input))
  if (duration === undefined || Duration.isNegative(duration)) {
    throw new RangeError(`${name} must be a duration of 0 or more, not ${String(input)}`)
  }
  return duration
}

/** Returns the duration; throws a `RangeError` if the input is not one, or is not above 0. */
export const checkLimit = (name: string, input: Duration.Input): Duration.Duration => {
  const duration = checkDuration(name, input)
  checkOption(
    name,
    Duration.format(duration),
    Duration.isGreaterThan(duration, Duration.zero),
    "a duration greater than 0"
  )
  return duration
}
