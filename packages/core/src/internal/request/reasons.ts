// Why a response of the token endpoint has no token.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as TokenError from "../../TokenError.ts"
import type { Response } from "../../TokenRequest.ts"
import { OAuthErrorResponse } from "../../TokenResponse.ts"
import { parseRetryAfter } from "../http/retryAfter.ts"
import type { ServerText } from "../shown/serverText.ts"
import type { Received } from "./decode.ts"

const decodeOAuthError = Schema.decodeUnknownResult(OAuthErrorResponse)

/** Says that the endpoint redirects, or that the client followed. Shows the target's origin only. */
export const redirectRefused = (
  location: string | undefined,
  followed: boolean,
  endpoint: string,
  serverText: ServerText
): TokenError.RedirectRefused => {
  const target = location === undefined ? null : URL.parse(location, endpoint)
  if (target === null) return new TokenError.RedirectRefused({ followed })
  const origin = target.origin === new URL(endpoint).origin ? target.origin : serverText.showCode(target.origin)
  return new TokenError.RedirectRefused({ origin, followed })
}

const oauthReason = (
  { error, error_description }: OAuthErrorResponse,
  { form, scopes }: Received,
  serverText: ServerText
): TokenError.TokenErrorReason => {
  const grant = form.grant_type
  const description = error_description === undefined ? undefined : serverText.show(error_description)
  switch (error) {
    case "invalid_client":
      return new TokenError.InvalidClient({ description })
    case "unauthorized_client":
      return new TokenError.UnauthorizedClient({ description, grant })
    case "invalid_scope":
      return new TokenError.InvalidScope({ scopes, description })
    case "invalid_grant":
      return new TokenError.InvalidGrant({ description })
    case "invalid_request":
      return new TokenError.InvalidRequest({ description })
    case "unsupported_grant_type":
      return new TokenError.UnsupportedGrantType({ description, grant })
    default:
      return new TokenError.OAuthError({ code: serverText.showCode(error), description })
  }
}

/** Returns why a response has no usable token. `invalid` is the check that a 200 failed. */
export const failureReason = (
  { status, headers }: Response,
  json: unknown,
  invalid: TokenError.InvalidResponse | undefined,
  context: Received,
  serverText: ServerText
): TokenError.TokenErrorReason => {
  const error = Result.getOrUndefined(decodeOAuthError(json))
  const retryAfter = parseRetryAfter(headers, context.receivedAt)
  if (status === 429) return new TokenError.RateLimited({ retryAfter })
  if (status >= 500) {
    const code = error === undefined ? undefined : serverText.showCode(error.error)
    const description = error?.error_description === undefined ? undefined : serverText.show(error.error_description)
    return new TokenError.ServerError({ status, code, description, retryAfter })
  }
  if (status === 407) return new TokenError.Transport({ kind: "proxy", code: "407" })
  if (error !== undefined) return oauthReason(error, context, serverText)
  return invalid ?? new TokenError.UnexpectedStatus({ status })
}

/** Adds what is known of the request and of its response. */
export const tokenError = (
  reason: TokenError.TokenErrorReason,
  context: Pick<Received, "credentials" | "endpoint" | "correlationId">,
  response?: { readonly status?: number; readonly correlationId?: string | undefined }
): TokenError.TokenError =>
  new TokenError.TokenError({
    reason,
    endpoint: context.endpoint,
    clientId: context.credentials.clientId,
    status: response?.status,
    correlationId: response?.correlationId ?? context.correlationId
  })
