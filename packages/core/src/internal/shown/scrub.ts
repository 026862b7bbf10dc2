// What a server says goes into messages and logs, and a server may echo what it was sent. So its text passes through
// here first: credentials out, then the characters that do not belong into a message, then the length.
import * as Base64 from "effect/encoding/Base64"

/** `application/x-www-form-urlencoded` of one value (RFC 6749 appendix B). */
export const formEncode = (value: string): string => new URLSearchParams({ "": value }).toString().slice(1)

/** HTML's names, and the plus that stands for a space in a form. */
const named: Readonly<Record<string, string>> = {
  " ": "+",
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  "+": "&plus;",
  "/": "&sol;",
  "=": "&equals;"
}

const hex = (code: number, length: number): string => code.toString(16).padStart(length, "0")

/** The escapes of a character, in lower case; numeric references are apart, since they may have leading zeros. */
const escapesOf = (char: string): ReadonlyArray<string> => [
  Array.from(new TextEncoder().encode(char), (byte) => `%${hex(byte, 2)}`).join(""),
  Array.from({ length: char.length }, (_, unit) => `\\u${hex(char.charCodeAt(unit), 4)}`).join(""),
  ...(named[char] === undefined ? [] : [named[char]])
]

const reference = /&#(?:(\d{1,10})|x([\da-f]{1,8}));/iy

/** Comparisons of one search; at some tenths of a microsecond each it stays below the time of a request. */
const maxSteps = 50_000

/** Looks for secrets in a text. A server that makes the search long may have hidden one: then none of it is shown. */
const makeSearch = (text: string) => {
  const escapes = new Map<string, ReadonlyArray<string>>()
  let steps = 0

  const escapesIn = (char: string) => {
    const known = escapes.get(char) ?? escapesOf(char)
    escapes.set(char, known)
    return known
  }

  /** Where the character ends if it stands at this place, in any of the forms in which a server may echo it. */
  const endsOf = (at: number, char: string): ReadonlyArray<number> => {
    steps++
    const ends = text.startsWith(char, at) ? [at + char.length] : []
    const first = text[at]
    if (first !== "\\" && first !== "%" && first !== "&" && first !== "+") return ends
    if (first === "\\" && text.startsWith(char, at + 1)) ends.push(at + 1 + char.length)
    for (const form of escapesIn(char)) {
      if (text.slice(at, at + form.length).toLowerCase() === form) ends.push(at + form.length)
    }
    if (first === "&") {
      reference.lastIndex = at
      const [all = "", decimal, hexadecimal = ""] = reference.exec(text) ?? []
      const code = decimal === undefined ? Number.parseInt(hexadecimal, 16) : Number(decimal)
      if (code === char.codePointAt(0)) ends.push(at + all.length)
    }
    return ends
  }

  return {
    isTooLong: () => steps > maxSteps,
    /** Where an echo of the secret ends that begins at this place; the place itself if none does. */
    endOfEcho: (at: number, secret: string): number => {
      // No echo is shorter than what it repeats.
      if (text.length - at < secret.length) return at
      if (text.startsWith(secret, at)) return at + secret.length
      let ends = new Set([at])
      for (const char of secret) {
        const next = new Set<number>()
        for (const end of ends) for (const further of endsOf(end, char)) next.add(further)
        if (next.size === 0 || steps > maxSteps) return at
        ends = next
      }
      return Math.max(...ends)
    }
  }
}

/**
 * The text without any of the secrets, in whatever encoding a server may echo them. It looks no further than the limit,
 * since a message is cut there: a token has thousands of characters, and so may the text.
 */
export const redact = (text: string, secrets: Iterable<string>, limit: number = Number.POSITIVE_INFINITY): string => {
  const sought = Array.from(new Set(secrets))
    .filter((secret) => secret !== "")
    .flatMap((secret) => [secret, Base64.encode(secret).replace(/=+$/, "")])
  const search = makeSearch(text)
  let out = ""
  let at = 0
  while (at < text.length && out.length < limit) {
    const end = Math.max(at, ...sought.map((secret) => search.endOfEcho(at, secret)))
    if (search.isTooLong()) return "<redacted>"
    out += end === at ? text[at] : "<redacted>"
    at = Math.max(end, at + 1)
  }
  return out
}

/** Text of IMS, fit for a message: at most `limit` of the characters that RFC 6749 §5.2 allows. */
export const scrub = (text: string, secrets: Iterable<string>, limit: number): string =>
  redact(text, secrets, limit)
    .replace(/[^\x20\x21\x23-\x5B\x5D-\x7E]/g, "?")
    .slice(0, limit)

/** Text of an API, which may be in any language: at most `limit` characters, none of them a control character. */
export const scrubText = (text: string, secrets: Iterable<string>, limit: number): string =>
  redact(text, secrets, limit).replace(/\p{C}/gu, "?").slice(0, limit)

/** A correlation id: at most 128 of `[A-Za-z0-9._-]`, or nothing. */
export const scrubCorrelationId = (text: string | undefined, secrets: Iterable<string>): string | undefined =>
  text === undefined
    ? undefined
    : redact(text, secrets, 1024)
        .replace(/[^A-Za-z0-9._-]/g, "")
        .slice(0, 128) || undefined
