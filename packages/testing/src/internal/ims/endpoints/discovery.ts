// Serves the metadata of IMS (OpenID Connect Discovery 1.0 §4, RFC 8414). The metadata lists only what the fake serves.
import { json } from "../../engine/answer.ts"
import type { Route } from "../../engine/handler.ts"
import { host } from "../oauthError.ts"
import type { Ims } from "../state.ts"
import { grants } from "./token.ts"

export const discovery = (ims: Ims): Route => ({
  host,
  method: "GET",
  paths: ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
  serve: ({ entry }) => {
    const { issuer, profile } = ims
    const methods = ["client_secret_post", ...(profile.clientSecretBasic ? ["client_secret_basic"] : [])]
    entry.outcome = "ok"
    return json(entry, 200, {
      issuer,
      authorization_endpoint: `${issuer}/connect/authorize`,
      token_endpoint: `${issuer}${ims.tokenPath}`,
      jwks_uri: `${issuer}/.well-known/openid-configuration/jwks`,
      introspection_endpoint: `${issuer}/connect/introspect`,
      revocation_endpoint: `${issuer}/connect/revocation`,
      grant_types_supported: [...grants.keys()],
      token_endpoint_auth_methods_supported: methods,
      introspection_endpoint_auth_methods_supported: methods,
      revocation_endpoint_auth_methods_supported: methods,
      scopes_supported: [...new Set([...ims.apps.values()].flatMap((app) => [...app.scopes]))],
      // Clients insist on these members. The authorization endpoint grants nothing to service apps.
      response_types_supported: [],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: [...new Set(ims.keys.map(({ algorithm }) => algorithm))]
    })
  }
})
