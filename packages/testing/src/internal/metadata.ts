// What IMS says about itself and about tokens: discovery, keys, introspection (RFC 7662) and revocation (RFC 7009).

import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import { json, oauthError } from "./answer.ts"
import { authenticatedForm } from "./clientAuthentication.ts"
import { publicJwk } from "./engine/jwt.ts"
import type { Entry, State } from "./state.ts"
import { checkToken, list } from "./tokens.ts"

const ok = (entry: Entry, body: unknown) => {
  entry.outcome = "ok"
  return Effect.succeed(json(entry, 200, body))
}

/** GET /.well-known/openid-configuration */
export const discovery = (state: State) => (_request: HttpServerRequest.HttpServerRequest, entry: Entry) =>
  ok(entry, {
    issuer: state.issuer,
    authorization_endpoint: `${state.issuer}/connect/authorize`,
    token_endpoint: `${state.issuer}/connect/token`,
    jwks_uri: `${state.issuer}/.well-known/openid-configuration/jwks`,
    introspection_endpoint: `${state.issuer}/connect/introspect`,
    revocation_endpoint: `${state.issuer}/connect/revocation`,
    userinfo_endpoint: `${state.issuer}/connect/userinfo`,
    end_session_endpoint: `${state.issuer}/connect/endsession`,
    grant_types_supported: ["client_credentials"],
    token_endpoint_auth_methods_supported: [
      "client_secret_post",
      ...(state.profile.clientSecretBasic ? ["client_secret_basic"] : [])
    ],
    response_types_supported: ["code"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256"],
    scopes_supported: [...new Set([...state.apps.values()].flatMap((app) => [...app.scopes]))]
  })

/** GET /.well-known/openid-configuration/jwks */
export const jwks = (state: State) => (_request: HttpServerRequest.HttpServerRequest, entry: Entry) =>
  ok(entry, { keys: state.keys.map(publicJwk) })

/** POST /connect/introspect */
export const introspection = (state: State) =>
  authenticatedForm(state, (_app, form, entry) => {
    if (form.token === undefined) return oauthError(entry, 400, "invalid_request", "The request lacks token.")
    const token = checkToken(state, form.token)
    entry.outcome = "app" in token ? "active" : "inactive"
    if (!("app" in token)) return json(entry, 200, { active: false })
    const { claims, scopes } = token
    return json(entry, 200, {
      ...claims,
      active: true,
      token_type: "Bearer",
      aud: list(claims.aud),
      scope: [...scopes].join(" ")
    })
  })

/** POST /connect/revocation: says 200 of any token but a good one of another app (RFC 7009 §2.1), and revokes its own. */
export const revocation = (state: State) =>
  authenticatedForm(state, (app, form, entry) => {
    if (form.token === undefined) return oauthError(entry, 400, "invalid_request", "The request lacks token.")
    const token = checkToken(state, form.token)
    const isGood = "app" in token
    if (isGood && token.app !== app) {
      return oauthError(entry, 400, "invalid_request", "The token was issued to another client.")
    }
    if (isGood) state.revoked.add(token.jti)
    entry.outcome = isGood ? "ok" : "ignored"
    return json(entry, 200, {})
  })
