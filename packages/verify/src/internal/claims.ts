// The checks of claims, shared by both verifiers.
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import {
  Expired,
  InsufficientScope,
  Malformed,
  NotYetValid,
  type VerificationErrorReason,
  WrongAudience,
  WrongClient,
  WrongIssuer
} from "../VerificationError.ts"
import { VerifiedToken } from "../VerifiedToken.ts"
import type { Rules } from "./rules.ts"

export type Claims = Readonly<Record<string, unknown>>

/** The last second of the year 9999. A later time does not fit into a `Date`, or is a mistake. */
const latest = 253_402_300_799

/** Returns whether the value is a time that a token may have (RFC 7519 §2, NumericDate). */
const isTime = (value: unknown): value is number =>
  Predicate.isNumber(value) && Number.isFinite(value) && value <= latest

const isTexts = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every(Predicate.isString)

/** The platform writes a list, RFC 9068 §2.2.3 a text. */
const scopesOf = (scope: unknown): ReadonlyArray<string> | undefined => {
  if (scope === undefined) return []
  if (Predicate.isString(scope)) return scope.split(" ").filter((name) => name !== "")
  return isTexts(scope) ? scope : undefined
}

const malformed = (detail: string) => Result.fail(new Malformed({ detail }))

/** Returns the reason that these scopes are not enough; undefined if they are. */
export const lacking = (
  scopes: ReadonlyArray<string>,
  required: ReadonlyArray<string>
): InsufficientScope | undefined =>
  required.every((scope) => scopes.includes(scope)) ? undefined : new InsufficientScope({ required })

/** Returns what a token says whose signature, issuer, audience and times are already checked. */
export const readClaims = (
  claims: Claims,
  value: Redacted.Redacted,
  rules: Rules
): Result.Result<VerifiedToken, VerificationErrorReason> => {
  const { client_id: clientId, exp, sub: subject } = claims
  if (!isTime(exp)) return malformed("exp is not a time")
  if (!Predicate.isString(clientId) || clientId === "") return malformed("client_id is not a text")
  if (subject !== undefined && !Predicate.isString(subject)) return malformed("sub is not a text")
  const scopes = scopesOf(claims.scope)
  if (scopes === undefined) return malformed("scope is neither a text nor a list of texts")
  if (!rules.clientIds.has(clientId)) return Result.fail(new WrongClient({}))
  const insufficient = lacking(scopes, rules.scopes)
  if (insufficient !== undefined) return Result.fail(insufficient)
  const isService = subject === undefined || subject === clientId || clientId.startsWith("service-")
  return Result.succeed(
    new VerifiedToken({
      value,
      clientId,
      subject,
      kind: isService ? "service" : "user",
      scopes,
      expiresAt: DateTime.makeUnsafe(exp * 1000)
    })
  )
}

/** Returns the audiences; undefined unless they are a text or a list of texts. */
const audiencesOf = (aud: unknown): ReadonlyArray<string> | undefined =>
  Predicate.isString(aud) ? [aud] : isTexts(aud) ? aud : undefined

const wrongAudience = (aud: unknown, expected: ReadonlyArray<string>): VerificationErrorReason | undefined => {
  const audiences = audiencesOf(aud)
  if (audiences === undefined) return new Malformed({ detail: "aud is neither a text nor a list of texts" })
  return expected.some((name) => audiences.includes(name)) ? undefined : new WrongAudience({ expected })
}

/**
 * Returns why issuer, audience or times are wrong; undefined if they are right. `now` is in whole seconds.
 *
 * A token has issuer and audience. An introspection response may leave them out (RFC 7662 §2.2).
 */
export const checkIssued = (
  { aud, exp, iat, iss, nbf }: Claims,
  rules: Rules,
  now: number,
  source: "token" | "introspection"
): VerificationErrorReason | undefined => {
  const isToken = source === "token"
  if ((isToken || iss !== undefined) && iss !== rules.issuer) return new WrongIssuer({ expected: rules.issuer })
  if (isToken && aud === undefined) return new WrongAudience({ expected: rules.audiences })
  const wrong = aud === undefined ? undefined : wrongAudience(aud, rules.audiences)
  if (wrong !== undefined) return wrong
  if (!isTime(exp)) return new Malformed({ detail: "exp is not a time" })
  if (nbf !== undefined && !isTime(nbf)) return new Malformed({ detail: "nbf is not a time" })
  if (iat !== undefined && !isTime(iat)) return new Malformed({ detail: "iat is not a time" })
  if (nbf !== undefined && nbf > now + rules.clockTolerance)
    return new NotYetValid({ until: Duration.seconds(nbf - now) })
  return exp > now - rules.clockTolerance ? undefined : new Expired({ since: Duration.seconds(now - exp) })
}

/** Returns between which times a token is valid. Both were checked. */
export const timesOf = ({ exp, nbf }: Claims): { readonly exp: number; readonly nbf: number } => ({
  exp: isTime(exp) ? exp : Number.NEGATIVE_INFINITY,
  nbf: isTime(nbf) ? nbf : Number.NEGATIVE_INFINITY
})
