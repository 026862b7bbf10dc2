// POST /connect/token: the client credentials grant (RFC 6749 §4.4) as IMS answers it.
import { json, oauthError } from "./answer.ts"
import { authenticatedForm } from "./clientAuthentication.ts"
import { changed } from "./engine/applyFault.ts"
import { uuid } from "./engine/entropy.ts"
import { type Claims, signJwt } from "./engine/jwt.ts"
import { type Application, type Entry, now, type State } from "./state.ts"

const issue = (state: State, app: Application, scopes: ReadonlyArray<string>, claims: Claims, entry: Entry) => {
  const { profile } = state
  const seconds = Math.floor(now(state) / 1000)
  const life = app.tokenLifeSeconds ?? profile.tokenLifeSeconds
  const jti = uuid(state.entropy)
  state.issued.set(jti, app.clientId)
  entry.outcome = "ok"
  const token = signJwt(state.keys, {
    client_id: app.clientId,
    scope: profile.scopeClaim === "array" ? scopes : scopes.join(" "),
    iss: state.issuer,
    aud: [`${state.issuer}/resources`, "bentley-api-management"],
    sub: app.clientId,
    exp: seconds + life,
    iat: seconds,
    nbf: seconds,
    jti,
    ...app.claims,
    ...claims
  })
  return json(
    entry,
    200,
    changed(
      {
        access_token: token,
        token_type: "Bearer",
        expires_in: life,
        ...(profile.scopeInResponse ? { scope: scopes.join(" ") } : {})
      },
      app.response
    ),
    { "cache-control": "no-store", pragma: "no-cache" }
  )
}

export const tokenEndpoint = (state: State) =>
  authenticatedForm(state, (app, form, entry, fault) => {
    if (form.grant_type === undefined) return oauthError(entry, 400, "invalid_request", "The request lacks grant_type.")
    if (form.grant_type !== "client_credentials") {
      return oauthError(entry, 400, "unsupported_grant_type", "The grant type is not supported.")
    }
    const scopes = form.scope?.split(" ") ?? [...app.scopes]
    return scopes.every((scope) => app.scopes.has(scope) && !state.profile.refusedScopes.includes(scope))
      ? issue(state, app, scopes, fault?._tag === "Claims" ? fault.claims : {}, entry)
      : oauthError(entry, 400, "invalid_scope", "The requested scope is invalid, unknown, or malformed.")
  })
