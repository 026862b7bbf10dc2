// Turns a response of the token endpoint into a token, or into the reason that there is none.
import * as DateTime from "effect/DateTime"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { AccessToken } from "../../AccessToken.ts"
import * as Scopes from "../../Scopes.ts"
import * as TokenError from "../../TokenError.ts"
import type { RequestContext, Response } from "../../TokenRequest.ts"
import { TokenResponse } from "../../TokenResponse.ts"
import { isRedirect } from "../http/exchange.ts"
import { type Sent, secretsOf, serverTextFor } from "./client.ts"
import { failureReason, redirectRefused, tokenError } from "./reasons.ts"

export type GrantForm = Sent["form"] & { readonly grant_type: TokenError.GrantType }

/** The form of the client credentials grant (RFC 6749 §4.4.2). */
export const appForm = (scopes: Scopes.Scopes): GrantForm => ({
  grant_type: "client_credentials",
  scope: Scopes.format(scopes)
})

/** What was sent, and when. */
export interface Received extends Omit<RequestContext, "grant"> {
  readonly form: GrantForm
}

const decodeJson = Schema.decodeResult(Schema.fromJsonString(Schema.Unknown))
const decodeTokenResponse = Schema.decodeUnknownResult(TokenResponse)
const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** Keeps the message of the check that failed, which names the field. */
export const invalid = ({ issue }: Schema.SchemaError): TokenError.InvalidResponse =>
  new TokenError.InvalidResponse({ detail: formatIssue(issue).issues[0]?.message ?? "not a token response" })

/** Returns the tokens that the response contains, which may be no valid ones. */
const tokensIn = (json: unknown): ReadonlyArray<string> =>
  Predicate.isReadonlyObject(json)
    ? [json.access_token, json.refresh_token, json.id_token].filter(Predicate.isString)
    : []

/** A scope that was not requested is text of the server. If no scope may be shown, the result is `unknown`. */
const grantedScopes = (scope: string | null | undefined, token: string, context: Received): Scopes.Scopes => {
  if (Predicate.isNullish(scope) || scope === "" || scope === context.scopes) return context.scopes
  const granted = scope.split(/ +/)
  const requested = Scopes.tokens(context.scopes)
  const others = granted.filter((name) => !requested.includes(name))
  const shown = serverTextFor(context, [token]).showEach(others)
  const kept = [...granted.filter((name) => requested.includes(name)), ...shown].join(" ")
  return Scopes.make(kept.trim() === "" ? "unknown" : kept)
}

const makeToken = (
  response: TokenResponse,
  context: Received
): Result.Result<AccessToken, TokenError.InvalidResponse> => {
  const token = Redacted.value(response.access_token)
  const secret = secretsOf(context).find(([, secret]) => secret === token)
  if (secret !== undefined) {
    const detail = `access_token is the ${secret[0].replace("_", " ")}`
    return Result.fail(new TokenError.InvalidResponse({ detail }))
  }
  return Result.succeed(
    new AccessToken({
      value: response.access_token,
      tokenType: response.token_type,
      scopes: grantedScopes(response.scope, token, context),
      requestedScopes: context.scopes,
      clientId: context.credentials.clientId,
      ...(context.form.grant_type === "client_credentials" ? {} : { ofUser: true }),
      issuedAt: context.sentAt,
      expiresAt: DateTime.add(context.sentAt, { seconds: response.expires_in })
    })
  )
}

export const decodeAccessToken = (
  json: unknown,
  context: Received
): Result.Result<AccessToken, TokenError.InvalidResponse> =>
  Result.flatMap(Result.mapError(decodeTokenResponse(json), invalid), (response) => makeToken(response, context))

/** Decodes a response whose body, if it has the status 200, `decodeBody` accepts. */
export const decodeResponse =
  <A>(decodeBody: (json: unknown, context: Received) => Result.Result<A, TokenError.InvalidResponse>) =>
  (response: Response, context: Received): Result.Result<A, TokenError.TokenError> => {
    const { status } = response
    const json = Result.getOrUndefined(decodeJson(response.body))
    const decoded = status === 200 ? decodeBody(json, context) : undefined
    if (decoded !== undefined && Result.isSuccess(decoded)) return Result.succeed(decoded.success)
    const serverText = serverTextFor(context, tokensIn(json))
    const reason = isRedirect(status)
      ? redirectRefused(response.headers.location, false, context.endpoint, serverText)
      : failureReason(response, json, decoded?.failure, context, serverText)
    return Result.fail(
      tokenError(reason, context, {
        status,
        correlationId: serverText.showCorrelationId(response.headers["x-correlation-id"])
      })
    )
  }

/** Decodes a response to the access token alone. */
export const decodeToken = (response: Response, context: Received): Result.Result<AccessToken, TokenError.TokenError> =>
  decodeResponse(decodeAccessToken)(response, context)
