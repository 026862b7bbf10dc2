// Serves the refresh token grant (RFC 6749 §6) with rotation (RFC 9700 §4.14.2).
import { invalidGrant, invalidRequest, oauthError } from "../oauthError.ts"
import { endSignIn, issueRefreshToken, whyEnded } from "../signIns.ts"
import { now } from "../state.ts"
import { grantToken } from "../tokenResponse.ts"
import type { Grant } from "./grant.ts"

/** Replaces the refresh token. A replaced one that comes after the grace was stolen, so the sign-in ends. */
export const refreshToken: Grant = (ims, app, form, call) => {
  const { entry } = call
  const { refreshTokenGraceSeconds, refreshTokenRotation } = ims.profile
  if (form.refresh_token === undefined) return invalidRequest(entry, "The request lacks refresh_token.")
  const token = ims.signIns.refreshTokens.get(form.refresh_token)
  if (token === undefined) return invalidGrant(entry, "The refresh token is unknown or has expired.")
  const { signIn } = token
  if (signIn.clientId !== app.clientId) return invalidGrant(entry, "The refresh token was issued to another client.")
  const ended = whyEnded(ims, signIn)
  if (ended !== undefined) return invalidGrant(entry, ended)
  if (token.replacedAt !== undefined && now(ims) >= token.replacedAt + refreshTokenGraceSeconds * 1000) {
    endSignIn(signIn, "The sign-in ended because a replaced refresh token was used.")
    return invalidGrant(entry, "The refresh token was replaced before. All tokens of the sign-in are revoked.")
  }
  const scopes = form.scope?.split(" ") ?? [...signIn.scopes]
  if (scopes.some((scope) => !signIn.scopes.has(scope))) {
    entry.explanation = "A refresh may narrow the scopes that the user consented to, and not widen them."
    return oauthError(entry, 400, "invalid_scope", "The requested scope exceeds the scope granted by the user.")
  }
  if (!refreshTokenRotation)
    return grantToken(ims, app, scopes, call, { signIn, refreshToken: undefined, nonce: undefined })
  token.replacedAt ??= now(ims)
  return grantToken(ims, app, scopes, call, { signIn, refreshToken: issueRefreshToken(ims, signIn), nonce: undefined })
}
