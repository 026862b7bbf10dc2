// Serves the token endpoint (RFC 6749 §3.2).
import type { Route } from "../../engine/handler.ts"
import { authenticatedForm } from "../clientAuthentication.ts"
import { clientCredentials } from "../grants/clientCredentials.ts"
import type { Grant } from "../grants/grant.ts"
import { host, invalidRequest, oauthError } from "../oauthError.ts"
import type { Ims } from "../state.ts"

export const grants: ReadonlyMap<string, Grant> = new Map([["client_credentials", clientCredentials]])

export const token = (ims: Ims): Route => ({
  host,
  method: "POST",
  paths: ["/connect/token", ims.tokenPath],
  ...authenticatedForm(ims, (app, form, call) => {
    if (form.grant_type === undefined) return invalidRequest(call.entry, "The request lacks grant_type.")
    const grant = grants.get(form.grant_type)
    return grant === undefined
      ? oauthError(call.entry, 400, "unsupported_grant_type", "The grant type is not supported.")
      : grant(ims, app, form, call)
  })
})
