// Builds the answer that grants a token (RFC 6749 §5.1).
import { json } from "../engine/answer.ts"
import { changed } from "../engine/applyFault.ts"
import type { Call, Response } from "../engine/handler.ts"
import type { Application } from "./clients.ts"
import { noStore } from "./oauthError.ts"
import type { Ims } from "./state.ts"
import { issueToken, lifeOf } from "./tokens.ts"

/** Issues a token with the claims of the app and of the script. */
export const grantToken = (ims: Ims, app: Application, scopes: ReadonlyArray<string>, call: Call): Response => {
  const { entry, fault } = call
  const { token } = issueToken(ims, app, { scopes, claims: fault?._tag === "Claims" ? fault.claims : {} })
  entry.outcome = "ok"
  const response = {
    access_token: token,
    token_type: "Bearer",
    expires_in: lifeOf(ims, app),
    ...(ims.profile.scopeInResponse ? { scope: scopes.join(" ") } : {})
  }
  return json(entry, 200, changed(response, app.response), noStore)
}
