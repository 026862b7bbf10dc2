// What a server says goes into messages and logs, and a server may echo what it was sent. So its text passes through
// here first: credentials out, then the characters that do not belong into a message, then the length.
import * as Base64 from "effect/encoding/Base64"

/** `application/x-www-form-urlencoded` of one value (RFC 6749 appendix B). */
export const formEncode = (value: string): string => new URLSearchParams({ "": value }).toString().slice(1)

const anyCase = (hex: string): string =>
  hex.replace(/[a-f]/gi, (digit) => `[${digit.toLowerCase()}${digit.toUpperCase()}]`)

const named: Readonly<Record<string, string>> = { "&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos" }

/** One character in every form in which a server could echo it: as is, percent-encoded, or escaped for JSON or HTML. */
const echoesOf = (char: string): string => {
  const code = char.codePointAt(0) ?? 0
  const units = Array.from({ length: char.length }, (_, index) => char.charCodeAt(index).toString(16).padStart(4, "0"))
  const bytes = Array.from(new TextEncoder().encode(char), (byte) => byte.toString(16).padStart(2, "0"))
  const forms = [
    `\\\\?${char.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")}`,
    anyCase(bytes.map((byte) => `%${byte}`).join("")),
    anyCase(units.map((unit) => `\\\\u${unit}`).join("")),
    `&#0*${code};`,
    `&#[xX]0*${anyCase(code.toString(16))};`,
    ...(char === " " ? ["\\+"] : []),
    ...(named[char] === undefined ? [] : [`&${named[char]};`])
  ]
  return `(?:${forms.join("|")})`
}

/** The text without any of the secrets, in whatever encoding a server may echo them. */
export const redact = (text: string, secrets: Iterable<string>): string => {
  let out = text
  for (const secret of secrets) {
    if (secret === "") continue
    for (const form of [secret, Base64.encode(secret).replace(/=+$/, "")]) {
      out = out.replace(new RegExp(Array.from(form, echoesOf).join(""), "g"), "<redacted>")
    }
  }
  return out
}

/** Text of IMS, fit for a message: at most `limit` of the characters that RFC 6749 §5.2 allows. */
export const scrub = (text: string, secrets: Iterable<string>, limit: number): string =>
  redact(text, secrets)
    .replace(/[^\x20\x21\x23-\x5B\x5D-\x7E]/g, "?")
    .slice(0, limit)

/** Text of an API, which may be in any language: at most `limit` characters, none of them a control character. */
export const scrubText = (text: string, secrets: Iterable<string>, limit: number): string =>
  redact(text, secrets).replace(/\p{C}/gu, "?").slice(0, limit)

/** A correlation id: at most 128 of `[A-Za-z0-9._-]`, or nothing. */
export const scrubCorrelationId = (text: string | undefined, secrets: Iterable<string>): string | undefined =>
  text === undefined
    ? undefined
    : redact(text, secrets)
        .replace(/[^A-Za-z0-9._-]/g, "")
        .slice(0, 128) || undefined
