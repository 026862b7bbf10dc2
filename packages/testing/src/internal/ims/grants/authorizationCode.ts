// Serves the authorization code grant (RFC 6749 §4.1.3) with PKCE (RFC 7636).

import type { Form } from "../form.ts"
import { invalidGrant, invalidRequest } from "../oauthError.ts"
import type { Code } from "../signIns.ts"
import { challengeOf, endSignIn, issueRefreshToken, whyEnded } from "../signIns.ts"
import { now } from "../state.ts"
import { grantToken } from "../tokenResponse.ts"
import type { Grant } from "./grant.ts"

/** Returns why the verifier does not prove who asked for the code, if it does not. */
const wrongVerifier = (code: Code, codeVerifier: string | undefined): string | undefined => {
  if (code.codeChallenge === undefined) {
    // RFC 9700 §2.1.1: else an attacker could leave the challenge out.
    return codeVerifier === undefined
      ? undefined
      : "The request has a code_verifier, and its code has no code_challenge."
  }
  if (codeVerifier === undefined) return "The request lacks code_verifier."
  if (!/^[\w.~-]{43,128}$/.test(codeVerifier)) {
    return "The code_verifier is not 43 to 128 letters, digits and - . _ ~ (RFC 7636 §4.1)."
  }
  return challengeOf(codeVerifier) === code.codeChallenge
    ? undefined
    : "The code_verifier does not match the code_challenge."
}

const wrongRedirectUri = ({ redirectUri }: Code, given: string | undefined): string | undefined => {
  if (given === undefined) return "The request lacks redirect_uri."
  return given === redirectUri ? undefined : "The redirect_uri differs from that of the authorization request."
}

/** Exchanges a code once. A code that comes again was stolen, so all that came from it ends (RFC 6749 §4.1.2). */
export const authorizationCode: Grant = (ims, app, form: Form["values"], call) => {
  const { entry } = call
  if (form.code === undefined) return invalidRequest(entry, "The request lacks code.")
  const code = ims.signIns.codes.get(form.code)
  if (code === undefined) return invalidGrant(entry, "The code is unknown.")
  const { nonce, signIn } = code
  if (signIn.clientId !== app.clientId) return invalidGrant(entry, "The code was issued to another client.")
  if (code.isUsed) {
    endSignIn(signIn, "The sign-in ended because its code was used twice.")
    return invalidGrant(entry, "The code was used before. All tokens that came from it are revoked.")
  }
  if (now(ims) >= code.validUntil) return invalidGrant(entry, "The code has expired.")
  const wrong =
    whyEnded(ims, signIn) ?? wrongRedirectUri(code, form.redirect_uri) ?? wrongVerifier(code, form.code_verifier)
  if (wrong !== undefined) return invalidGrant(entry, wrong)
  code.isUsed = true
  const refreshToken = signIn.scopes.has("offline_access") ? issueRefreshToken(ims, signIn) : undefined
  return grantToken(ims, app, [...signIn.scopes], call, { signIn, refreshToken, nonce })
}
