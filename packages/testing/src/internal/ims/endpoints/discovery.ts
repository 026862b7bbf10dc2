// Serves the metadata of IMS (OpenID Connect Discovery 1.0 §4, RFC 8414). The metadata lists only what the fake serves.
import { json } from "../../engine/answer.ts"
import type { Route } from "../../engine/handler.ts"
import { host } from "../oauthError.ts"
import type { Ims } from "../state.ts"
import { grantTypes } from "./token.ts"

export const discovery = (ims: Ims): Route => ({
  host,
  cors: true,
  method: "GET",
  paths: ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
  serve: ({ entry }) => {
    const { environment, profile } = ims
    const { origin } = new URL(environment.tokenEndpoint)
    const methods = ["client_secret_post", ...(profile.clientSecretBasic ? ["client_secret_basic"] : [])]
    entry.outcome = "ok"
    return json(entry, 200, {
      issuer: environment.issuer,
      authorization_endpoint: environment.authorizationEndpoint,
      token_endpoint: environment.tokenEndpoint,
      jwks_uri: `${origin}/.well-known/openid-configuration/jwks`,
      introspection_endpoint: `${origin}/connect/introspect`,
      revocation_endpoint: environment.revocationEndpoint,
      userinfo_endpoint: environment.userinfoEndpoint,
      end_session_endpoint: environment.endSessionEndpoint,
      grant_types_supported: grantTypes,
      token_endpoint_auth_methods_supported: [...methods, "none"],
      introspection_endpoint_auth_methods_supported: methods,
      revocation_endpoint_auth_methods_supported: [...methods, "none"],
      scopes_supported: [...new Set([...ims.apps.values()].flatMap((app) => [...app.scopes]))],
      response_types_supported: ["code"],
      response_modes_supported: ["query"],
      code_challenge_methods_supported: ["S256"],
      prompt_values_supported: ["none", "login", "consent", "select_account"],
      authorization_response_iss_parameter_supported: true,
      claims_parameter_supported: false,
      request_parameter_supported: false,
      request_uri_parameter_supported: false,
      claims_supported: [
        ...["iss", "aud", "exp", "iat", "auth_time", "nonce", "sub", "email", "email_verified"],
        ...["name", "given_name", "family_name", "preferred_username", "locale", "organization"]
      ],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: [...new Set(ims.keys.map(({ algorithm }) => algorithm))]
    })
  }
})
