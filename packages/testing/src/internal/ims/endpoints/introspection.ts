// Serves token introspection (RFC 7662).
import { json } from "../../engine/answer.ts"
import type { Route } from "../../engine/handler.ts"
import { authenticatedForm } from "../clientAuthentication.ts"
import { host, invalidRequest, noStore } from "../oauthError.ts"
import type { Ims } from "../state.ts"
import { checkToken, listOf } from "../tokens.ts"

export const introspection = (ims: Ims): Route => ({
  host,
  method: "POST",
  paths: ["/connect/introspect"],
  ...authenticatedForm(ims, "confidential", (_app, form, { entry }) => {
    if (form.token === undefined) return invalidRequest(entry, "The request lacks token.")
    const token = checkToken(ims, form.token)
    if (!("app" in token)) {
      entry.outcome = "inactive"
      entry.explanation = token.why
      return json(entry, 200, { active: false }, noStore)
    }
    const { claims, scopes } = token
    entry.outcome = "active"
    const facts = { active: true, token_type: "Bearer", aud: listOf(claims.aud), scope: [...scopes].join(" ") }
    return json(entry, 200, { ...claims, ...facts }, noStore)
  })
})
