// Where tokens for the vault come from: the token endpoint of Entra ID, its discovery documents, and the metadata
// service (IMDS) that gives a managed identity its token.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { applyFault as strike } from "./engine/applyFault.ts"
import type { ConnectionBroken } from "./engine/broken.ts"
import { uuid } from "./engine/entropy.ts"
import { formatInstant } from "./engine/instant.ts"
import { signJwt } from "./engine/jwt.ts"
import { nowSeconds, type TokenRequest, type Vault } from "./vault.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

/** Seconds, as Entra ID says it. */
const life = 3599

/**
 * A token as Entra ID issues it. The vault never checks its age: clients count that by the machine's clock, and the
 * fake's may be a `TestClock`.
 */
export const issueToken = (
  vault: Vault,
  options: { readonly audience: string; readonly tenantId: string; readonly clientId: string }
): string => {
  const now = nowSeconds(vault)
  const jti = uuid(vault.entropy)
  vault.known.add(jti)
  return signJwt([vault.key], {
    aud: options.audience,
    iss: `https://sts.windows.net/${options.tenantId}/`,
    tid: options.tenantId,
    appid: options.clientId,
    iat: now,
    nbf: now,
    exp: now + life,
    jti
  })
}

const entraError = (
  vault: Vault,
  entry: TokenRequest,
  status: number,
  error: string,
  code: number,
  description: string
): Response => {
  entry.outcome = `AADSTS${code}`
  return HttpServerResponse.jsonUnsafe(
    {
      error,
      error_description: `AADSTS${code}: ${description}`,
      error_codes: [code],
      timestamp: formatInstant(vault.clock.currentTimeMillisUnsafe()),
      trace_id: uuid(vault.entropy),
      correlation_id: uuid(vault.entropy)
    },
    { status }
  )
}

const grant = (vault: Vault, entry: TokenRequest, tenantId: string, form: URLSearchParams): Response => {
  const clientId = form.get("client_id") ?? ""
  entry.clientId = clientId
  if (form.get("grant_type") !== "client_credentials") {
    return entraError(vault, entry, 400, "unsupported_grant_type", 70003, "The grant type is not supported.")
  }
  if (clientId !== vault.clientId) {
    return entraError(
      vault,
      entry,
      400,
      "unauthorized_client",
      700016,
      `Application with identifier '${clientId}' was not found in the directory '${tenantId}'.`
    )
  }
  // An assertion (a certificate, a workload identity) is accepted unread.
  if (!form.get("client_assertion") && form.get("client_secret") !== vault.clientSecret) {
    return entraError(vault, entry, 401, "invalid_client", 7000215, "Invalid client secret provided.")
  }
  const audience = /^(\S+)\/\.default$/.exec(form.get("scope") ?? "")?.[1]
  if (audience === undefined) {
    return entraError(vault, entry, 400, "invalid_scope", 1002012, "The scope must end in /.default.")
  }
  entry.outcome = "ok"
  return HttpServerResponse.jsonUnsafe({
    token_type: "Bearer",
    expires_in: life,
    ext_expires_in: life,
    access_token: issueToken(vault, { audience, tenantId, clientId })
  })
}

/** Journals a request for a token and lets the script of its route strike it. */
const journaled = (
  vault: Vault,
  endpoint: TokenRequest["endpoint"],
  normal: (entry: TokenRequest) => Effect.Effect<Response>
): Effect.Effect<Response, ConnectionBroken> =>
  Effect.suspend(() => {
    const fault = vault.scripts[endpoint === "entra" ? "token" : "metadata"].next()
    const entry: TokenRequest = {
      at: vault.clock.currentTimeMillisUnsafe(),
      endpoint,
      clientId: undefined,
      fault: fault?._tag,
      status: undefined,
      outcome: fault?._tag === "Respond" ? "fault" : "aborted"
    }
    vault.tokenRequests.push(entry)
    return Effect.map(
      strike(
        fault,
        vault.clock,
        Effect.suspend(() => normal(entry))
      ),
      (response) => {
        entry.status = response.status
        return response
      }
    )
  })

const tenantOf = (request: Request): string => new URL(request.url, "http://fake").pathname.split("/")[1] ?? ""

/** POST /{tenant}/oauth2/v2.0/token: client credentials. Any tenant issues; the vault trusts only its own. */
export const entraToken = (vault: Vault) => (request: Request) =>
  journaled(vault, "entra", (entry) =>
    request.text.pipe(
      Effect.map((text) => grant(vault, entry, tenantOf(request), new URLSearchParams(text))),
      Effect.catch(() =>
        Effect.succeed(entraError(vault, entry, 400, "invalid_request", 900144, "The body could not be read."))
      )
    )
  )

const metadataError = (entry: TokenRequest, description: string): Response => {
  entry.outcome = "invalid_request"
  return HttpServerResponse.jsonUnsafe({ error: "invalid_request", error_description: description }, { status: 400 })
}

/** GET /metadata/identity/oauth2/token, where IMDS answers on a virtual machine: no secret, just a header; App Service's too. */
export const metadataToken = (vault: Vault) => (request: Request) =>
  journaled(vault, "metadata", (entry) =>
    Effect.sync(() => {
      if (request.headers.metadata?.toLowerCase() !== "true" && !request.headers["x-identity-header"]) {
        return metadataError(entry, "Required metadata header not specified")
      }
      const query = new URL(request.url, "http://fake").searchParams
      const audience = query.get("resource")
      if (audience === null) return metadataError(entry, "Required audience parameter not specified")
      const clientId = query.get("client_id") ?? vault.clientId
      entry.clientId = clientId
      entry.outcome = "ok"
      // The one absolute time that the SDK compares with the machine's clock, so that clock it has to be.
      const now = Math.floor(Clock.Clock.defaultValue().currentTimeMillisUnsafe() / 1000)
      return HttpServerResponse.jsonUnsafe({
        access_token: issueToken(vault, { audience, tenantId: vault.tenantId, clientId }),
        client_id: clientId,
        expires_in: String(life),
        expires_on: String(now + life),
        ext_expires_in: String(life),
        not_before: String(now),
        resource: audience,
        token_type: "Bearer"
      })
    })
  )

/** GET /common/discovery/instance: asked for by MSAL when the authority is not one it knows. */
export const instanceDiscovery = (vault: Vault) => (request: Request) =>
  Effect.sync(() => {
    const { host } = new URL(vault.authority)
    const endpoint = new URL(request.url, "http://fake").searchParams.get("authorization_endpoint") ?? ""
    const tenant = URL.parse(endpoint)?.pathname.split("/")[1] || vault.tenantId
    return HttpServerResponse.jsonUnsafe({
      tenant_discovery_endpoint: `${vault.authority}/${tenant}/v2.0/.well-known/openid-configuration`,
      "api-version": "1.1",
      metadata: [{ preferred_network: host, preferred_cache: host, aliases: [host] }]
    })
  })

/** GET /{tenant}/v2.0/.well-known/openid-configuration: what MSAL reads of it. */
export const openidConfiguration = (vault: Vault) => (request: Request) =>
  Effect.sync(() => {
    const base = `${vault.authority}/${tenantOf(request)}`
    return HttpServerResponse.jsonUnsafe({
      issuer: `${base}/v2.0`,
      token_endpoint: `${base}/oauth2/v2.0/token`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      end_session_endpoint: `${base}/oauth2/v2.0/logout`,
      jwks_uri: `${base}/discovery/v2.0/keys`
    })
  })
