// Issues tokens, and checks whether a token is valid: signature, issuer, life, revocation and its app.
import { uuid } from "../engine/entropy.ts"
import { type Claims, signJwt, verifyJwt } from "../engine/jwt.ts"
import type { Application } from "./clients.ts"
import { type Ims, now } from "./state.ts"

export interface Issue {
  readonly scopes: ReadonlyArray<string>
  /** In seconds; that of the app or the profile by default. */
  readonly life?: number | undefined
  /** Claims in addition to the usual ones, or instead of them. */
  readonly claims: Claims
}

export const lifeOf = ({ profile }: Ims, app: Application): number => app.tokenLifeSeconds ?? profile.tokenLifeSeconds

/** Returns a signed token, with its claims. */
export const issueToken = (ims: Ims, app: Application, { scopes, life = lifeOf(ims, app), claims }: Issue) => {
  const seconds = Math.floor(now(ims) / 1000)
  const issued: Claims = {
    client_id: app.clientId,
    scope: ims.profile.scopeClaim === "array" ? scopes : scopes.join(" "),
    iss: ims.issuer,
    aud: [`${ims.issuer}/resources`, "bentley-api-management"],
    sub: app.clientId,
    exp: seconds + life,
    iat: seconds,
    nbf: seconds,
    jti: uuid(ims.entropy),
    ...app.claims,
    ...claims
  }
  const exp = typeof issued.exp === "number" ? issued.exp : seconds + life
  ims.issued.add(String(issued.jti), { clientId: app.clientId, expiresAt: exp * 1000 })
  return { token: signJwt(ims.keys, issued), expiresAt: exp * 1000 }
}

export interface ValidToken {
  readonly claims: Claims
  readonly app: Application
  readonly scopes: ReadonlySet<string>
  readonly jti: string
}

export interface InvalidToken {
  readonly why: string
  readonly code: string
}

/** Returns the items of a claim that is an array or a list separated by spaces. */
export const listOf = (claim: unknown): ReadonlyArray<string> =>
  Array.isArray(claim)
    ? claim.filter((item) => typeof item === "string")
    : typeof claim === "string"
      ? claim.split(" ")
      : []

/** Returns the valid token, or why it is not valid. */
export const checkToken = (ims: Ims, jwt: string): ValidToken | InvalidToken => {
  const invalid = (why: string, code = "InvalidToken") => ({ why, code })
  const claims = verifyJwt(ims.keys, jwt)
  if (claims === undefined) return invalid("The token is malformed, or its signature is not valid.")
  if (claims.iss !== ims.issuer) return invalid("The token was issued by another issuer.")
  const seconds = now(ims) / 1000
  if (typeof claims.exp !== "number" || claims.exp <= seconds) return invalid("The token has expired.")
  if (typeof claims.nbf !== "number" || claims.nbf > seconds) return invalid("The token is not valid yet.")
  const jti = String(claims.jti)
  const issued = ims.issued.get(jti)
  if (issued === undefined) return invalid("The token was issued before the last reset.")
  if (issued.isRevoked) return invalid("The token was revoked.")
  const app = ims.apps.get(String(claims.client_id))
  return app === undefined || !app.isEnabled
    ? invalid("The client is not registered.", "UnknownClient")
    : { claims, app, jti, scopes: new Set(listOf(claims.scope)) }
}
