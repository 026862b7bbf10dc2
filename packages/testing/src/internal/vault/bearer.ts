// Checks the token of a request to the vault. A request without a token that the vault accepts gets the challenge, which
// says where a token comes from.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Call, Response } from "../engine/handler.ts"
import { vaultError } from "./answers.ts"
import { issuerOf } from "./tokens.ts"
import type { Vault } from "./vault.ts"

interface Refused {
  /** What the journal says. */
  readonly outcome: string
  readonly explanation: string
  readonly message: string
}

const unauthorized = (vault: Vault, { entry }: Call, { outcome, explanation, message }: Refused): Response => {
  const { authorization, resource } = vault.challenge
  const error = outcome === "challenge" ? "" : `, error="invalid_token", error_description="${message}"`
  const response = vaultError(entry, { status: 401, code: "Unauthorized", message, explanation })
  entry.outcome = outcome
  return HttpServerResponse.setHeader(
    response,
    "www-authenticate",
    `Bearer authorization="${authorization}", resource="${resource}"${error}`
  )
}

const whyRefused = (vault: Vault, token: string, { entry }: Call): Refused | undefined => {
  const read = vault.tokens.read(token)
  if (read === undefined) {
    return {
      outcome: "InvalidToken",
      explanation: "The token is malformed, or its signature is not valid.",
      message: "[BearerReadAccessTokenFailed] Error validating token: 'S2S12005'."
    }
  }
  const { aud, iss, appid } = read.claims
  if (typeof appid === "string") entry.clientId = appid
  if (aud !== vault.resource) {
    return {
      outcome: "AKV10022",
      explanation: "The token has another audience than the vault.",
      message: `AKV10022: Invalid audience. Expected ${vault.resource}, found: ${aud}.`
    }
  }
  const issuer = issuerOf(vault.tenantId)
  if (iss !== issuer) {
    return {
      outcome: "AKV10032",
      explanation: "The token is of another tenant than the vault.",
      message: `AKV10032: Invalid issuer. Expected one of ${issuer}, found ${iss}.`
    }
  }
  return read.revoked
    ? {
        outcome: "TokenExpired",
        explanation: "The token was revoked.",
        message: "[TokenExpired] Error validating token: 'S2S12086'."
      }
    : undefined
}

/**
 * Returns the challenge, or nothing if the vault accepts the token.
 *
 * This is the gate of each route: a challenge uses no step of a script, so that a step is applied to the same request
 * whether the client had a token already or not.
 */
export const authenticate = (vault: Vault, call: Call): Response | undefined => {
  const token = /^Bearer (\S+)$/i.exec(call.headers.authorization ?? "")?.[1]
  const refused: Refused | undefined =
    token === undefined
      ? {
          outcome: "challenge",
          explanation: "The request has no token.",
          message: "AKV10000: Request is missing a Bearer or PoP token."
        }
      : whyRefused(vault, token, call)
  return refused === undefined ? undefined : unauthorized(vault, call, refused)
}
