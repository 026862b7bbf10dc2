// Seals text with AES-256-GCM under a key of WebCrypto. The sealed text is nonce, ciphertext and tag in base64url.
// `context` is authenticated, but not part of the result: a text that was sealed for one purpose does not open for
// another one.
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Result from "effect/Result"

const nonceBytes = 12

export type Bytes = Uint8Array<ArrayBuffer>

export const bytesOf = (text: string): Bytes => new TextEncoder().encode(text)

const algorithm = (iv: Bytes, additionalData: Bytes) => ({ name: "AES-GCM", iv, additionalData })

export const sealWith = Effect.fnUntraced(function* (key: CryptoKey, context: Bytes, text: string) {
  const { crypto } = globalThis
  const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes))
  const sealed = yield* Effect.promise(() => crypto.subtle.encrypt(algorithm(nonce, context), key, bytesOf(text)))
  const value = new Uint8Array(nonceBytes + sealed.byteLength)
  value.set(nonce)
  value.set(new Uint8Array(sealed), nonceBytes)
  return Base64Url.encode(value)
})

/** Returns undefined if the value was not sealed with this key for this context. */
export const openWith = Effect.fnUntraced(function* (key: CryptoKey, context: Bytes, value: string) {
  const bytes = Result.getOrUndefined(Base64Url.decode(value))
  // More than one spelling decodes to the same bytes. Only the one that `sealWith` returns is accepted.
  if (bytes === undefined || Base64Url.encode(bytes) !== value) return undefined
  const copy = new Uint8Array(bytes)
  const opened = yield* Effect.option(
    Effect.tryPromise(() =>
      globalThis.crypto.subtle.decrypt(algorithm(copy.subarray(0, nonceBytes), context), key, copy.subarray(nonceBytes))
    )
  )
  return opened._tag === "None" ? undefined : new TextDecoder().decode(opened.value)
})

/** Returns random bytes in base64url. */
export const randomText = (bytes: number): string =>
  Base64Url.encode(globalThis.crypto.getRandomValues(new Uint8Array(bytes)))
