// Serves the token endpoint (RFC 6749 §3.2).
import type { Route } from "../../engine/handler.ts"
import { type GrantType, grantsOf, nameOf } from "../appTypes.ts"
import { authenticatedForm } from "../clientAuthentication.ts"
import { authorizationCode } from "../grants/authorizationCode.ts"
import { clientCredentials } from "../grants/clientCredentials.ts"
import type { Grant } from "../grants/grant.ts"
import { refreshToken } from "../grants/refreshToken.ts"
import { host, invalidRequest, oauthError } from "../oauthError.ts"
import { type Ims, pathsOf } from "../state.ts"

/** The grants that the fake serves. */
const grants: Readonly<Record<GrantType, Grant>> = {
  client_credentials: clientCredentials,
  authorization_code: authorizationCode,
  refresh_token: refreshToken
}

const isGrantType = (text: string): text is GrantType => Object.hasOwn(grants, text)

export const grantTypes: ReadonlyArray<string> = Object.keys(grants)

export const token = (ims: Ims): Route => ({
  host,
  cors: true,
  method: "POST",
  paths: pathsOf("/connect/token", ims.environment.tokenEndpoint),
  ...authenticatedForm(ims, "confidential and public", (app, form, call) => {
    if (form.grant_type === undefined) return invalidRequest(call.entry, "The request lacks grant_type.")
    if (!isGrantType(form.grant_type)) {
      return oauthError(call.entry, 400, "unsupported_grant_type", "The grant type is not supported.")
    }
    if (!grantsOf[app.type].includes(form.grant_type)) {
      call.entry.explanation = `A ${nameOf[app.type]} may not use ${form.grant_type}.`
      return oauthError(call.entry, 400, "unauthorized_client", "The client may not use this grant type.")
    }
    return grants[form.grant_type](ims, app, form, call)
  })
})
