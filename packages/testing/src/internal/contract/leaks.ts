// Finds a secret in the texts of a read, in the encodings in which it can get there by accident.
import type { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Result from "effect/Result"
import { failureOf } from "./reading.ts"

const formEncode = (value: string): string => new URLSearchParams({ "": value }).toString().slice(1)

/** Returns the part of the base64 text that only the secret determines. It depends on where in the text the secret begins. */
const base64At = (offset: 0 | 1 | 2) => (secret: string) => {
  const encoded = Base64.encode("-".repeat(offset) + secret).replace(/=+$/, "")
  const begin = [0, 2, 3][offset]
  return encoded.slice(begin, (offset + secret.length) % 3 === 0 ? undefined : -1)
}

const urlSafe = (encoded: string): string => encoded.replaceAll("+", "-").replaceAll("/", "_")

const forms: ReadonlyArray<readonly [name: string, encode: (secret: string) => string]> = [
  ["as it is", (secret) => secret],
  ["percent-encoded", encodeURIComponent],
  ["percent-encoded", (secret) => encodeURIComponent(secret).replace(/%../g, (code) => code.toLowerCase())],
  ["form-encoded", formEncode],
  ["in base64", base64At(0)],
  ["in base64", base64At(1)],
  ["in base64", base64At(2)],
  ["in base64url", (secret) => urlSafe(base64At(0)(secret))],
  ["in base64url", (secret) => urlSafe(base64At(1)(secret))],
  ["in base64url", (secret) => urlSafe(base64At(2)(secret))]
]

/** Returns the encoding in which the text shows one of the secrets, if it does. */
export const findLeak = (text: string, secrets: Iterable<string>): string | undefined => {
  for (const secret of secrets) {
    for (const [name, encode] of forms) if (text.includes(encode(secret))) return name
  }
  return undefined
}

/** Returns JSON, or the result of `String` for what has no JSON: `undefined`, a big integer, a circular object. */
const text = (value: unknown): string =>
  Option.getOrElse(Option.fromUndefinedOr(Result.getOrUndefined(Result.try(() => JSON.stringify(value)))), () =>
    String(value)
  )

/** Returns the strings that a value turns into, and those of an error's causes up to a depth. */
const shown = (value: unknown, depth = 8): ReadonlyArray<string> => [
  String(value),
  text(value),
  ...(value instanceof Error && depth > 0
    ? [value.message, value.stack ?? "", ...(value.cause === undefined ? [] : shown(value.cause, depth - 1))]
    : [])
]

/** Reads, and returns every text in which the result could be shown, including the log of the read. */
export const textsOf = Effect.fnUntraced(function* (read: SecretProvider["Service"]["credentials"]) {
  const texts: Array<string> = []
  const logger = Logger.make(({ message, cause }) => {
    texts.push(...[message].flat().flatMap((part) => shown(part)), Cause.pretty(cause))
  })
  const outcome = yield* Effect.exit(read).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "All")
  )
  if (outcome._tag === "Success") return [...texts, ...shown(outcome.value)]
  const failure = failureOf(outcome)
  return [...texts, ...shown(outcome), Cause.pretty(outcome.cause), ...shown(failure), ...shown(failure?.reason)]
})
