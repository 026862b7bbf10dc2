// Signs and checks JSON Web Tokens (RFC 7519) with node:crypto. Everything here is synchronous: under TestClock a promise
// would be a race, because virtual time moves on while the promise is pending.
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto"
import type { Entropy } from "./entropy.ts"
import { makeRsaKey } from "./rsaKey.ts"

export type Algorithm = "EdDSA" | "RS256"

export interface SigningKey {
  readonly algorithm: Algorithm
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export type Claims = Readonly<Record<string, unknown>>

// A 32-byte seed is an Ed25519 private key; PKCS #8 wants this in front of it (RFC 8410 §7).
const ed25519Prefix = Buffer.from("302e020100300506032b657004220420", "hex")

export const makeKey = (algorithm: Algorithm, entropy: Entropy): SigningKey => {
  const kid = `fake-${entropy.bytes(8).toString("hex")}`
  const privateKey =
    algorithm === "EdDSA"
      ? createPrivateKey({ key: Buffer.concat([ed25519Prefix, entropy.bytes(32)]), format: "der", type: "pkcs8" })
      : makeRsaKey()
  return { algorithm, kid, privateKey, publicKey: createPublicKey(privateKey) }
}

const digestOf = (algorithm: Algorithm) => (algorithm === "EdDSA" ? null : "sha256")

const encodePart = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString("base64url")

/** Signs with the first of the keys. */
export const signJwt = ([key]: ReadonlyArray<SigningKey>, claims: Claims): string => {
  if (key === undefined) throw new Error("no key to sign with")
  const input = `${encodePart({ alg: key.algorithm, kid: key.kid, typ: "JWT" })}.${encodePart(claims)}`
  return `${input}.${sign(digestOf(key.algorithm), Buffer.from(input), key.privateKey).toString("base64url")}`
}

/** Returns the public half as a JSON Web Key (RFC 7517). */
export const publicJwk = ({ algorithm, kid, publicKey }: SigningKey): Claims => ({
  ...publicKey.export({ format: "jwk" }),
  kid,
  alg: algorithm,
  use: "sig"
})

const decodePart = (part: string): Claims | undefined => {
  try {
    const json: unknown = JSON.parse(Buffer.from(part, "base64url").toString())
    return typeof json === "object" && json !== null ? (json as Claims) : undefined
  } catch {
    return undefined
  }
}

/** Returns the claims of a token that one of the keys signed with its algorithm; `undefined` for any other token. */
export const verifyJwt = (keys: Iterable<SigningKey>, jwt: string): Claims | undefined => {
  const [header = "", payload = "", signature = "", ...rest] = jwt.split(".")
  if (rest.length > 0) return undefined
  const { alg, kid } = decodePart(header) ?? {}
  for (const key of keys) {
    if (key.kid !== kid || key.algorithm !== alg) continue
    const input = Buffer.from(`${header}.${payload}`)
    return verify(digestOf(key.algorithm), input, key.publicKey, Buffer.from(signature, "base64url"))
      ? decodePart(payload)
      : undefined
  }
  return undefined
}
