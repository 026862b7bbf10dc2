// The key set of IMS (RFC 7517 §5), reduced to the keys that can verify a token.

import * as ImsRequest from "@effect-itwin/core/ImsRequest"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { base64url } from "jose"
import type { Algorithm } from "./compactJws.ts"

export interface Key {
  readonly kid: string
  readonly algorithms: ReadonlySet<Algorithm>
  /** Nothing but the public numbers. jose imports the key once, and keeps the import for this object. */
  readonly jwk: { readonly kty: string } & Readonly<Record<string, string>>
}

export type Keys = ReadonlyMap<string, Key>

/** A larger key set is a mistake, or an attack on the time that its reading takes. */
const maxKeys = 100
const minBits = 2048
/** A larger modulus makes each verification slow. */
const maxBits = 8192

const bytesOf = (text: unknown): Uint8Array | undefined =>
  Predicate.isString(text) ? Result.getOrUndefined(Result.try(() => base64url.decode(text))) : undefined

const bitsOf = (bytes: Uint8Array): number => {
  const first = bytes.findIndex((byte) => byte !== 0)
  return first < 0 ? 0 : (bytes.length - first) * 8 - Math.clz32(bytes[first] ?? 0) + 24
}

/** The exponent 1 makes every signature valid, and an even one is not RSA. */
const isExponent = (bytes: Uint8Array): boolean => bitsOf(bytes) > 1 && (bytes.at(-1) ?? 0) % 2 === 1

const curves: Readonly<Record<string, Algorithm>> = {
  "P-256": "ES256",
  "P-384": "ES384",
  "P-521": "ES512",
  Ed25519: "EdDSA"
}

const rsa: ReadonlyArray<Algorithm> = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]

type Numbers = readonly [jwk: Key["jwk"], algorithms: ReadonlyArray<Algorithm>]

/** Returns the public numbers of a key, and the algorithms that it is for; undefined if it is too weak or malformed. */
const numbersOf = (jwk: Readonly<Record<string, unknown>>): Numbers | undefined => {
  const { crv, e, kty, n, x, y } = jwk
  if (kty === "RSA" && Predicate.isString(n) && Predicate.isString(e)) {
    const modulus = bytesOf(n)
    const exponent = bytesOf(e)
    if (modulus === undefined || exponent === undefined) return undefined
    const bits = bitsOf(modulus)
    return bits >= minBits && bits <= maxBits && isExponent(exponent) ? [{ kty, n, e }, rsa] : undefined
  }
  if (!Predicate.isString(crv) || !Predicate.isString(x)) return undefined
  const algorithm = curves[crv]
  if (algorithm === undefined) return undefined
  if (kty === "OKP" && algorithm === "EdDSA") return [{ kty, crv, x }, [algorithm]]
  return kty === "EC" && algorithm !== "EdDSA" && Predicate.isString(y) ? [{ kty, crv, x, y }, [algorithm]] : undefined
}

/** A symmetric or private key in a public place is known to everybody, so it proves nothing. */
const isSecret = (jwk: Readonly<Record<string, unknown>>): boolean => jwk.d !== undefined || jwk.k !== undefined

const usable = (jwk: unknown, accepted: ReadonlySet<string>): Key | undefined => {
  if (!Predicate.isReadonlyObject(jwk) || isSecret(jwk)) return undefined
  const { alg, key_ops: operations, kid, use } = jwk
  if (!Predicate.isString(kid) || kid === "") return undefined
  if (use !== undefined && use !== "sig") return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) return undefined
  const [numbers, possible] = numbersOf(jwk) ?? []
  if (numbers === undefined || possible === undefined) return undefined
  const algorithms = possible.filter((name) => accepted.has(name) && (alg === undefined || alg === name))
  return algorithms.length === 0 ? undefined : { kid, algorithms: new Set(algorithms), jwk: Object.freeze(numbers) }
}

const isSame = (a: Key, b: Key): boolean =>
  JSON.stringify([a.jwk, ...a.algorithms]) === JSON.stringify([b.jwk, ...b.algorithms])

/**
 * Returns the usable keys of the key set by their ids, or what is wrong with it. Keys that share an id are not used,
 * because it would be unclear which of them made a signature. A key that is in `known` stays the same object.
 */
export const parseKeySet = (body: string, accepted: ReadonlySet<string>, known: Keys): Result.Result<Keys, string> => {
  const list = ImsRequest.parseObject(body)?.keys
  if (!Array.isArray(list)) return Result.fail("returned something other than a key set")
  if (list.length > maxKeys) return Result.fail(`returned more than ${maxKeys} keys`)
  const keys = new Map<string, Key>()
  const repeated = new Set<string>()
  for (const jwk of list) {
    const key = usable(jwk, accepted)
    if (key === undefined) continue
    if (keys.has(key.kid)) repeated.add(key.kid)
    const old = known.get(key.kid)
    keys.set(key.kid, old !== undefined && isSame(old, key) ? old : key)
  }
  for (const kid of repeated) keys.delete(kid)
  return keys.size === 0 ? Result.fail("returned no key that can be used") : Result.succeed(keys)
}
