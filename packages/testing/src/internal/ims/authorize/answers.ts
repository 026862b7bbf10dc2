// Builds the answers of the authorization endpoint: redirects to the client, and pages for the person.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Call, Response } from "../../engine/handler.ts"
import { oauthError } from "../oauthError.ts"
import { errorPage } from "../pages/errorPage.ts"
import { issueCode, type Session } from "../signIns.ts"
import type { Ims } from "../state.ts"
import type { AuthorizationRequest, Redirected, Shown } from "./request.ts"

/** Sends the browser on. After a form it must be by GET (RFC 9110 §15.4.4). */
export const redirect = ({ entry, method }: Call, location: string): Response =>
  HttpServerResponse.empty({
    status: method === "POST" ? 303 : 302,
    headers: { location, "cache-control": "no-store", "x-correlation-id": entry.correlationId }
  })

/** Adds parameters to an address, which may have some already. */
export const withParameters = (uri: string, parameters: Readonly<Record<string, string | undefined>>): string => {
  const added = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) added.append(name, value)
  if (added.size === 0) return uri
  return `${uri}${uri.includes("?") ? "&" : "?"}${added}`
}

/** Sends the refusal to the client, with the issuer (RFC 9207). */
export const refuse = ({ environment, redact }: Ims, call: Call, refusal: Omit<Redirected, "_tag">): Response => {
  const { error, redirectUri, state, why } = refusal
  call.entry.outcome = error
  call.entry.explanation = redact(why)
  // RFC 6749 §4.1.2.1: no quotes and no backslash.
  const description = why.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, " ")
  return redirect(
    call,
    withParameters(redirectUri, { error, error_description: description, state, iss: environment.issuer })
  )
}

/** Shows the refusal to the person (RFC 6749 §4.1.2.1), or to a program that asks for JSON. */
export const show = ({ redact }: Ims, { entry, headers }: Call, { error, why }: Omit<Shown, "_tag">): Response => {
  entry.outcome = error
  entry.explanation = redact(why)
  return headers.accept === "application/json" ? oauthError(entry, 400, error, why) : errorPage(entry, error, why)
}

/** Sends a new code to the client, and notes the user's consent. */
export const sendCode = (ims: Ims, call: Call, request: AuthorizationRequest, session: Session): Response => {
  const { app, redirectUri, scopes, state } = request
  const { consents } = session.user
  consents.set(app.clientId, new Set([...(consents.get(app.clientId) ?? []), ...scopes]))
  call.entry.outcome = "ok"
  const code = issueCode(ims, app, session, request)
  return redirect(call, withParameters(redirectUri, { code, state, iss: ims.environment.issuer }))
}
