// Checks the claims of an id token (OpenID Connect Core §3.1.3.7). Its signature is not checked: the token comes from the
// token endpoint over TLS, which that section allows in place of the signature (6).
import * as DateTime from "effect/DateTime"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Transaction } from "../../AuthorizationCode.ts"
import { parseObject } from "../strictJson.ts"
import { isSameText } from "./sameText.ts"

type Claims = Readonly<Record<string, unknown>>

const maxLength = 32 * 1024
const maxSubjectLength = 255
/** How far the clocks of this machine and of IMS may differ, in seconds. */
const skew = 60

// Of public keys only. `none` and those of shared secrets are no signatures of the issuer.
const algorithm = /^(?:[RPE]S(?:256|384|512)|EdDSA|Ed25519)$/

// Keeps a byte order mark, so that it is not JSON.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Returns the JSON object in a part; undefined if it is not one, is not written canonically, or repeats a name. */
const parsePart = (part: string): Claims | undefined => {
  const bytes = Result.getOrUndefined(Base64Url.decode(part))
  if (bytes === undefined || Base64Url.encode(bytes) !== part) return undefined
  const text = Result.try(() => utf8.decode(bytes))
  return Result.isSuccess(text) ? parseObject(text.success) : undefined
}

const problemOfHeader = ({ alg, crit, typ }: Claims): string | undefined => {
  if (!Predicate.isString(alg) || !algorithm.test(alg)) return "has no accepted signature algorithm"
  if (crit !== undefined) return "requires an extension (crit)"
  return typ === undefined || (Predicate.isString(typ) && /^(?:application\/)?jwt$/i.test(typ))
    ? undefined
    : "has the type of another token"
}

/** With several audiences, `azp` must say that the token was issued to this client. */
const isForClient = ({ aud, azp }: Claims, clientId: string): boolean => {
  const audiences: ReadonlyArray<unknown> = Array.isArray(aud) ? aud : [aud]
  return audiences.includes(clientId) && (azp === undefined ? audiences.length === 1 : azp === clientId)
}

const isTime = (value: unknown): value is number => Predicate.isNumber(value) && Number.isFinite(value)

const problemOfTimes = ({ exp, iat, nbf }: Claims, now: number): string | undefined => {
  if (!isTime(exp)) return "has no time of expiry (exp)"
  if (exp + skew <= now) return "has expired"
  if (!isTime(iat)) return "has no time of issue (iat)"
  if (iat - skew > now) return "was issued in the future"
  return nbf === undefined || (isTime(nbf) && nbf - skew <= now) ? undefined : "is not valid yet"
}

const problemOfClaims = (
  claims: Claims,
  { clientId, nonce }: Transaction,
  issuer: string,
  now: number
): string | undefined => {
  if (claims.iss !== issuer) return "has another issuer"
  if (!isForClient(claims, clientId)) return "is for another client"
  const { sub } = claims
  if (!Predicate.isString(sub) || sub === "" || sub.length > maxSubjectLength) return "does not name the user (sub)"
  if (nonce === undefined) return "was not requested"
  if (!Predicate.isString(claims.nonce) || !isSameText(claims.nonce, Redacted.value(nonce))) {
    return "belongs to another sign-in (nonce)"
  }
  return problemOfTimes(claims, now)
}

/** Returns the claims, or what is wrong with the id token. */
export const readIdToken = (
  idToken: Redacted.Redacted,
  transaction: Transaction,
  issuer: string,
  now: DateTime.Utc
): Result.Result<Claims, string> => {
  const token = Redacted.value(idToken)
  if (token.length > maxLength) return Result.fail(`is longer than ${maxLength} characters`)
  const [, first = "", second = ""] = /^([\w-]+)\.([\w-]+)\.[\w-]+$/.exec(token) ?? []
  const header = parsePart(first)
  const claims = parsePart(second)
  if (header === undefined || claims === undefined) return Result.fail("is not a signed JWT")
  const problem =
    problemOfHeader(header) ??
    problemOfClaims(claims, transaction, issuer, Math.floor(DateTime.toEpochMillis(now) / 1000))
  return problem === undefined ? Result.succeed(claims) : Result.fail(problem)
}
