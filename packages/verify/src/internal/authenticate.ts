// How both kinds of middleware read the token of a request, and answer one that is not accepted (RFC 6750 §3).
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import type { AccessTokenVerifier } from "../AccessTokenVerifier.ts"
import { VerificationError, type VerificationErrorReason } from "../VerificationError.ts"
import { CurrentToken } from "../VerifiedToken.ts"
import { lacking } from "./claims.ts"

type Response = HttpServerResponse.HttpServerResponse

/** RFC 6750 §2.1; the scheme in any case (RFC 9110 §11.1). */
const credentials = /^bearer +([\w\-.~+/]+=*) *$/i

/** RFC 6750 §3 requires at least one parameter. */
const realm = 'realm="itwin-platform"'

/** Constant texts, because a description must not repeat anything that the sender of the token chose. */
const descriptions: Readonly<Partial<Record<VerificationErrorReason["_tag"], string>>> = {
  Malformed: "The access token is malformed",
  Expired: "The access token expired",
  NotYetValid: "The access token is not valid yet",
  WrongIssuer: "The access token was issued by another server",
  WrongAudience: "The access token is for another audience",
  WrongClient: "The access token belongs to another client",
  BadSignature: "The signature of the access token is not valid",
  Inactive: "The access token was revoked or has expired"
}

const refuse = (status: number, ...parameters: ReadonlyArray<string>): Response =>
  HttpServerResponse.empty({
    status,
    headers: { "www-authenticate": `Bearer ${[realm, ...parameters].join(", ")}`, "cache-control": "no-store" }
  })

const withError = (status: number, code: string, description: string, ...more: ReadonlyArray<string>): Response =>
  refuse(status, `error="${code}"`, `error_description="${description}"`, ...more)

const unavailable = (retryAfter: Duration.Duration): Response =>
  HttpServerResponse.empty({
    status: 503,
    headers: { "retry-after": String(Math.max(1, Math.ceil(Duration.toSeconds(retryAfter)))) }
  })

const answerTo = ({ reason }: VerificationError): Response => {
  switch (reason._tag) {
    case "Missing":
      return refuse(401)
    case "InsufficientScope":
      return withError(
        403,
        "insufficient_scope",
        "The access token lacks a scope",
        `scope="${reason.required.join(" ")}"`
      )
    case "KeysUnavailable":
    case "IntrospectionUnavailable":
      return unavailable(reason.retryAfter)
    default:
      return withError(401, "invalid_token", descriptions[reason._tag] ?? "The access token is not valid")
  }
}

/**
 * Runs `self` with the verified token of the request, or answers that there is none.
 *
 * Only the header `Authorization` is read. A token in the query or in a form is as good as none: both end in logs.
 */
export const authenticate = <E, R>(
  request: HttpServerRequest.HttpServerRequest,
  verify: AccessTokenVerifier["Service"]["verify"],
  required: ReadonlyArray<string>,
  self: Effect.Effect<Response, E, R>
): Effect.Effect<Response, E, Exclude<R, CurrentToken>> => {
  const { authorization } = request.headers
  if (authorization === undefined || !/^bearer(?: |$)/i.test(authorization)) return Effect.succeed(refuse(401))
  const [, token] = credentials.exec(authorization) ?? []
  if (token === undefined) {
    return Effect.succeed(withError(400, "invalid_request", "The header Authorization is malformed"))
  }
  return Effect.matchEffect(verify(Redacted.make(token)), {
    onFailure: (error) => Effect.as(Effect.ignoreCause(Effect.logDebug(error.message)), answerTo(error)),
    onSuccess: (verified) => {
      const insufficient = lacking(verified.scopes, required)
      return insufficient === undefined
        ? Effect.provideService(self, CurrentToken, verified)
        : Effect.succeed(answerTo(new VerificationError({ reason: insufficient })))
    }
  })
}
