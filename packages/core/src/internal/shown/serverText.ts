// Text that a server sent is shown only as far as it does not look like a secret: a server may echo, in any encoding,
// what it was sent. Looking for the echo can't be complete; looking for ordinary text can.
//
// The text is normalized (NFKC), cut to 512 characters and split at white space. A piece that does not look like words
// becomes `…`. A text that contains 8 consecutive letters and digits of a known secret is not shown at all.

const maxLength = 512
const echoLength = 8

const uuid = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i
const uuids = /(?<![\p{L}\p{N}])[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}(?![\p{L}\p{N}])/giu
const forbidden = /[%&#*\\+=\p{C}]/u
const separators = /[^\p{L}\p{M}\p{N}]+/u

const isWord = (word: string): boolean => {
  if (/^\p{N}{1,4}$/u.test(word) || /^[A-Z]{1,32}\d{3,8}$/.test(word)) return true
  if (!/^[\p{L}\p{M}]{1,32}$/u.test(word)) return false
  if (word.length < 5 || /^[A-Z]+$/.test(word)) return true
  return (word.match(/\p{Lu}/gu) ?? []).length * 3 <= word.length
}

const wordsOf = (piece: string): ReadonlyArray<string> =>
  piece
    .replace(uuids, " ")
    .split(separators)
    .filter((word) => word !== "")

const hasDigit = (word: string): boolean => /\p{N}/u.test(word)

const passes = (piece: string): boolean => {
  if (forbidden.test(piece)) return false
  const words = wordsOf(piece)
  return words.every(isWord) && words.filter(hasDigit).length <= 2
}

/** Letters and digits in lower case: what an echo keeps whatever stands between them. */
const skeleton = (text: string): string => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "")

export interface ServerText {
  /** Returns what may be shown of a text; undefined if that is nothing. */
  readonly show: (text: string) => string | undefined
  /** Returns the text if all of it may be shown, otherwise undefined: for codes and origins. */
  readonly showWhole: (text: string) => string | undefined
  /** Returns whether the text contains 8 consecutive letters and digits of a secret, or all of a shorter one. */
  readonly isEcho: (text: string) => boolean
}

/** `secrets`: what this request sent and must not be shown, and a token that it brought. */
export const makeServerText = (secrets: ReadonlyArray<string>): ServerText => {
  const sought = secrets.map(skeleton).filter((secret) => secret !== "")

  const isEcho = (text: string): boolean => {
    const plain = skeleton(text)
    return sought.some((secret) => {
      if (secret.length < echoLength) return plain.includes(secret)
      for (let at = 0; at + echoLength <= plain.length; at++) {
        if (secret.includes(plain.slice(at, at + echoLength))) return true
      }
      return false
    })
  }

  const show = (text: string): string | undefined => {
    const normal = text.normalize("NFKC").slice(0, maxLength)
    if (isEcho(normal) || wordsOf(normal).filter(hasDigit).length > 4) return undefined
    const pieces = normal.split(/\s+/u).filter((piece) => piece !== "")
    const shown = pieces.map((piece) => (passes(piece) ? piece : "…"))
    return shown.filter((piece, at) => piece !== "…" || shown[at - 1] !== "…").join(" ") || undefined
  }

  return {
    show,
    isEcho,
    showWhole: (text) => {
      const shown = show(text)
      return shown === text ? shown : undefined
    }
  }
}

/** Returns the correlation id if it is a UUID or 32 hexadecimal digits, and not an echo. */
export const showCorrelationId = (id: string | undefined, serverText: ServerText): string | undefined =>
  id !== undefined && (uuid.test(id) || /^[\da-f]{32}$/i.test(id)) && !serverText.isEcho(id) ? id : undefined
