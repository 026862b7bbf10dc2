// Serves token revocation (RFC 7009).
import { json } from "../../engine/answer.ts"
import type { Route } from "../../engine/handler.ts"
import { authenticatedForm } from "../clientAuthentication.ts"
import { host, invalidRequest, noStore } from "../oauthError.ts"
import { endSignIn, whyEnded } from "../signIns.ts"
import { type Ims, pathsOf } from "../state.ts"
import { checkToken, revokeToken } from "../tokens.ts"

/** Describes a token that is valid until it is revoked. */
interface Revocable {
  readonly clientId: string
  readonly revoke: () => void
}

const findRevocable = (ims: Ims, value: string): Revocable | undefined => {
  const refreshToken = ims.signIns.refreshTokens.get(value)
  if (refreshToken !== undefined) {
    const { signIn } = refreshToken
    if (whyEnded(ims, signIn) !== undefined) return undefined
    return {
      clientId: signIn.clientId,
      // RFC 7009 §2.1: the access tokens of the same grant end too.
      revoke: () => endSignIn(signIn, "The refresh token was revoked, and with it all tokens of the sign-in.")
    }
  }
  const token = checkToken(ims, value)
  return "app" in token ? { clientId: token.app.clientId, revoke: () => revokeToken(ims, token.jti) } : undefined
}

/** Answers 200 also for a token that is not valid (RFC 7009 §2.2), but not for a valid one of another app (§2.1). */
export const revocation = (ims: Ims): Route => ({
  host,
  cors: true,
  method: "POST",
  paths: pathsOf("/connect/revocation", ims.environment.revocationEndpoint),
  ...authenticatedForm(ims, "confidential and public", (app, form, { entry }) => {
    if (form.token === undefined) return invalidRequest(entry, "The request lacks token.")
    const token = findRevocable(ims, form.token)
    if (token !== undefined && token.clientId !== app.clientId) {
      return invalidRequest(entry, "The token was issued to another client.")
    }
    token?.revoke()
    entry.outcome = token === undefined ? "ignored" : "ok"
    return json(entry, 200, {}, noStore)
  })
})
