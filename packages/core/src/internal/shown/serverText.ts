// Text of a server is shown only as far as it does not look like a secret, because a server may echo the secret in any
// encoding. A search for every encoding can't be complete, but a search for ordinary words can.
//
// The text is normalized (NFKC), cut to 512 characters and split at white space. A piece that does not look like words,
// or that was cut, becomes `…`. A text is not shown at all if it contains 8 consecutive letters and digits of a known
// secret, or of its base64, because groups of 4 characters of base64 look like words.
//
// This decides only what is shown. Code that depends on the text of a server reads the text itself.
import * as Base64 from "effect/encoding/Base64"

const maxLength = 512
const echoLength = 8
const groupLength = echoLength / 2
/** Base64 of a longer secret, which is a token, is not searched for, because that would make failures slow. */
const maxEncodedLength = 4096

const uuid = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i
const uuids = /(?<![\p{L}\p{N}])[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}(?![\p{L}\p{N}])/giu
const forbidden = /[%&#*\\+=\p{C}]/u
const punctuation = /[^\p{L}\p{M}\p{N}]+/u

const isWord = (word: string): boolean => {
  if (/^\p{N}{1,4}$/u.test(word) || /^[A-Z]{1,31}\d{3,8}$/.test(word)) return true
  if (!/^[\p{L}\p{M}]{1,31}$/u.test(word)) return false
  if (word.length < 5 || /^[A-Z]+$/.test(word)) return true
  return (word.match(/\p{Lu}/gu) ?? []).length * 3 <= word.length
}

const wordsOf = (piece: string): ReadonlyArray<string> =>
  piece
    .replace(uuids, " ")
    .split(punctuation)
    .filter((word) => word !== "")

const countDigits = (words: ReadonlyArray<string>): number => words.filter((word) => /\p{N}/u.test(word)).length

const passes = (piece: string): boolean => {
  if (forbidden.test(piece)) return false
  const words = wordsOf(piece)
  return words.every(isWord) && countDigits(words) <= 2
}

/**
 * Cuts the text before it is normalized, since it may be megabytes long. Replaces a piece that was cut, because the
 * rest of a secret may look like a word.
 */
const normalize = (text: string): string => {
  const normal = text.slice(0, 4 * maxLength).normalize("NFKC")
  return normal.length <= maxLength ? normal : normal.slice(0, maxLength).replace(/\S*$/u, "…")
}

/** Returns the letters and digits in lower case, which an echo keeps whatever is put between them. */
const skeleton = (text: string): string => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "")

/** Returns a secret, and its base64 for each of the three offsets at which it can begin in longer base64. */
const formsOf = (secret: string): ReadonlyArray<string> =>
  secret.length > maxEncodedLength
    ? [secret]
    : [secret, ...["", " ", "  "].map((before) => Base64.encode(before + secret))]

/**
 * Returns whether the text has 8 consecutive characters of the secret, or all of a shorter secret.
 *
 * Any 8 characters contain a group of 4 that begins at a multiple of 4. Only these groups are looked up, so a token of
 * 32 KiB takes less than a millisecond.
 */
const repeats = (text: string, secret: string): boolean => {
  if (secret.length < echoLength) return secret !== "" && text.includes(secret)
  const groups = new Set<string>()
  for (let at = 0; at + groupLength <= text.length; at++) groups.add(text.slice(at, at + groupLength))
  for (let at = 0; at + groupLength <= secret.length; at += groupLength) {
    if (!groups.has(secret.slice(at, at + groupLength))) continue
    for (let from = Math.max(0, at - groupLength + 1); from <= at && from + echoLength <= secret.length; from++) {
      if (text.includes(secret.slice(from, from + echoLength))) return true
    }
  }
  return false
}

export interface ServerText {
  /** Returns what may be shown of a text; undefined if that is nothing. */
  readonly show: (text: string) => string | undefined
  /** Returns the text if all of it may be shown, otherwise undefined. */
  readonly showComplete: (text: string) => string | undefined
  /** Returns the text if all of it may be shown, otherwise `unknown`: for codes, origins and keys. */
  readonly showCode: (code: string) => string
  /** Returns the id if it is a UUID or 32 hexadecimal digits, otherwise undefined. */
  readonly showCorrelationId: (id: string | undefined) => string | undefined
  /** Returns the texts that may be shown; none if they could not be shown as one text. */
  readonly showEach: (texts: ReadonlyArray<string>) => ReadonlyArray<string>
}

/** `secrets`: what the request sent, and a token in the response. Neither may be shown. */
export const makeServerText = (secrets: ReadonlyArray<string>): ServerText => {
  // Built on first use: most responses have no text to show, and a token may be long.
  let skeletons: ReadonlyArray<string> | undefined
  const isEcho = (text: string): boolean => {
    skeletons ??= secrets.flatMap(formsOf).map(skeleton)
    const plain = skeleton(text)
    return skeletons.some((secret) => repeats(plain, secret))
  }

  const isSuspect = (text: string): boolean => countDigits(wordsOf(text)) > 4 || isEcho(text)

  const show = (text: string): string | undefined => {
    const normal = normalize(text)
    if (isSuspect(normal)) return undefined
    const pieces = normal.split(/\s+/u).filter((piece) => piece !== "")
    const shown = pieces.map((piece) => (passes(piece) ? piece : "…"))
    return shown.every((piece) => piece === "…")
      ? undefined
      : shown.filter((piece, at) => piece !== "…" || shown[at - 1] !== "…").join(" ")
  }

  const showComplete = (text: string) => (show(text) === text ? text : undefined)

  return {
    show,
    showComplete,
    showCode: (code) => showComplete(code) ?? "unknown",
    showCorrelationId: (id) =>
      id !== undefined && (uuid.test(id) || /^[\da-f]{32}$/i.test(id)) && !isEcho(id) ? id : undefined,
    showEach: (texts) => {
      const shown = texts.filter((text) => showComplete(text) !== undefined)
      return isSuspect(shown.join(" ")) ? [] : shown
    }
  }
}
