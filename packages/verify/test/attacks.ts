// The attack table: each row is a token, or a key set, with the outcome that it must have. All other settings are those
// of a service that accepts the app `service-Ab12`, at the start of `TestClock`.
import { createPublicKey, generateKeyPairSync, privateEncrypt, sign } from "node:crypto"
import type { AccessTokenVerifier } from "@effect-itwin/verify"
import {
  claims,
  clientId,
  encode,
  header,
  hmac,
  issuer,
  type Json,
  keySet,
  rsaKey,
  signed,
  type TestKey,
  token
} from "./support.ts"

export interface Attack {
  readonly name: string
  readonly token: () => string
  /** `accepted`, or the tag of the reason. */
  readonly outcome: string
  /** The key set; that of the one good key by default. */
  readonly keys?: (() => unknown) | undefined
  readonly options?: Partial<AccessTokenVerifier.Options> | undefined
  /** The time at which the token is verified, in seconds. */
  readonly at?: number | undefined
}

export const key: TestKey = rsaKey("key-1")
const other = rsaKey("key-2")
/** The attacker's key, which claims to be the good one. */
const rogue: TestKey = { ...rsaKey("rogue"), kid: key.kid }
const pem = createPublicKey(key.privateKey).export({ type: "spki", format: "pem" })
const der = createPublicKey(key.privateKey).export({ type: "spki", format: "der" })

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" })
const ecKey: TestKey = {
  kid: "ec-1",
  privateKey: ec.privateKey,
  jwk: { ...ec.publicKey.export({ format: "jwk" }), kid: "ec-1", use: "sig", alg: "ES256" }
}
const es256 = (encoding: "ieee-p1363" | "der", signature?: Buffer): string => {
  const input = `${encode({ alg: "ES256", kid: "ec-1" })}.${encode(claims)}`
  const made = signature ?? sign("sha256", Buffer.from(input), { key: ec.privateKey, dsaEncoding: encoding })
  return `${input}.${made.toString("base64url")}`
}
const ecOptions = { algorithms: ["ES256"] } as const
const ecSet = () => keySet(ecKey)

const good = () => token(key)
const parts = (text = good()) => text.split(".") as [string, string, string]

/** Writes the last character of a part in another way, which the same bytes have. */
const otherSpelling = (part: string): string => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  return part.slice(0, -1) + alphabet[alphabet.indexOf(part.slice(-1)) + 1]
}

/** An encoded object whose length leaves bits over in the last character. */
const withBitsLeft = (make: (padding: string) => Json): string => {
  for (const padding of ["a", "aa", "aaa"]) {
    const part = encode(make(padding))
    if (part.length % 4 !== 0) return part
  }
  throw new Error("no length leaves bits over")
}

/** A signature that holds for the exponent 1: the padded digest itself. */
const forgedForExponentOne = (): string => {
  const input = `${encode(header(key))}.${encode(claims)}`
  const signature = sign("sha256", Buffer.from(input), rogue.privateKey)
  const padded = Buffer.from(signature.length === 256 ? paddedDigest(signature) : signature)
  return `${input}.${padded.toString("base64url")}`
}

/** What a signature of the rogue key contains: s^e mod n, which needs only its public numbers. */
const paddedDigest = (signature: Buffer): Buffer => {
  const { e = "", n = "" } = createPublicKey(rogue.privateKey).export({ format: "jwk" })
  const number = (text: Buffer) => BigInt(`0x${text.toString("hex")}`)
  const modulus = number(Buffer.from(n, "base64url"))
  let power = number(Buffer.from(e, "base64url"))
  let base = number(signature) % modulus
  let result = 1n
  while (power > 0n) {
    if (power % 2n === 1n) result = (result * base) % modulus
    base = (base * base) % modulus
    power /= 2n
  }
  return Buffer.from(result.toString(16).padStart(512, "0"), "hex")
}

const row = (name: string, token: () => string, outcome: string, more: Partial<Attack> = {}): Attack => ({
  name,
  token,
  outcome,
  ...more
})

const ofClaims = (name: string, change: Json, outcome: string, more?: Partial<Attack>) =>
  row(name, () => token(key, change), outcome, more)

const ofHeader = (name: string, change: Json, outcome: string, more?: Partial<Attack>) =>
  row(name, () => token(key, {}, change), outcome, more)

const ofKeys = (name: string, change: Json, outcome = "KeysUnavailable", more?: Partial<Attack>) =>
  row(name, good, outcome, { keys: () => ({ keys: [{ ...key.jwk, ...change }] }), ...more })

const raw = (payload: string, head: string = encode(header(key))) => signed(key, head, encode(payload))

const jsonWith = (from: Json, addition: string): string => JSON.stringify(from).replace(/\}$/, `,${addition}}`)

const weak = rsaKey("key-1", 1024)
const oversized = `${token(key, { padding: "a".repeat(33 * 1024) })}`

export const attacks: ReadonlyArray<Attack> = [
  row("nothing is wrong", good, "accepted"),

  // The algorithm.
  row(
    "alg is none, without a signature",
    () => `${encode({ ...header(key), alg: "none" })}.${encode(claims)}.`,
    "BadSignature"
  ),
  row(
    "alg is NoNe, with the signature of the token",
    () => `${encode({ ...header(key), alg: "NoNe" })}.${parts()[1]}.${parts()[2]}`,
    "BadSignature"
  ),
  row("alg is none, and the signature is removed", () => `${parts()[0]}.${parts()[1]}.`, "BadSignature"),
  row(
    "HS256 with the public key in PEM as the secret",
    () => hmac(pem as string, { ...header(key), alg: "HS256" }, claims),
    "BadSignature"
  ),
  row(
    "HS256 with the public key in DER as the secret",
    () => hmac(der as Buffer, { ...header(key), alg: "HS256" }, claims),
    "BadSignature"
  ),
  row(
    "HS256 with the modulus as the secret",
    () => hmac(String(key.jwk.n), { ...header(key), alg: "HS256" }, claims),
    "BadSignature"
  ),
  row("HS256 with an empty secret", () => hmac("", { ...header(key), alg: "HS256" }, claims), "BadSignature"),
  row(
    "RS512 by the right key, when only RS256 is accepted",
    () => {
      const input = `${encode({ ...header(key), alg: "RS512" })}.${encode(claims)}`
      return `${input}.${sign("sha512", Buffer.from(input), key.privateKey).toString("base64url")}`
    },
    "BadSignature",
    { keys: () => ({ keys: [{ ...key.jwk, alg: undefined }] }) }
  ),
  row(
    "RS512 by the right key, when the key is for RS256",
    () => {
      const input = `${encode({ ...header(key), alg: "RS512" })}.${encode(claims)}`
      return `${input}.${sign("sha512", Buffer.from(input), key.privateKey).toString("base64url")}`
    },
    "BadSignature",
    { options: { algorithms: ["RS256", "RS512"] } }
  ),
  ofHeader("alg is missing", { alg: undefined }, "BadSignature"),
  ofHeader("alg is a list", { alg: ["RS256"] }, "BadSignature"),
  ofHeader("alg is the name of a member of every object", { alg: "constructor" }, "BadSignature"),
  row(
    "RS256 is claimed for an EC key",
    () => signed({ ...rogue, kid: "ec-1" }, encode({ alg: "RS256", kid: "ec-1" }), encode(claims)),
    "BadSignature",
    { keys: ecSet, options: { algorithms: ["ES256", "RS256"] } }
  ),
  row("ES256 is accepted when it is listed", () => es256("ieee-p1363"), "accepted", {
    keys: ecSet,
    options: ecOptions
  }),
  row("ES256 with r and s of zero", () => es256("ieee-p1363", Buffer.alloc(64)), "BadSignature", {
    keys: ecSet,
    options: ecOptions
  }),
  row("ES256 with a signature in DER", () => es256("der"), "BadSignature", { keys: ecSet, options: ecOptions }),

  // The key.
  row("another key signs and names the right one", () => token(rogue), "BadSignature"),
  row("the header brings the key (jwk)", () => token(rogue, {}, { jwk: rogue.jwk }), "BadSignature"),
  row(
    "the header names a URL for the key (jku)",
    () => token(rogue, {}, { jku: "https://attacker.example/jwks" }),
    "BadSignature"
  ),
  row("the header brings a certificate (x5c)", () => token(rogue, {}, { x5c: ["MIIB"] }), "BadSignature"),
  row(
    "the header names a URL for a certificate (x5u)",
    () => token(rogue, {}, { x5u: "https://attacker.example/cert" }),
    "BadSignature"
  ),
  ofHeader("the right key signs, and jku is ignored", { jku: "https://attacker.example/jwks" }, "accepted"),
  row("kid is a path", () => token({ ...rogue, kid: "../../../dev/null" }), "BadSignature"),
  row("kid is SQL", () => token({ ...rogue, kid: "x' UNION SELECT 'key';--" }), "BadSignature"),
  row("kid is a URL", () => token({ ...rogue, kid: "https://attacker.example/key" }), "BadSignature"),
  row("kid is the name of a member of every object", () => token({ ...rogue, kid: "__proto__" }), "BadSignature"),
  ofHeader("kid is missing", { kid: undefined }, "Malformed"),
  ofHeader("kid is an object", { kid: { toString: "key-1" } }, "Malformed"),
  ofHeader("kid is empty", { kid: "" }, "Malformed", { keys: () => ({ keys: [key.jwk, { ...key.jwk, kid: "" }] }) }),
  row("a signature of the wrong length", () => `${good()}AAAA`, "BadSignature"),
  row(
    "a changed claim under the old signature",
    () => `${parts()[0]}.${encode({ ...claims, client_id: "service-Other" })}.${parts()[2]}`,
    "BadSignature"
  ),
  row(
    "PKCS #1 v1.5 padding without a digest",
    () => {
      const input = `${encode(header(key))}.${encode(claims)}`
      return `${input}.${privateEncrypt(key.privateKey, Buffer.from("forged")).toString("base64url")}`
    },
    "BadSignature"
  ),

  // The form.
  row("no token", () => "", "Missing"),
  row("a text that is not a JWT", () => "fake-token", "Malformed"),
  row("two parts", () => parts().slice(0, 2).join("."), "Malformed"),
  row("four parts", () => `${good()}.${parts()[2]}`, "Malformed"),
  row("five parts, which is an encrypted token", () => ["a", "b", "c", "d", "e"].map(encode).join("."), "Malformed"),
  row(
    "a JWS in JSON serialization",
    () => JSON.stringify({ payload: parts()[1], protected: parts()[0], signature: parts()[2] }),
    "Malformed"
  ),
  row("larger than 32 KiB", () => oversized, "Malformed"),
  row("base64 with padding", () => good().replace(/\.([^.]+)$/, ".$1=="), "Malformed"),
  row(
    "base64 with + and /",
    () => {
      const [h, p, s] = parts()
      return `${h}.${p}.${s.replaceAll("-", "+").replaceAll("_", "/")}`
    },
    "Malformed"
  ),
  row("a space behind the token", () => `${good()} `, "Malformed"),
  row("a line break in the token", () => good().replace(".", ".\n"), "Malformed"),
  row(
    "a header in non-canonical base64url",
    () => signed(key, otherSpelling(withBitsLeft((x) => ({ ...header(key), x }))), encode(claims)),
    "Malformed"
  ),
  row(
    "claims in non-canonical base64url",
    () => signed(key, encode(header(key)), otherSpelling(withBitsLeft((x) => ({ ...claims, x })))),
    "Malformed"
  ),
  row(
    "a signature in non-canonical base64url",
    () => {
      const [h, p, s] = parts()
      return `${h}.${p}.${otherSpelling(s)}`
    },
    "Malformed"
  ),
  row(
    "base64url of an impossible length",
    () => {
      const [h, p, s] = parts()
      return `${h}.${p}.${s}AAA`
    },
    "Malformed"
  ),
  ofHeader("an unknown critical extension", { crit: ["fake"], fake: true }, "Malformed"),
  ofHeader("a known critical extension: the payload is not encoded (b64)", { crit: ["b64"], b64: true }, "Malformed"),
  ofHeader("an empty list of critical extensions", { crit: [] }, "Malformed"),
  ofHeader("cty of a nested token", { cty: "JWT" }, "Malformed"),
  row("a token as the payload of a token", () => raw(good()), "Malformed"),
  ofHeader("the type of an ID token for logout", { typ: "logout+jwt" }, "Malformed"),
  ofHeader("the type is a number", { typ: 1 }, "Malformed"),
  ofHeader("the type of RFC 9068", { typ: "application/at+JWT" }, "accepted"),
  row(
    "a header that repeats alg",
    () => signed(key, encode(jsonWith(header(key), '"alg":"RS256"')), encode(claims)),
    "Malformed"
  ),
  row("a header that is a list", () => signed(key, encode([header(key)]), encode(claims)), "Malformed"),
  row("a header that is not JSON", () => signed(key, encode("{"), encode(claims)), "Malformed"),
  row(
    "a header that is not UTF-8",
    () => signed(key, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString("base64url"), encode(claims)),
    "Malformed"
  ),
  row(
    "a header behind a byte order mark",
    () => signed(key, encode(`\ufeff${JSON.stringify(header(key))}`), encode(claims)),
    "Malformed"
  ),
  row("claims that are a list", () => raw(JSON.stringify([claims])), "Malformed"),
  row("claims that are null", () => raw("null"), "Malformed"),
  row("claims that are not JSON", () => raw(`${JSON.stringify(claims)}x`), "Malformed"),
  row("claims behind a byte order mark", () => raw(`\ufeff${JSON.stringify(claims)}`), "Malformed"),
  row(
    "claims that repeat client_id",
    () => raw(jsonWith({ ...claims, client_id: "service-Other" }, `"client_id":"${clientId}"`)),
    "Malformed"
  ),
  row("claims that repeat a name with an escape", () => raw(jsonWith(claims, `"\\u0065xp":3600`)), "Malformed"),
  row("claims that repeat a name in an inner object", () => raw(jsonWith(claims, `"a":[{"b":1,"b":2}]`)), "Malformed"),
  ofClaims(
    "names, colons and quotes inside of texts",
    { a: '"b":1,"b":2', c: "\\", 'd":"': [":", { "": null }] },
    "accepted"
  ),
  row(
    "claims that are nested 12,000 deep",
    () => raw(jsonWith(claims, `"a":${"[".repeat(12_000)}${"]".repeat(12_000)}`)),
    "accepted"
  ),
  ofClaims("a claim named __proto__", JSON.parse('{"__proto__":{"client_id":"x"}}'), "accepted"),

  // Issuer, audience, client, scopes.
  ofClaims("another issuer", { iss: "https://qa-ims.bentley.com" }, "WrongIssuer"),
  ofClaims("the issuer with a slash behind it", { iss: `${issuer}/` }, "WrongIssuer"),
  ofClaims("no issuer", { iss: undefined }, "WrongIssuer"),
  ofClaims("a list with the issuer", { iss: [issuer] }, "WrongIssuer"),
  ofClaims("another audience", { aud: ["elsewhere"] }, "WrongAudience"),
  ofClaims("no audience", { aud: undefined }, "WrongAudience"),
  ofClaims("an empty list of audiences", { aud: [] }, "WrongAudience"),
  ofClaims("the audience as a text", { aud: "bentley-api-management" }, "accepted"),
  ofClaims("the audience as a part of a text", { aud: "not-bentley-api-management" }, "WrongAudience"),
  ofClaims("an audience that is an object", { aud: { "bentley-api-management": true } }, "Malformed"),
  ofClaims("an audience next to a number", { aud: ["bentley-api-management", 1] }, "Malformed"),
  ofClaims("a client that is not listed", { client_id: "service-Other" }, "WrongClient"),
  ofClaims("a client id in other letters", { client_id: clientId.toLowerCase() }, "WrongClient"),
  ofClaims("no client id", { client_id: undefined }, "Malformed"),
  ofClaims("a list with the client id", { client_id: [clientId] }, "Malformed"),
  ofClaims("the client id only as azp", { client_id: undefined, azp: clientId }, "Malformed"),
  ofClaims("the scope is missing", { scope: ["users:read"] }, "InsufficientScope", {
    options: { scopes: ["itwins:read"] }
  }),
  ofClaims("one of two scopes is missing", { scope: "itwins:read" }, "InsufficientScope", {
    options: { scopes: ["itwins:read", "users:read"] }
  }),
  ofClaims("the scope is a part of another one", { scope: "itwins:read-only" }, "InsufficientScope", {
    options: { scopes: ["itwins:read"] }
  }),
  ofClaims("the scope as a text", { scope: "users:read itwins:read" }, "accepted", {
    options: { scopes: ["itwins:read"] }
  }),
  ofClaims("no scope, when none is required", { scope: undefined }, "accepted"),
  ofClaims("no scope, when one is required", { scope: undefined }, "InsufficientScope", {
    options: { scopes: ["itwins:read"] }
  }),
  ofClaims("a scope that is an object", { scope: { "itwin-platform": true } }, "Malformed"),
  ofClaims("scopes with a number", { scope: ["itwin-platform", 7] }, "Malformed"),
  ofClaims("a subject that is a number", { sub: 7 }, "Malformed"),

  // Times. The tolerance is 30 s.
  ofClaims("the last second before exp and tolerance", {}, "accepted", { at: 3629 }),
  ofClaims("exp and tolerance", {}, "Expired", { at: 3630 }),
  ofClaims("the last second before exp without tolerance", {}, "accepted", {
    at: 3599,
    options: { clockTolerance: 0 }
  }),
  ofClaims("exp without tolerance", {}, "Expired", { at: 3600, options: { clockTolerance: 0 } }),
  ofClaims("nbf is as far away as the tolerance", { nbf: 30 }, "accepted"),
  ofClaims("nbf is a second farther away than the tolerance", { nbf: 31 }, "NotYetValid"),
  ofClaims("nbf is now, without tolerance", { nbf: 10 }, "accepted", { at: 10, options: { clockTolerance: 0 } }),
  ofClaims("nbf is in a second, without tolerance", { nbf: 11 }, "NotYetValid", {
    at: 10,
    options: { clockTolerance: 0 }
  }),
  ofClaims("no exp", { exp: undefined }, "Malformed"),
  ofClaims("exp is a text", { exp: "3600" }, "Malformed"),
  ofClaims("exp is null", { exp: null }, "Malformed"),
  row(
    "exp is larger than every number",
    () => raw(jsonWith({ ...claims, exp: undefined }, '"exp":1e400')),
    "Malformed"
  ),
  ofClaims("exp is larger than a date can be", { exp: 1e15 }, "Malformed"),
  ofClaims("exp is in milliseconds", { exp: 3_600_000_000_000 }, "Malformed"),
  ofClaims("exp is negative", { exp: -1 }, "Expired", { at: 60 }),
  ofClaims("exp has a fraction", { exp: 3600.5 }, "accepted"),
  ofClaims("nbf is a text", { nbf: "0" }, "Malformed"),
  row(
    "nbf is larger than every number",
    () => raw(jsonWith({ ...claims, nbf: undefined }, '"nbf":1e400')),
    "Malformed"
  ),
  row(
    "nbf is smaller than every number",
    () => raw(jsonWith({ ...claims, nbf: undefined }, '"nbf":-1e400')),
    "Malformed"
  ),
  ofClaims("iat is a text", { iat: "0" }, "Malformed"),
  row(
    "iat is larger than every number",
    () => raw(jsonWith({ ...claims, iat: undefined }, '"iat":1e400')),
    "Malformed"
  ),

  // A key set that lies.
  row("the key set has two keys with the id", good, "KeysUnavailable", {
    keys: () => ({ keys: [key.jwk, { ...other.jwk, kid: key.kid }] })
  }),
  row("the key set has a key of another kind with the id", good, "accepted", {
    keys: () => ({ keys: [{ ...ecKey.jwk, kid: key.kid }, key.jwk] })
  }),
  row("a key of 1,024 bits", () => token(weak), "KeysUnavailable", { keys: () => keySet(weak) }),
  row("a key of 1,024 bits with zeros before it", () => token(weak), "KeysUnavailable", {
    keys: () => ({
      keys: [
        {
          ...weak.jwk,
          n: Buffer.concat([Buffer.alloc(160), Buffer.from(String(weak.jwk.n), "base64url")]).toString("base64url")
        }
      ]
    })
  }),
  ofKeys("a modulus of 16,384 bits", { n: Buffer.alloc(2048, 255).toString("base64url") }),
  row("a key with the exponent 1, and a signature that holds for it", forgedForExponentOne, "KeysUnavailable", {
    keys: () => ({ keys: [{ ...rogue.jwk, kid: key.kid, e: "AQ" }] })
  }),
  ofKeys("an even exponent", { e: "Ag" }),
  ofKeys("a key for encryption", { use: "enc" }),
  ofKeys("a key that may not verify", { use: undefined, key_ops: ["sign"] }),
  ofKeys("a key that may verify", { use: undefined, key_ops: ["verify"] }, "accepted"),
  ofKeys("a key for another algorithm", { alg: "PS256" }),
  ofKeys("a key without an algorithm", { alg: undefined }, "accepted"),
  ofKeys("a key with its private part", key.privateKey.export({ format: "jwk" }) as Json),
  ofKeys("a symmetric key", { kty: "oct", k: "AAAA" }),
  ofKeys("a key without an id", { kid: undefined }),
  ofKeys("a key whose modulus is not base64url", { n: "***" }),
  ofKeys("a key of another kind in the clothes of RSA", { kty: "EC" }),
  row("a key set that repeats a name", good, "KeysUnavailable", {
    keys: () => `{"keys":[],"keys":[${JSON.stringify(key.jwk)}]}`
  }),
  row("a key set with more than 100 keys", good, "KeysUnavailable", {
    keys: () => ({ keys: Array.from({ length: 101 }, (_, n) => ({ ...key.jwk, kid: n === 0 ? key.kid : `k${n}` })) })
  }),
  row("a key set that is a list", good, "KeysUnavailable", { keys: () => [key.jwk] }),
  row("a key set whose keys are an object", good, "KeysUnavailable", { keys: () => ({ keys: { a: key.jwk } }) }),
  row("a key set with rubbish between the keys", good, "accepted", {
    keys: () => ({ keys: [null, 7, "key-1", [], {}, key.jwk] })
  }),
  row("a key set that is a page", good, "KeysUnavailable", { keys: () => "<html>maintenance</html>" })
]
