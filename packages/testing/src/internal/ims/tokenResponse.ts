// Builds the answer that grants a token (RFC 6749 §5.1).
import { json } from "../engine/answer.ts"
import { changed } from "../engine/applyFault.ts"
import type { Call, Response } from "../engine/handler.ts"
import type { Application } from "./clients.ts"
import { noStore } from "./oauthError.ts"
import type { SignIn } from "./signIns.ts"
import type { Ims } from "./state.ts"
import { issueIdToken, issueToken, lifeOf } from "./tokens.ts"

/** Describes what a user's sign-in adds to the answer. */
export interface OfUser {
  readonly signIn: SignIn
  /** The refresh token to return, if the app gets a new one. */
  readonly refreshToken: string | undefined
  readonly nonce: string | undefined
}

/** Issues a token with the claims of the app and of the script: the app's own, or one of a user. */
export const grantToken = (
  ims: Ims,
  app: Application,
  scopes: ReadonlyArray<string>,
  call: Call,
  ofUser?: OfUser
): Response => {
  const { entry, fault } = call
  const claims = fault?._tag === "Claims" ? fault.claims : {}
  const { token } = issueToken(ims, app, { scopes, claims, signIn: ofUser?.signIn })
  entry.outcome = "ok"
  const response = {
    access_token: token,
    token_type: "Bearer",
    expires_in: lifeOf(ims, app),
    ...(ims.profile.scopeInResponse ? { scope: scopes.join(" ") } : {}),
    ...(ofUser?.refreshToken === undefined ? {} : { refresh_token: ofUser.refreshToken }),
    ...(ofUser !== undefined && scopes.includes("openid")
      ? { id_token: issueIdToken(ims, app, ofUser.signIn, ofUser.nonce) }
      : {})
  }
  return json(entry, 200, changed(response, app.response), noStore)
}
