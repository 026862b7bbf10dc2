// Redirects of API calls. They are followed here, because runtimes differ in whether fetch drops the token and the body
// when it crosses to another origin.
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"

type Request = HttpClientRequest.HttpClientRequest

export const maxRedirects = 10

/** Returns the origin that is connected to. For a `blob:` URL, `URL.origin` would be the origin inside of it. */
export const originOf = ({ host, protocol }: URL): string => `${protocol}//${host}`

/** Returns whether the body can be sent a second time; a stream and a raw body can't. */
export const isReplayable = ({ body }: Request): boolean =>
  body._tag === "Empty" || body._tag === "Uint8Array" || body._tag === "FormData"

const becomesGet = (status: number, method: string): boolean =>
  status === 303 ? method !== "GET" && method !== "HEAD" : status <= 302 && method === "POST"

/** Headers that describe a body (Fetch standard, "request-body-header name"). */
const bodyHeaders = ["content-encoding", "content-language", "content-location", "content-type", "content-length"]

/** Headers that hold credentials of one origin. */
const originHeaders = ["cookie", "proxy-authorization"]

/**
 * Returns the request that follows the redirect, by the rules of fetch. Returns undefined if the response is not a
 * redirect, if its `Location` is missing, has user info or is not at an allowed origin, or if the body can't be sent again.
 */
export const followUp = (
  request: Request,
  { headers: { location }, status }: HttpClientResponse.HttpClientResponse,
  allowed: ReadonlyArray<string>
): Request | undefined => {
  const from = Option.getOrUndefined(HttpClientRequest.toUrl(request))
  if (location === undefined || location === "" || from === undefined || ![301, 302, 303, 307, 308].includes(status))
    return undefined
  const to = URL.parse(location, from)
  // The text is compared, so user info does not pass: some clients make a header of it that replaces the token.
  if (to === null || !allowed.some((origin) => to.href.startsWith(`${origin}/`))) return undefined
  const isGet = becomesGet(status, request.method)
  if (!isGet && !isReplayable(request)) return undefined
  const dropped = [...(isGet ? bodyHeaders : []), ...(originOf(to) === originOf(from) ? [] : originHeaders)]
  to.hash = ""
  return HttpClientRequest.makeWith(
    isGet ? "GET" : request.method,
    // Keeps the query as the server sent it; `setUrl` would encode it again.
    to.href,
    UrlParams.empty,
    Option.none(),
    Headers.removeMany(request.headers, dropped),
    isGet ? HttpBody.empty : request.body
  )
}
