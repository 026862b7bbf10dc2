// Secrets as machines make them, the same in each run. They are not committed, but derived from the seed.

/** Builds a generator of numbers from 0 to 1 (mulberry32). */
export const makeRandom = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let value = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
  return ((value ^ (value >>> 14)) >>> 0) / 4294967296
}

const digits = "0123456789"
const lower = "abcdefghijklmnopqrstuvwxyz"
const upper = lower.toUpperCase()

const alphabets: Readonly<Record<string, string>> = {
  base64: `${upper}${lower}${digits}+/`,
  base64url: `${upper}${lower}${digits}-_`,
  hex: `${digits}abcdef`,
  base58: "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
  alphanumeric: `${upper}${lower}${digits}`,
  "lower case and digits": `${lower}${digits}`,
  letters: `${upper}${lower}`,
  // Microsoft's app secrets have tildes and dots.
  Entra: `${upper}${lower}${digits}-_.~`
}

/** The kinds of secrets, and the lengths of each kind. */
export const kinds: ReadonlyArray<readonly [kind: string, lengths: ReadonlyArray<number>]> = [
  ...Object.keys(alphabets).map((kind) => [kind, [20, 24, 32, 40, 44, 64]] as const),
  ["token of three parts", [160, 700]]
]

/** Makes a secret; `random` gives numbers from 0 to 1. */
export const makeSecret = (kind: string, length: number, random: () => number): string => {
  const pick = (alphabet: string, count: number) =>
    Array.from({ length: count }, () => alphabet[Math.floor(random() * alphabet.length)]).join("")
  const alphabet = alphabets[kind]
  if (alphabet === undefined) {
    const url = alphabets.base64url ?? ""
    return [36, length - 36 - 43 - 2, 43].map((count) => pick(url, count)).join(".")
  }
  return kind === "base64" && length % 4 === 0 ? `${pick(alphabet, length - 1)}=` : pick(alphabet, length)
}

/** The text of a server around an echo. */
export const sentences: ReadonlyArray<(echo: string) => string> = [
  (echo) => echo,
  (echo) => `The client secret ${echo} is not valid.`,
  (echo) => `invalid client secret: '${echo}'`,
  (echo) => `Unexpected value "${echo}" in the request body, near line 1`,
  (echo) => `client_secret=${echo}`,
  (echo) => `Malformed header (Authorization: Basic ${echo})`,
  (echo) => `{"client_id":"service-Ab12","client_secret":"${echo}"}`,
  (echo) => `Could not parse <${echo}>; expected one of: a, b, c`,
  (echo) => `Der Wert ${echo} ist ungültig`,
  // The echo is cut with the text.
  (echo) => `${"The request was not understood by the server. ".repeat(11).slice(0, 500)}${echo}`
]
