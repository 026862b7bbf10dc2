// The SHA-256 digest under which the result of a verification is kept, so that no token is the key of a map. Node, Bun
// and Deno compute it at once. WebCrypto, the fallback, needs a promise, which costs more than the rest of a hit.

import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { base64url } from "jose"

type Hash = (algorithm: "sha256", data: string, encoding: "base64url") => string

const isHash = (value: unknown): value is Hash => Predicate.isFunction(value)

/** `node:crypto` without an import, which a bundle for a runtime without Node's modules could not resolve. */
const nodeHash = (): Hash | undefined => {
  const process: unknown = Reflect.get(globalThis, "process")
  if (!Predicate.hasProperty(process, "getBuiltinModule") || !Predicate.isFunction(process.getBuiltinModule)) return
  const crypto: unknown = process.getBuiltinModule("node:crypto")
  return Predicate.hasProperty(crypto, "hash") && isHash(crypto.hash) ? crypto.hash : undefined
}

const webDigest = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
    (digest) => base64url.encode(new Uint8Array(digest))
  )

/** Builds the function that computes the digest of a token. */
export const makeDigest = (): ((text: string) => Effect.Effect<string>) => {
  const hash = nodeHash()
  return hash === undefined ? webDigest : (text) => Effect.succeed(hash("sha256", text, "base64url"))
}
