// How a server, a proxy or a log viewer may encode what it was sent. Shared by the tests and by scripts/server-text.ts.

const bytesOf = (text: string): ReadonlyArray<number> => [...new TextEncoder().encode(text)]

const hex = (code: number, length = 2): string => code.toString(16).padStart(length, "0")

const perCharacter =
  (write: (code: number) => string) =>
  (text: string): string =>
    Array.from(text, (char) => write(char.codePointAt(0) ?? 0)).join("")

const perByte =
  (write: (byte: number) => string, separator = "") =>
  (text: string): string =>
    bytesOf(text).map(write).join(separator)

const inGroups =
  (length: number, separator: string) =>
  (text: string): string =>
    (text.match(new RegExp(`[\\s\\S]{1,${length}}`, "g")) ?? []).join(separator)

const base64 = (text: string): string => Buffer.from(text).toString("base64")
const percent = perByte((byte) => `%${hex(byte).toUpperCase()}`)
const form = (text: string): string => new URLSearchParams({ "": text }).toString().slice(1)

const base32 = (text: string): string => {
  const bits = bytesOf(text)
    .map((byte) => byte.toString(2).padStart(8, "0"))
    .join("")
  const groups = bits.match(/.{1,5}/g) ?? []
  return groups.map((group) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[Number.parseInt(group.padEnd(5, "0"), 2)]).join("")
}

const base58 = (text: string): string => {
  let value = BigInt(`0x${Buffer.from(text).toString("hex")}`)
  let out = ""
  for (; value > 0n; value /= 58n) {
    out = `${"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[Number(value % 58n)]}${out}`
  }
  return out
}

const ascii85 = (text: string): string => {
  const bytes = bytesOf(text)
  let out = ""
  for (let at = 0; at < bytes.length; at += 4) {
    const group = [0, 1, 2, 3].map((i) => bytes[at + i] ?? 0)
    let value = group.reduce((sum, byte) => sum * 256 + byte, 0)
    let digits = ""
    for (let i = 0; i < 5; i++, value = Math.floor(value / 85)) digits = String.fromCharCode(33 + (value % 85)) + digits
    out += digits.slice(0, Math.min(4, bytes.length - at) + 1)
  }
  return out
}

const rot13 = (text: string): string =>
  text.replace(/[a-z]/gi, (char) => {
    const base = char <= "Z" ? 65 : 97
    return String.fromCharCode(((char.charCodeAt(0) - base + 13) % 26) + base)
  })

const quotedPrintable = perCharacter((code) =>
  code < 33 || code > 126 || code === 61 ? `=${hex(code).toUpperCase()}` : String.fromCharCode(code)
)

const htmlNames: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "+": "&plus;",
  "/": "&sol;",
  "=": "&equals;",
  "-": "&hyphen;",
  ".": "&period;"
}

export const encodings: Readonly<Record<string, (secret: string) => string>> = {
  raw: (secret) => secret,
  "lower case": (secret) => secret.toLowerCase(),
  "upper case": (secret) => secret.toUpperCase(),
  reversed: (secret) => [...secret].reverse().join(""),
  "groups of 4, spaces": inGroups(4, " "),
  "groups of 5, dashes": inGroups(5, "-"),
  "groups of 6, line breaks": inGroups(6, "\r\n"),
  "characters with spaces": inGroups(1, " "),
  "full width": perCharacter((code) => String.fromCodePoint(code > 32 && code < 127 ? code + 0xfee0 : code)),
  percent,
  "percent, special characters only": encodeURIComponent,
  "percent, twice": (secret) => encodeURIComponent(percent(secret)),
  form,
  "JSON \\u": perCharacter((code) => `\\u${hex(code, 4)}`),
  "HTML decimal": perCharacter((code) => `&#${code};`),
  "HTML hexadecimal": perCharacter((code) => `&#x${hex(code)};`),
  "HTML names": (secret) => secret.replace(/[&+/=.-]/g, (char) => htmlNames[char] ?? char),
  "octal escapes": perByte((byte) => `\\${byte.toString(8).padStart(3, "0")}`),
  "decimal codes": perByte(String, " "),
  hexadecimal: perByte((byte) => hex(byte)),
  "hexadecimal, groups of 4": (secret) => inGroups(4, " ")(Buffer.from(secret).toString("hex")),
  "hexadecimal, groups of 8": (secret) => inGroups(8, " ")(Buffer.from(secret).toString("hex")),
  "hexadecimal dump": perByte((byte) => hex(byte), " "),
  "hexadecimal, colons": perByte((byte) => hex(byte).toUpperCase(), ":"),
  base32,
  base58,
  base64,
  base64url: (secret) => Buffer.from(secret).toString("base64url"),
  "base64, lines of 76": (secret) => inGroups(76, "\r\n")(base64(secret)),
  "base64, lines of 64": (secret) => inGroups(64, "\n")(base64(secret)),
  "base64, groups of 4": (secret) => inGroups(4, " ")(base64(secret)),
  "base64, groups of 8": (secret) => inGroups(8, " ")(base64(secret)),
  "base64, groups of 16, dashes": (secret) => inGroups(16, "-")(base64(secret)),
  "base64, twice": (secret) => base64(base64(secret)),
  "base64 of the Basic credentials": (secret) => base64(`service-Ab12:${form(secret)}`),
  "base64 of the form": (secret) => base64(`grant_type=client_credentials&client_secret=${form(secret)}`),
  "base64, reversed": (secret) => [...base64(secret)].reverse().join(""),
  ascii85,
  rot13,
  "quoted-printable": quotedPrintable,
  "UTF-16": (secret) => [...secret].join("\u0000")
}

/** Returns runs of letters and digits. `…` marks what was left out, and ends a run. */
const runsOf = (text: string): ReadonlyArray<string> =>
  text
    .normalize("NFKC")
    .split("…")
    .map((run) => run.replace(/[^\p{L}\p{N}]/gu, ""))

/**
 * Returns whether a text shows 8 (or `atLeast`) consecutive letters and digits of the secret or of its encoded form,
 * whatever is between them; or all of them, if there are fewer.
 */
export const showsPartOf = (shown: string, secret: string, echo: string, atLeast = 8): boolean => {
  const runs = runsOf(shown)
  return [secret, echo].some((source) => {
    const whole = runsOf(source).join("")
    const length = Math.min(atLeast, whole.length)
    for (let at = 0; at + length <= whole.length; at++) {
      if (runs.some((run) => run.includes(whole.slice(at, at + length)))) return true
    }
    return false
  })
}
