// Serves the client credentials grant (RFC 6749 §4.4).
import { oauthError } from "../oauthError.ts"
import { grantToken } from "../tokenResponse.ts"
import type { Grant } from "./grant.ts"

/** Grants all scopes of the app if the request names none (RFC 6749 §3.3). */
export const clientCredentials: Grant = (ims, app, form, call) => {
  const isRefused = (scope: string) => !app.scopes.has(scope) || ims.profile.refusedScopes.includes(scope)
  const scopes = form.scope?.split(" ") ?? [...app.scopes]
  if (!scopes.some(isRefused)) return grantToken(ims, app, scopes, call)
  // A secret that was sent as scope must be removed before it is split.
  const refused = ims.redact(scopes.join(" ")).split(" ").filter(isRefused)
  call.entry.explanation = `The app may not request these scopes: ${refused.join(", ")}.`
  return oauthError(call.entry, 400, "invalid_scope", "The requested scope is invalid, unknown, or malformed.")
}
