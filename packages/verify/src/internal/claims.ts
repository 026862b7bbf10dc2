// The checks of claims that jose does not make, shared by both verifiers.
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
export const isTime = (value: unknown): value is number => Predicate.isNumber(value) && value >= 0 && value <= latest

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
    new VerifiedToken(
      {
        value,
        clientId,
        subject,
        kind: isService ? "service" : "user",
        scopes,
        expiresAt: DateTime.makeUnsafe(exp * 1000)
      },
      // All of it was checked above, and this runs for each request.
      { disableChecks: true }
    )
  )
}

/** Returns the audiences; undefined unless they are a text or a list of texts. */
export const audiencesOf = (aud: unknown): ReadonlyArray<string> | undefined =>
  Predicate.isString(aud) ? [aud] : isTexts(aud) ? aud : undefined

export const expired = (exp: number, now: number): Expired =>
  new Expired({ since: Duration.seconds(Math.max(0, now - Math.max(0, exp))) })

export const notYetValid = (nbf: number, now: number): NotYetValid =>
  new NotYetValid({ until: Duration.seconds(Math.max(0, Math.min(nbf, latest) - now)) })

/**
 * Returns why issuer, audience or times of an introspection response are wrong. The response may leave out all of them
 * (RFC 7662 §2.2); `now` is in whole seconds, as in jose.
 */
export const checkIssued = (claims: Claims, rules: Rules, now: number): VerificationErrorReason | undefined => {
  const { aud, exp, iss, nbf } = claims
  if (iss !== undefined && iss !== rules.issuer) return new WrongIssuer({ expected: rules.issuer })
  if (aud !== undefined) {
    const audiences = audiencesOf(aud)
    if (audiences === undefined) return new Malformed({ detail: "aud is neither a text nor a list of texts" })
    if (!rules.audiences.some((name) => audiences.includes(name)))
      return new WrongAudience({ expected: rules.audiences })
  }
  if (nbf !== undefined && !isTime(nbf)) return new Malformed({ detail: "nbf is not a time" })
  if (nbf !== undefined && nbf > now + rules.clockTolerance) return notYetValid(nbf, now)
  if (isTime(exp) && exp <= now - rules.clockTolerance) return expired(exp, now)
  return undefined
}
