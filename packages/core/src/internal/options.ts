// What a program says of itself has no typed error: an option that makes no sense is thrown before it does harm, such as
// a request for each `get`. The message names it.

/** Throws unless the value of the option is what it has to be. */
export const check = (name: string, value: number, isValid: boolean, expected: string): void => {
  if (!isValid) throw new RangeError(`${name} must be ${expected}, not ${value}`)
}

export const checkWhole = (name: string, value: number): void =>
  check(name, value, Number.isInteger(value) && value >= 1, "a whole number from 1 on")

export const checkLimit = (name: string, value: number): void => check(name, value, value > 0, "a duration above 0")

export const checkMillis = (name: string, value: number): void =>
  check(name, value, value >= 0, "a duration of 0 or more")
