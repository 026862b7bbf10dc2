// Whether a token is good: signature, issuer, life, revocation and the app behind it.
import { type Claims, verifyJwt } from "./engine/jwt.ts"
import { type Application, now, type State } from "./state.ts"

export interface ValidToken {
  readonly claims: Claims
  readonly app: Application
  readonly scopes: ReadonlySet<string>
  readonly jti: string
}

export const list = (claim: unknown): ReadonlyArray<string> =>
  Array.isArray(claim)
    ? claim.filter((item) => typeof item === "string")
    : typeof claim === "string"
      ? claim.split(" ")
      : []

/** The token, or why it is none that the platform honours. */
export const checkToken = (state: State, jwt: string): ValidToken | { readonly why: string; readonly code: string } => {
  const refuse = (why: string, code = "InvalidToken") => ({ why, code })
  const claims = verifyJwt(state.keys, jwt)
  if (claims === undefined) return refuse("The token is malformed, or its signature is not valid.")
  if (claims.iss !== state.issuer) return refuse("The token is of another issuer.")
  const seconds = now(state) / 1000
  if (typeof claims.exp !== "number" || claims.exp <= seconds) return refuse("The token has expired.")
  if (typeof claims.nbf !== "number" || claims.nbf > seconds) return refuse("The token is not valid yet.")
  const jti = String(claims.jti)
  if (state.revoked.has(jti)) return refuse("The token was revoked.")
  const app = state.apps.get(String(claims.client_id))
  return app === undefined || !app.enabled
    ? refuse("The client is not registered.", "UnknownClient")
    : { claims, app, jti, scopes: new Set(list(claims.scope)) }
}
