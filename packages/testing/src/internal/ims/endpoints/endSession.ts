// Serves the end session endpoint (OpenID Connect RP-Initiated Logout 1.0).

import type { Call, Response, Route } from "../../engine/handler.ts"
import { verifyJwt } from "../../engine/jwt.ts"
import { redirect, show, withParameters } from "../authorize/answers.ts"
import { sessionOf, withoutSession } from "../authorize/cookie.ts"
import { isSameOrigin } from "../authorize/sameOrigin.ts"
import { host } from "../oauthError.ts"
import { signedOutPage, signOutPage } from "../pages/signOutPages.ts"
import { type Ims, pathsOf } from "../state.ts"

interface Hint {
  readonly clientId: string
  readonly userId: string
}

/** Reads an id token of this issuer. One that has expired is still a hint (§2). */
const readHint = (ims: Ims, idToken: string): Hint | undefined => {
  const claims = verifyJwt(ims.keys, idToken)
  return claims?.iss === ims.environment.issuer && typeof claims.aud === "string" && typeof claims.sub === "string"
    ? { clientId: claims.aud, userId: claims.sub }
    : undefined
}

const repeated = (params: URLSearchParams): boolean => new Set(params.keys()).size < params.size

const endSession = (ims: Ims, call: Call, params: URLSearchParams): Response => {
  const refused = (why: string) => show(ims, call, { error: "invalid_request", why })
  const value = (name: string) => params.get(name) || undefined
  if (repeated(params)) return refused("A parameter is repeated.")
  const idToken = value("id_token_hint")
  const hint = idToken === undefined ? undefined : readHint(ims, idToken)
  if (idToken !== undefined && hint === undefined)
    return refused("The id_token_hint is not an id token of this issuer.")
  const clientId = value("client_id") ?? hint?.clientId
  if (hint !== undefined && clientId !== hint.clientId) {
    return refused("The id_token_hint was issued to another client.")
  }
  const app = clientId === undefined ? undefined : ims.apps.get(clientId)
  if (clientId !== undefined && app === undefined) return refused("The client_id is not registered.")
  call.entry.clientId = app?.clientId
  const uri = value("post_logout_redirect_uri")
  if (uri !== undefined && app === undefined) {
    return refused("The request lacks id_token_hint or client_id, so its post_logout_redirect_uri can't be checked.")
  }
  if (uri !== undefined && app?.postLogoutRedirectUris.includes(uri) !== true) {
    return refused(
      `The post_logout_redirect_uri ${uri} is not registered for this app. Addresses are compared as text.`
    )
  }
  const session = sessionOf(ims, call)
  const isConfirmed = call.method === "POST" && value("confirm") === "yes" && isSameOrigin(ims, call)
  if (session !== undefined && session.user.id !== hint?.userId && !isConfirmed) {
    call.entry.outcome = "sign_out"
    return signOutPage(call.entry, params, session.user)
  }
  call.entry.outcome = "ok"
  const answer =
    uri === undefined ? signedOutPage(call.entry) : redirect(call, withParameters(uri, { state: value("state") }))
  return withoutSession(ims, call, answer)
}

export const endSessionRoutes = (ims: Ims): ReadonlyArray<Route> => [
  {
    host,
    method: "GET",
    paths: pathsOf("/connect/endsession", ims.environment.endSessionEndpoint),
    serve: (call) => endSession(ims, call, call.query)
  },
  {
    host,
    method: "POST",
    paths: pathsOf("/connect/endsession", ims.environment.endSessionEndpoint),
    serve: (call) => endSession(ims, call, new URLSearchParams(call.body))
  }
]
