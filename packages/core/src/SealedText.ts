/**
 * Seals text under keys that the program has, so that it can be kept where others can read and write: in a store, or in
 * a cookie.
 *
 * {@link make} takes a list of keys. The first one seals, and each of them opens. To replace a key, add the new one at
 * the end wherever sealed texts are opened. Then move it to the front, and remove the old one when nothing is left that
 * it sealed.
 *
 * **Details**
 *
 * - AES-256-GCM with a random nonce of 96 bits. Replace a key before it has sealed 2³² texts.
 * - `context` says what the text is for, for example the name of a cookie. It is authenticated, but is not part of the
 *   result. A text that was sealed for one context does not open for another.
 * - The sealed text is base64url: 38 characters for the nonce and the tag, and 4 for each 3 bytes of the text.
 *
 * **Gotchas**
 *
 * Sealing hides and protects the content. It does not say when the text was sealed, so an old one still opens. Put an
 * expiry into the text.
 *
 * **Example** (Replacing a key)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { SealedText } from "@effect-itwin/core"
 * import { Effect, Option, Redacted } from "effect"
 *
 * // Each key: openssl rand -base64 32
 * const oldKey = Redacted.make("c2VhbGVkLXRleHQtZXhhbXBsZS1vbGRlci1rZXktMDE=")
 * const newKey = Redacted.make("c2VhbGVkLXRleHQtZXhhbXBsZS1uZXdlci1rZXktMDI=")
 *
 * it.effect("opens what an older key sealed", () =>
 *   Effect.gen(function* () {
 *     const sealed = yield* SealedText.make([oldKey]).seal("a text", "example")
 *     const rotated = SealedText.make([newKey, oldKey])
 *     assert.deepStrictEqual(yield* rotated.open(sealed, "example"), Option.some("a text"))
 *     assert.deepStrictEqual(yield* rotated.open(sealed, "another context"), Option.none())
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type Bytes, bytesOf, openWith, sealWith } from "./internal/store/aead.ts"

/**
 * Seals texts, and opens them again.
 *
 * @category models
 * @since 0.1.0
 */
export interface SealedText {
  /** Returns the text sealed with the first key, as base64url. Two calls return different texts. */
  readonly seal: (text: string, context: string) => Effect.Effect<string>
  /** Returns the text, or none if none of the keys sealed it for this context. */
  readonly open: (sealed: string, context: string) => Effect.Effect<Option.Option<string>>
}

const keyBytes = 32

/** Accepts base64 and base64url, with and without padding. Never quotes the key. */
const decodeKey = (key: Redacted.Redacted): Bytes => {
  const text = Redacted.value(key).trim().replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_")
  const bytes = Result.getOrUndefined(Base64Url.decode(text))
  if (bytes === undefined || bytes.length !== keyBytes) {
    throw new RangeError(
      "SealedText: each key must be 32 bytes in base64, for example the output of `openssl rand -base64 32`"
    )
  }
  return new Uint8Array(bytes)
}

/** Sealed texts of this module do not open as anything else that the same key may seal. */
const contextOf = (context: string): Bytes => bytesOf(JSON.stringify(["effect-itwin", "1", "text", context]))

/**
 * Builds a sealer. A key is 32 random bytes as base64 or base64url: the output of `openssl rand -base64 32`.
 *
 * Throws a `RangeError` if there is no key, or one is invalid. The error does not quote the key.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (keys: NonEmptyReadonlyArray<Redacted.Redacted>): SealedText => {
  const [first, ...others] = keys.map(decodeKey)
  if (first === undefined) throw new RangeError("SealedText: keys must contain at least one key")
  let imported: Promise<readonly [CryptoKey, ...Array<CryptoKey>]> | undefined
  const importKey = (key: Bytes) =>
    globalThis.crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"])
  const cryptoKeys = Effect.promise(() => {
    imported ??= Promise.all([importKey(first), ...others.map(importKey)])
    return imported
  })
  return {
    seal: (text, context) => Effect.flatMap(cryptoKeys, ([key]) => sealWith(key, contextOf(context), text)),
    open: Effect.fnUntraced(function* (sealed: string, context: string) {
      for (const key of yield* cryptoKeys) {
        const text = yield* openWith(key, contextOf(context), sealed)
        if (text !== undefined) return Option.some(text)
      }
      return Option.none()
    })
  }
}
