// Serves Entra ID: the token endpoint, and the documents that clients read before they request a token.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { uuid } from "../engine/entropy.ts"
import type { Call, Host, Response, Route } from "../engine/handler.ts"
import { formatInstant } from "../engine/instant.ts"
import { ok } from "./answers.ts"
import { tokenLife } from "./tokens.ts"
import { nowSeconds, type Vault } from "./vault.ts"

interface EntraProblem {
  readonly status: number
  readonly error: string
  readonly code: number
  readonly description: string
  readonly explanation?: string
}

const entraError = ({ engine }: Vault, { entry }: Call, problem: EntraProblem): Response => {
  const { status, error, code, description, explanation } = problem
  entry.outcome = `AADSTS${code}`
  entry.explanation = explanation
  return HttpServerResponse.jsonUnsafe(
    {
      error,
      error_description: `AADSTS${code}: ${description}`,
      error_codes: [code],
      timestamp: formatInstant(engine.clock.currentTimeMillisUnsafe()),
      trace_id: uuid(engine.entropy),
      correlation_id: uuid(engine.entropy)
    },
    { status }
  )
}

const tenantOf = ({ params }: Call): string => params.tenant ?? ""

/** Issues a token for client credentials. Any tenant does; the vault trusts only its own tenant. */
const token = (vault: Vault) => (call: Call) => {
  const { entry, fault } = call
  const form = new URLSearchParams(call.body)
  const clientId = form.get("client_id") ?? ""
  entry.clientId = vault.redact(clientId)
  if (form.get("grant_type") !== "client_credentials") {
    return entraError(vault, call, {
      status: 400,
      error: "unsupported_grant_type",
      code: 70003,
      description: "The grant type is not supported."
    })
  }
  if (clientId !== vault.clientId) {
    return entraError(vault, call, {
      status: 400,
      error: "unauthorized_client",
      code: 700016,
      description: `Application with identifier '${clientId}' was not found in the directory '${tenantOf(call)}'.`
    })
  }
  const clientSecret = form.get("client_secret")
  if (clientSecret !== null) entry.authentication = "client_secret_post"
  if (clientSecret === vault.clientSecret) entry.secretVersion = 1
  // An assertion (a certificate, a workload identity) is accepted unread.
  else if (!form.get("client_assertion")) {
    return entraError(vault, call, {
      status: 401,
      error: "invalid_client",
      code: 7000215,
      description: "Invalid client secret provided.",
      explanation: clientSecret === null ? "The request has no client secret." : "The client secret is not the app's."
    })
  }
  const audience = /^(\S+)\/\.default$/.exec(form.get("scope") ?? "")?.[1]
  if (audience === undefined) {
    return entraError(vault, call, {
      status: 400,
      error: "invalid_scope",
      code: 1002012,
      description: "The scope must end in /.default."
    })
  }
  const claims = fault?._tag === "Claims" ? fault.claims : undefined
  const now = nowSeconds(vault)
  return ok(entry, {
    token_type: "Bearer",
    expires_in: tokenLife,
    ext_expires_in: tokenLife,
    access_token: vault.tokens.issue({ audience, tenantId: tenantOf(call), clientId, now, claims })
  })
}

/** Serves the document that MSAL requests when it does not know the authority. */
const instanceDiscovery = (vault: Vault) => (call: Call) => {
  const { host } = new URL(vault.authority)
  const endpoint = call.query.get("authorization_endpoint") ?? ""
  const tenant = URL.parse(endpoint)?.pathname.split("/")[1] || vault.tenantId
  return ok(call.entry, {
    tenant_discovery_endpoint: `${vault.authority}/${tenant}/v2.0/.well-known/openid-configuration`,
    "api-version": "1.1",
    metadata: [{ preferred_network: host, preferred_cache: host, aliases: [host] }]
  })
}

const openidConfiguration = (vault: Vault) => (call: Call) => {
  const base = `${vault.authority}/${tenantOf(call)}`
  return ok(call.entry, {
    issuer: `${base}/v2.0`,
    token_endpoint: `${base}/oauth2/v2.0/token`,
    token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt"],
    jwks_uri: `${base}/discovery/v2.0/keys`,
    // Not served. MSAL accepts no document without it.
    authorization_endpoint: `${base}/oauth2/v2.0/authorize`
  })
}

export const entraRoutes = (vault: Vault, host: Host): ReadonlyArray<Route> => [
  { host, method: "POST", paths: ["/:tenant/oauth2/v2.0/token"], serve: token(vault) },
  { host, method: "GET", paths: ["/common/discovery/instance"], serve: instanceDiscovery(vault) },
  {
    host,
    method: "GET",
    paths: ["/:tenant/v2.0/.well-known/openid-configuration"],
    serve: openidConfiguration(vault)
  },
  {
    host,
    method: "GET",
    paths: ["/:tenant/discovery/v2.0/keys"],
    serve: ({ entry }) => ok(entry, vault.tokens.jwks())
  }
]
