// The client credentials grant (RFC 6749 §4.4).
import { oauthError } from "../oauthError.ts"
import { grantToken } from "../tokenResponse.ts"
import type { Grant } from "./grant.ts"

/** Grants all scopes of the app if the request names none (RFC 6749 §3.3). */
export const clientCredentials: Grant = (ims, app, form, call) => {
  const scopes = form.scope?.split(" ") ?? [...app.scopes]
  const refused = scopes.filter((scope) => !app.scopes.has(scope) || ims.profile.refusedScopes.includes(scope))
  if (refused.length === 0) return grantToken(ims, app, scopes, call)
  call.entry.explanation = `The app may not request these scopes: ${ims.redact(JSON.stringify(refused))}.`
  return oauthError(call.entry, 400, "invalid_scope", "The requested scope is invalid, unknown, or malformed.")
}
