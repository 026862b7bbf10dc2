// Issues tokens, and checks whether a token is valid: signature, issuer, life, revocation and its app.
import { uuid } from "../engine/entropy.ts"
import type { Call } from "../engine/handler.ts"
import { type Claims, signJwt, verifyJwt } from "../engine/jwt.ts"
import type { Application } from "./clients.ts"
import { type SignIn, whyEnded } from "./signIns.ts"
import { type Ims, now } from "./state.ts"
import { claimsOf, type User } from "./users.ts"

export interface Issue {
  readonly scopes: ReadonlyArray<string>
  /** In seconds; that of the app or the profile by default. */
  readonly life?: number | undefined
  /** Claims in addition to the usual ones, or instead of them. */
  readonly claims: Claims
  /** The sign-in of a user; absent for a token of the app itself. */
  readonly signIn?: SignIn | undefined
}

export const lifeOf = ({ profile }: Ims, app: Application): number => app.tokenLifeSeconds ?? profile.tokenLifeSeconds

/** Returns a signed token, with its claims. */
export const issueToken = (ims: Ims, app: Application, issue: Issue) => {
  const { claims, life = lifeOf(ims, app), scopes, signIn } = issue
  const seconds = Math.floor(now(ims) / 1000)
  const issued: Claims = {
    client_id: app.clientId,
    scope: ims.profile.scopeClaim === "array" ? scopes : scopes.join(" "),
    iss: ims.environment.issuer,
    aud: [`${ims.environment.issuer}/resources`, "bentley-api-management"],
    ...(signIn === undefined ? { sub: app.clientId } : claimsOf(signIn.user, new Set(scopes))),
    exp: seconds + life,
    iat: seconds,
    nbf: seconds,
    jti: uuid(ims.entropy),
    ...app.claims,
    ...claims
  }
  const exp = typeof issued.exp === "number" ? issued.exp : seconds + life
  ims.issued.add(String(issued.jti), { clientId: app.clientId, signIn, isRevoked: false }, exp * 1000)
  return { token: signJwt(ims.keys, issued), expiresAt: exp * 1000 }
}

export interface ValidToken {
  readonly claims: Claims
  readonly app: Application
  /** Whose token it is; absent if it is the app's own. */
  readonly user: User | undefined
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

/** Returns the token of the header `Authorization` (RFC 6750 §2.1); empty if the header has no token. */
export const bearerOf = ({ headers }: Pick<Call, "headers">): string =>
  /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(headers.authorization ?? "")?.[1] ?? ""

/** Returns the valid token, or why it is not valid. */
export const checkToken = (ims: Ims, jwt: string): ValidToken | InvalidToken => {
  const invalid = (why: string, code = "InvalidToken") => ({ why, code })
  const claims = verifyJwt(ims.keys, jwt)
  if (claims === undefined) return invalid("The token is malformed, or its signature is not valid.")
  if (claims.iss !== ims.environment.issuer) return invalid("The token was issued by another issuer.")
  const seconds = now(ims) / 1000
  if (typeof claims.exp !== "number" || claims.exp <= seconds) return invalid("The token has expired.")
  if (typeof claims.nbf !== "number" || claims.nbf > seconds) return invalid("The token is not valid yet.")
  const jti = String(claims.jti)
  const issued = ims.issued.get(jti)
  if (issued === undefined) return invalid("The token was issued before the last reset.")
  if (issued.isRevoked) return invalid("The token was revoked.")
  const ended = issued.signIn && whyEnded(ims, issued.signIn)
  if (ended !== undefined) return invalid(ended)
  const app = ims.apps.get(String(claims.client_id))
  return app === undefined || !app.isEnabled
    ? invalid("The client is not registered.", "UnknownClient")
    : { claims, app, user: issued.signIn?.user, jti, scopes: new Set(listOf(claims.scope)) }
}

/** Rejects the token from now on. */
export const revokeToken = (ims: Ims, jti: string): void => {
  const issued = ims.issued.get(jti)
  if (issued !== undefined) issued.isRevoked = true
}

/** Returns a signed id token (OpenID Connect Core 1.0 §2). The nonce is only in the first one of a sign-in. */
export const issueIdToken = (ims: Ims, app: Application, signIn: SignIn, nonce: string | undefined): string => {
  const seconds = Math.floor(now(ims) / 1000)
  return signJwt(ims.keys, {
    iss: ims.environment.issuer,
    aud: app.clientId,
    exp: seconds + lifeOf(ims, app),
    iat: seconds,
    auth_time: signIn.authTime,
    ...(nonce === undefined ? {} : { nonce }),
    ...claimsOf(signIn.user, signIn.scopes)
  })
}
