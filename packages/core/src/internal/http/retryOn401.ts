// When a 401 of an API is worth another token and a second try.
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { readText } from "./readText.ts"

/** Whether the body can be sent a second time; a stream can't. */
export const isReplayable = ({ body }: HttpClientRequest.HttpClientRequest): boolean =>
  body._tag === "Empty" || body._tag === "Uint8Array" || body._tag === "FormData"

/** Codes of 401s that another token can't cure: none was sent, or the app is not known to the API. */
const incurable = /"(HeaderNotFound|UnknownClient)"/i

/** Without the headers that a web response refuses; only a client that does not read them off the wire has such. */
const writable = (headers: Headers.Headers) =>
  Object.entries(headers).filter(([, value]) => /^[\t\x20-\x7E\x80-\xFF]*$/.test(value))

/** Whether another token may help, and the response with its body still to be read. */
export const examine = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<
  { readonly response: HttpClientResponse.HttpClientResponse; readonly isCurable: boolean },
  HttpClientError.HttpClientError
> =>
  Effect.map(readText(response), ({ text }) => ({
    response: HttpClientResponse.fromWeb(
      response.request,
      new Response(text, { status: response.status, headers: writable(response.headers) })
    ),
    isCurable: !incurable.test(text)
  }))
