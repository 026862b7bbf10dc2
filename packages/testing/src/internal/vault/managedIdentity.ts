// Serves the metadata service (IMDS), which issues tokens for the managed identity of a machine. That of Azure App Service
// has the same shape.
import * as Clock from "effect/Clock"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Call, Host, Response, Route } from "../engine/handler.ts"
import { ok } from "./answers.ts"
import { tokenLife } from "./tokens.ts"
import { nowSeconds, type Vault } from "./vault.ts"

const invalidRequest = ({ entry }: Call, description: string): Response => {
  entry.outcome = "invalid_request"
  return HttpServerResponse.jsonUnsafe({ error: "invalid_request", error_description: description }, { status: 400 })
}

const token = (vault: Vault) => (call: Call) => {
  const { entry, fault, headers, query } = call
  // Instead of a secret: a header that a browser or a redirect does not send. App Service has another one.
  if (headers.metadata?.toLowerCase() !== "true" && !headers["x-identity-header"]) {
    return invalidRequest(call, "Required metadata header not specified")
  }
  const audience = query.get("resource")
  if (audience === null) return invalidRequest(call, "Required audience parameter not specified")
  const clientId = query.get("client_id") ?? vault.clientId
  entry.clientId = vault.redact(clientId)
  // The SDK compares this absolute time with the clock of the machine, so it is of that clock.
  const now = Math.floor(Clock.Clock.defaultValue().currentTimeMillisUnsafe() / 1000)
  return ok(entry, {
    access_token: vault.tokens.issue({
      audience,
      tenantId: vault.tenantId,
      clientId,
      now: nowSeconds(vault),
      claims: fault?._tag === "Claims" ? fault.claims : undefined
    }),
    client_id: clientId,
    expires_in: String(tokenLife),
    expires_on: String(now + tokenLife),
    ext_expires_in: String(tokenLife),
    not_before: String(now),
    resource: audience,
    token_type: "Bearer"
  })
}

export const managedIdentityRoutes = (vault: Vault, host: Host): ReadonlyArray<Route> => [
  {
    host,
    method: "GET",
    paths: ["/metadata/identity/oauth2/token", "/metadata/identity/oauth2/token/"],
    serve: token(vault)
  }
]
