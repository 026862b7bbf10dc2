// GET /secrets/{name}/{version?} as Azure Key Vault answers it: the challenge, the checks of the token, the secret.
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { applyFault as strike } from "./engine/applyFault.ts"
import type { ConnectionBroken } from "./engine/broken.ts"
import { type Claims, verifyJwt } from "./engine/jwt.ts"
import { type Denial, findVersion, isSecretName, type Read, recordRead, type Vault, type Version } from "./vault.ts"

type Response = HttpServerResponse.HttpServerResponse

/** `{"error":{"code","message","innererror"?}}`. The outcome is the code that tells most. */
const vaultError = (read: Read, status: number, code: string, message: string, inner?: string): Response => {
  read.outcome = inner ?? code
  return HttpServerResponse.jsonUnsafe(
    { error: { code, message, ...(inner === undefined ? {} : { innererror: { code: inner } }) } },
    { status }
  )
}

/** 401 with the challenge: where a token is to be had, and for what. */
const unauthorized = (vault: Vault, read: Read, outcome: string, message: string): Response => {
  const { authorization, resource } = vault.challenge
  const error = outcome === "challenge" ? "" : `, error="invalid_token", error_description="${message}"`
  const response = vaultError(read, 401, "Unauthorized", message)
  read.outcome = outcome
  return HttpServerResponse.setHeader(
    response,
    "www-authenticate",
    `Bearer authorization="${authorization}", resource="${resource}"${error}`
  )
}

const issuerOf = (tenantId: string): string => `https://sts.windows.net/${tenantId}/`

const refuse = (vault: Vault, read: Read, claims: Claims | undefined): Response | undefined => {
  if (claims === undefined) {
    return unauthorized(
      vault,
      read,
      "InvalidToken",
      "[BearerReadAccessTokenFailed] Error validating token: 'S2S12005'."
    )
  }
  if (claims.aud !== vault.resource) {
    return unauthorized(
      vault,
      read,
      "AKV10022",
      `AKV10022: Invalid audience. Expected ${vault.resource}, found: ${claims.aud}.`
    )
  }
  if (claims.iss !== issuerOf(vault.tenantId)) {
    return unauthorized(
      vault,
      read,
      "AKV10032",
      `AKV10032: Invalid issuer. Expected one of ${issuerOf(vault.tenantId)}, found ${claims.iss}.`
    )
  }
  if (vault.revoked.has(String(claims.jti))) {
    return unauthorized(vault, read, "TokenExpired", "[TokenExpired] Error validating token: 'S2S12086'.")
  }
  vault.known.add(String(claims.jti))
  return undefined
}

/** Lets the caller pass, or says why not. */
const authenticate = (vault: Vault, header: string | undefined, read: Read): Response | undefined => {
  const token = /^Bearer (\S+)$/i.exec(header ?? "")?.[1]
  if (token === undefined) {
    return unauthorized(vault, read, "challenge", "AKV10000: Request is missing a Bearer or PoP token.")
  }
  const refusal = refuse(vault, read, verifyJwt([vault.key], token))
  read.authenticated = refusal === undefined
  return refusal
}

const denials: Readonly<Record<Denial, string>> = {
  ForbiddenByRbac:
    "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'",
  ForbiddenByPolicy: "The user, group or application does not have secrets get permission on key vault.",
  ForbiddenByFirewall: "Client address is not authorized and caller is not a trusted service."
}

const body = (vault: Vault, name: string, version: Version) => ({
  value: version.value,
  ...(version.contentType === undefined ? {} : { contentType: version.contentType }),
  id: `${vault.url}/secrets/${name}/${version.id}`,
  attributes: {
    enabled: version.enabled,
    ...(version.notBefore === undefined ? {} : { nbf: version.notBefore }),
    ...(version.expires === undefined ? {} : { exp: version.expires }),
    created: version.created,
    updated: version.updated,
    recoveryLevel: "Recoverable+Purgeable",
    recoverableDays: 90
  },
  tags: version.tags
})

/** What an authenticated caller gets. `nbf` and `exp` are advisory: only `enabled` decides. */
const answer = (vault: Vault, read: Read, apiVersion: string | null): Response => {
  if (vault.denial !== undefined) {
    return vaultError(read, 403, "Forbidden", denials[vault.denial], vault.denial)
  }
  if (apiVersion === null) return vaultError(read, 400, "BadParameter", "The parameter api-version is required.")
  if (!isSecretName(read.secretName)) {
    return vaultError(read, 400, "BadParameter", "The request URI contains an invalid name.")
  }
  const version = findVersion(vault, read.secretName, read.version)
  if (version === undefined) {
    return vaultError(
      read,
      404,
      "SecretNotFound",
      `A secret with (name/id) ${read.secretName}${read.version === undefined ? "" : `/${read.version}`} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command.`
    )
  }
  if (!version.enabled) {
    return vaultError(read, 403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
  }
  read.outcome = "ok"
  return HttpServerResponse.jsonUnsafe(body(vault, read.secretName, version))
}

/**
 * The script strikes callers whose token was accepted: a challenge is answered as ever and uses no step up, so that a
 * step strikes the same read whether the client had a token already or not.
 */
export const getSecret =
  (vault: Vault) =>
  (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Response, ConnectionBroken> =>
    Effect.suspend(() => {
      // Names of parameters may be percent-encoded, as the SDK sends them.
      const { pathname, searchParams } = new URL(request.url, vault.url)
      const [name = "", version = ""] = pathname.replace(/^\/secrets\//, "").split("/")
      const read = recordRead(vault, {
        at: vault.clock.currentTimeMillisUnsafe(),
        secretName: name,
        version: version === "" ? undefined : version,
        authenticated: false,
        fault: undefined,
        status: undefined,
        outcome: "aborted"
      })
      const refusal = authenticate(vault, request.headers.authorization, read)
      return Effect.map(
        refusal === undefined
          ? struck(vault, read, () => answer(vault, read, searchParams.get("api-version")))
          : Effect.succeed(refusal),
        (response) => {
          read.status = response.status
          return response
        }
      )
    })

const struck = (vault: Vault, read: Read, normal: () => Response): Effect.Effect<Response, ConnectionBroken> => {
  const fault = vault.scripts.secret.next()
  read.fault = fault?._tag
  if (fault?._tag === "Respond") read.outcome = "fault"
  return strike(fault, vault.clock, Effect.sync(normal))
}
