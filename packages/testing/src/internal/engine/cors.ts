// Lets pages of other origins call the fake (CORS, Fetch Standard §3.2): only those that it knows, and never with cookies.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Response } from "./handler.ts"
import type { Writing } from "./journal.ts"

/** Returns whether pages of this origin may read the answers. */
export type AllowsOrigin = (origin: string) => boolean

type Headers = Readonly<Record<string, string | undefined>>

const exposed = "retry-after, www-authenticate, x-correlation-id"

const unknown = (origin: string): string =>
  `A browser does not show this answer to a page of ${origin}, because no single-page app has a redirect address there.`

/** Returns whether the request asks what a page may send later. */
export const isPreflight = (method: string, headers: Headers): boolean =>
  method === "OPTIONS" && headers.origin !== undefined && headers["access-control-request-method"] !== undefined

/** Answers a preflight request. */
export const preflight = (
  entry: Writing,
  headers: Headers,
  methods: ReadonlyArray<string>,
  allows: AllowsOrigin
): Response => {
  const { origin = "" } = headers
  entry.outcome = "preflight"
  if (!allows(origin)) {
    entry.explanation = unknown(origin)
    return HttpServerResponse.empty({ status: 403, headers: { vary: "origin" } })
  }
  return HttpServerResponse.empty({
    status: 204,
    headers: {
      "access-control-allow-origin": origin,
      "access-control-allow-methods": methods.join(", "),
      "access-control-allow-headers": headers["access-control-request-headers"] ?? "",
      "access-control-max-age": "600",
      vary: "origin"
    }
  })
}

/** Adds to an answer whether the page that sent the request may read it. */
export const withCors =
  (entry: Writing, { origin }: Headers, allows: AllowsOrigin) =>
  (response: Response): Response => {
    const { vary } = response.headers
    const varying = HttpServerResponse.setHeader(response, "vary", vary === undefined ? "origin" : `${vary}, origin`)
    if (origin === undefined) return varying
    if (!allows(origin)) {
      entry.explanation ??= unknown(origin)
      return varying
    }
    return HttpServerResponse.setHeaders(varying, {
      "access-control-allow-origin": origin,
      "access-control-expose-headers": exposed
    })
  }
