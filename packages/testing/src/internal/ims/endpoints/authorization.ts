// Serves the authorization endpoint (RFC 6749 §3.1). Service apps have no redirect URI, so each request ends with an
// error that is shown and not redirected (§4.1.2.1). Clients require the endpoint's address in the metadata.
import type { Route } from "../../engine/handler.ts"
import { host, oauthError } from "../oauthError.ts"
import type { Ims } from "../state.ts"

export const authorization = (ims: Ims): Route => ({
  host,
  method: "GET",
  paths: ["/connect/authorize"],
  serve: ({ entry, query }) => {
    const clientId = query.get("client_id")
    const app = ims.apps.get(clientId ?? "")
    if (app === undefined) return oauthError(entry, 400, "invalid_request", "The client_id is missing or unknown.")
    entry.clientId = app.clientId
    return oauthError(entry, 400, "unauthorized_client", "A service app has no redirect URI and can not sign users in.")
  }
})
