// Who may use the admin API: who has the token, and no page of another site.
import { createHash, timingSafeEqual } from "node:crypto"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"

export const refuse = (
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse => HttpServerResponse.jsonUnsafe({ message }, { status, headers })

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

/** Returns the answer that says why the request may not pass, if it may not. */
export const guard = (
  token: Redacted.Redacted | undefined,
  { headers }: HttpServerRequest.HttpServerRequest
): HttpServerResponse.HttpServerResponse | undefined => {
  const given = digest(headers.authorization ?? "")
  if (token !== undefined && !timingSafeEqual(given, digest(`Bearer ${Redacted.value(token)}`))) {
    return refuse(401, "The admin API requires the header Authorization: Bearer <admin token>.", {
      "www-authenticate": 'Bearer realm="fake-ims"'
    })
  }
  // A page of another site can send a form or a text without a preflight request, but not JSON. Some clients name a type
  // without a body too.
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0
  const contentType = headers["content-type"]?.split(";")[0]?.trim().toLowerCase()
  if (hasBody && contentType !== "application/json") {
    return refuse(415, "The body must be sent as Content-Type: application/json.")
  }
  return headers.origin !== undefined && URL.parse(headers.origin)?.host !== headers.host
    ? refuse(403, `The admin API does not serve pages of other sites (Origin: ${headers.origin}).`)
    : undefined
}
