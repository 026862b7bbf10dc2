// Serves token revocation (RFC 7009).
import { json } from "../../engine/answer.ts"
import type { Route } from "../../engine/handler.ts"
import { authenticatedForm } from "../clientAuthentication.ts"
import { host, invalidRequest, noStore } from "../oauthError.ts"
import type { Ims } from "../state.ts"
import { checkToken } from "../tokens.ts"

/** Answers 200 also for a token that is not valid (RFC 7009 §2.2), but not for a valid one of another app (§2.1). */
export const revocation = (ims: Ims): Route => ({
  host,
  method: "POST",
  paths: ["/connect/revocation"],
  ...authenticatedForm(ims, (app, form, { entry }) => {
    if (form.token === undefined) return invalidRequest(entry, "The request lacks token.")
    const token = checkToken(ims, form.token)
    const isValid = "app" in token
    if (isValid && token.app !== app) {
      return invalidRequest(entry, "The token was issued to another client.")
    }
    if (isValid) ims.issued.revoke(token.jti)
    entry.outcome = isValid ? "ok" : "ignored"
    return json(entry, 200, {}, noStore)
  })
})
