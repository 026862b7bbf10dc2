// The outer form of a token, before any signature is computed: a JWS in compact serialization (RFC 7515 §7.1) with the
// header of an access token.

import * as ImsRequest from "@effect-itwin/core/ImsRequest"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { base64url } from "jose"
import { BadSignature, Malformed } from "../VerificationError.ts"
import { makeRecent } from "./recent.ts"

/** The largest token that is read: 32 KiB. Checked before its digest is computed. */
export const maxTokenLength: number = 32 * 1024

/** The algorithms that can be accepted: only those with a public key. */
export const algorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA"
] as const

export type Algorithm = (typeof algorithms)[number]

export interface Header {
  readonly alg: Algorithm
  readonly kid: string
}

/** Returns the reason that a token is not read. */
export const tooLarge = (): Malformed => new Malformed({ detail: "it is larger than 32 KiB" })

const malformed = (detail: string) => Result.fail(new Malformed({ detail }))

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/**
 * Returns whether the text is base64url in the one form that RFC 4648 §3.5 requires: the last character has no bits that
 * are left over. Otherwise one token could be written in several ways.
 */
const isCanonical = (text: string): boolean => {
  const left = text.length % 4
  if (left === 1) return false
  if (left === 0) return true
  return alphabet.indexOf(text.charAt(text.length - 1)) % (left === 2 ? 16 : 4) === 0
}

// Keeps a byte order mark, so that it is not JSON.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Returns the JSON object in a part; undefined if it is not one in UTF-8, or repeats a name. */
export const parsePart = (part: string): Readonly<Record<string, unknown>> | undefined => {
  const text = Result.try(() => utf8.decode(base64url.decode(part)))
  return Result.isSuccess(text) ? ImsRequest.parseObject(text.success) : undefined
}

/** RFC 9068 §2.1 and what IMS writes. Tokens of other kinds have other types (RFC 8725 §3.11). */
const isAccessToken = (typ: unknown): boolean =>
  typ === undefined || (Predicate.isString(typ) && /^(?:application\/)?(?:jwt|at\+jwt)$/i.test(typ))

const parseHeader = (
  encoded: string,
  accepted: ReadonlySet<string>
): Result.Result<Header, Malformed | BadSignature> => {
  const header = parsePart(encoded)
  if (header === undefined) return malformed("its header is not a JSON object without repeated names")
  const { alg, kid } = header
  if (header.crit !== undefined) return malformed("its header requires an extension (crit)")
  if (header.cty !== undefined) return malformed("it contains another token")
  if (!isAccessToken(header.typ)) return malformed("its type is not that of an access token")
  const found = algorithms.find((name) => name === alg)
  if (found === undefined || !accepted.has(found))
    return Result.fail(new BadSignature({ detail: "its algorithm is not accepted" }))
  if (!Predicate.isString(kid) || kid === "") return malformed("its header does not name a key")
  return Result.succeed({ alg: found, kid })
}

/** The parts of a token that are used, and that no signature protects yet. */
export interface Parsed {
  readonly header: Header
  /** Encoded. */
  readonly payload: string
}

/** Checks the form of a token. */
export type ParseToken = (token: string) => Result.Result<Parsed, Malformed | BadSignature>

/**
 * Builds the function that checks the form of a token. Of the header only `alg` and `kid` are used; keys and URLs in it
 * (`jwk`, `jku`, `x5c`, `x5u`) are never read.
 *
 * All tokens of one key have the same header, so the headers that were accepted are kept.
 */
export const makeParseToken = (accepted: ReadonlySet<string>): ParseToken => {
  const headers = makeRecent<Header>(100)
  return (token) => {
    const parts = /^([\w-]+)\.([\w-]+)\.([\w-]*)$/.exec(token)
    const [, encoded = "", payload = "", signature = ""] = parts ?? []
    if (parts === null) return malformed("it is not a signed JWT")
    if (!isCanonical(encoded) || !isCanonical(payload) || !isCanonical(signature))
      return malformed("it is not canonical base64url")
    const known = headers.get(encoded)
    if (known !== undefined) return Result.succeed({ header: known, payload })
    return Result.map(parseHeader(encoded, accepted), (header) => {
      headers.set(encoded, header)
      return { header, payload }
    })
  }
}
