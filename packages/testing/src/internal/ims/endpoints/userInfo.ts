// Serves the claims of the user whose token it is (OpenID Connect Core 1.0 §5.3).
import { json } from "../../engine/answer.ts"
import type { Call, Response, Route } from "../../engine/handler.ts"
import { host, noStore, oauthError } from "../oauthError.ts"
import { type Ims, pathsOf } from "../state.ts"
import { bearerOf, checkToken } from "../tokens.ts"
import { claimsOf } from "../users.ts"

/** Answers with the challenge of RFC 6750 §3. Without a token it has no error code (§3.1). */
const challenge = (call: Call, status: number, error: string, why: string): Response => {
  call.entry.explanation = why
  const code = call.headers.authorization === undefined ? "" : `, error="${error}", error_description="${why}"`
  return oauthError(call.entry, status, error, why, { "www-authenticate": `Bearer realm="IMS"${code}` })
}

const serve =
  (ims: Ims) =>
  (call: Call): Response => {
    const { entry } = call
    if (call.headers.authorization === undefined) {
      return challenge(call, 401, "invalid_token", "The request has no Authorization header.")
    }
    const token = checkToken(ims, bearerOf(call))
    if (!("app" in token)) return challenge(call, 401, "invalid_token", token.why)
    entry.clientId = token.app.clientId
    if (token.user === undefined) return challenge(call, 403, "insufficient_scope", "The token is not that of a user.")
    if (!token.scopes.has("openid"))
      return challenge(call, 403, "insufficient_scope", "The token lacks the scope openid.")
    entry.outcome = "ok"
    return json(entry, 200, claimsOf(token.user, token.scopes), noStore)
  }

export const userInfo = (ims: Ims): ReadonlyArray<Route> =>
  (["GET", "POST"] as const).map((method) => ({
    host,
    cors: true,
    method,
    paths: pathsOf("/connect/userinfo", ims.environment.userinfoEndpoint),
    serve: serve(ims)
  }))
