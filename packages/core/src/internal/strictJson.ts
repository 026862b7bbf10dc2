// JSON without repeated names. RFC 7515 §4 and RFC 7519 §4 let a parser use the last of repeated names; another parser
// may use the first, and then two programs read different claims in one token.
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

/** Returns the position behind the string that begins at `at`, in valid JSON. */
const endOfString = (json: string, at: number): number => {
  let end = json.indexOf('"', at + 1)
  for (;;) {
    let slash = end - 1
    while (json.charCodeAt(slash) === 0x5c) slash--
    // An even number of backslashes escapes itself, not the quote.
    if ((end - slash) % 2 === 1) return end + 1
    end = json.indexOf('"', end + 1)
  }
}

/** Counts the names of all objects in valid JSON, repeated ones included. */
const countNames = (json: string): number => {
  let count = 0
  let at = json.indexOf('"')
  while (at >= 0) {
    let next = endOfString(json, at)
    while (isSpace(json.charCodeAt(next))) next++
    if (json.charCodeAt(next) === 0x3a) count++
    at = json.indexOf('"', next)
  }
  return count
}

/** Counts the names of all objects in a value. A list instead of recursion, because the depth is the sender's. */
const countKeys = (value: unknown): number => {
  let count = 0
  const open = [value]
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    if (Array.isArray(item)) for (const inner of item) open.push(inner)
    else if (Predicate.isObject(item)) {
      const inner = Object.values(item)
      count += inner.length
      for (const value of inner) if (typeof value === "object") open.push(value)
    }
  }
  return count
}

/** Returns whether valid JSON, and the value that it was parsed to, show that a name is repeated in an object. */
const hasRepeatedNames = (json: string, parsed: unknown): boolean => countNames(json) !== countKeys(parsed)

/** Returns the object; undefined if the text is not JSON, is not an object, or repeats a name in one. */
export const parseObject = (json: string): Readonly<Record<string, unknown>> | undefined => {
  const parsed = Result.getOrUndefined(Result.try((): unknown => JSON.parse(json)))
  return Predicate.isReadonlyObject(parsed) && !hasRepeatedNames(json, parsed) ? parsed : undefined
}
