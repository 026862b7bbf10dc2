// What the browser says about a request (Fetch Metadata): which site sent it, and what for. No page can set these
// headers.
import type * as Headers from "effect/http/Headers"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"

/** Returns whether a page of this origin sent the request. `Origin` decides for browsers without Fetch Metadata. */
export const isSameOrigin = (headers: Headers.Headers, origin: string): boolean => {
  const site = headers["sec-fetch-site"]
  return site === undefined ? headers.origin === origin : site === "same-origin"
}

/** Returns whether the browser only prepares a navigation that may never happen. */
export const isPrefetch = (headers: Headers.Headers): boolean =>
  /\bprefetch\b/i.test(`${headers["sec-purpose"] ?? ""} ${headers.purpose ?? ""} ${headers["x-moz"] ?? ""}`)

/** Returns whether the request may load a page in the window of the browser: not a frame, an image or a script. */
export const isTopLevel = (headers: Headers.Headers): boolean => {
  const destination = headers["sec-fetch-dest"]
  return destination === undefined || destination === "document"
}

/** Returns whether a person opens a page, so that a redirect to the sign-in makes sense. */
export const isNavigation = ({ headers, method }: HttpServerRequest.HttpServerRequest): boolean => {
  if (method !== "GET" || isPrefetch(headers)) return false
  const mode = headers["sec-fetch-mode"]
  return mode === undefined ? /\btext\/html\b/i.test(headers.accept ?? "") : mode === "navigate" && isTopLevel(headers)
}

/**
 * Returns whether a page of another origin sent the request, as far as the browser says so. `SameSite=Lax` stops other
 * sites, but not another host of the same site. That a person follows a link from elsewhere is usual.
 */
export const isForeign = (request: HttpServerRequest.HttpServerRequest): boolean => {
  const site = request.headers["sec-fetch-site"]
  return site !== undefined && site !== "same-origin" && site !== "none" && !isNavigation(request)
}
