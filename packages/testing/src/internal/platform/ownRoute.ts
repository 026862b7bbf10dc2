// Builds the routes that a test adds to the APIs.
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpMethod from "effect/http/HttpMethod"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type { Call, Response, Route } from "../engine/handler.ts"
import type { Api } from "./bearer.ts"
import { onApi } from "./bearer.ts"
import type { Platform } from "./state.ts"

/** Describes what the handler of a test's own route gets. */
export interface OwnCall {
  readonly clientId: string
  readonly scopes: ReadonlySet<string>
  readonly params: Readonly<Record<string, string | undefined>>
  readonly request: HttpServerRequest.HttpServerRequest
}

/** Returns the request of the call. Its body can be read, although the engine has already read it. */
const requestOf = ({ apiBaseUrl }: Platform, { bytes, headers, method, path, query }: Call) => {
  const search = query.size === 0 ? "" : `?${query}`
  const request = HttpClientRequest.make(HttpMethod.isHttpMethod(method) ? method : "GET")(
    `${new URL(apiBaseUrl).origin}${path}${search}`,
    bytes.byteLength === 0 ? {} : { body: HttpBody.uint8Array(bytes, headers["content-type"]) }
  )
  return HttpServerRequest.fromClientRequest(HttpClientRequest.setHeaders(request, headers))
}

export const ownRoute = (
  platform: Platform,
  api: Api,
  handler: (call: OwnCall) => Response | Effect.Effect<Response>
): Route =>
  onApi(platform, api, ({ app, scopes }, call) => {
    const note = (response: Response) => {
      if (response.status >= 400) call.entry.outcome = String(response.status)
      return response
    }
    const { params } = call
    const response = handler({ clientId: app.clientId, scopes, params, request: requestOf(platform, call) })
    return Effect.isEffect(response) ? Effect.map(response, note) : note(response)
  })
