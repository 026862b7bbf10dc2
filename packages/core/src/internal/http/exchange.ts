// One HTTP exchange with IMS: a request, and the complete response within the limit of its size.
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { TransportKind } from "../../TokenError.ts"
import { discard, readText } from "./readText.ts"

export interface Complete {
  readonly status: number
  readonly headers: Headers.Headers
  readonly body: string
}

/** Why there is no complete response. `cause` is a foreign error, which may contain the request with a secret. */
export type Problem =
  | {
      readonly _tag: "Transport"
      readonly cause: unknown
      /** Where the request failed, if the cause does not say it. */
      readonly fallback: TransportKind
      readonly status?: number
    }
  | { readonly _tag: "Followed"; readonly url: string; readonly status: number; readonly headers: Headers.Headers }
  | { readonly _tag: "TooLarge"; readonly status: number }

/** Status 0 is that of a redirect in a browser. */
export const isRedirect = (status: number): boolean => status === 0 || (status >= 300 && status < 400)

const fail = (problem: Problem) => Effect.fail(problem)

/** Sends the request and reads the response, without a time limit. The body of a redirect is not read. */
export const exchange = Effect.fnUntraced(function* (
  client: HttpClient.HttpClient,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<Complete, Problem> {
  const response = yield* client.execute(request).pipe(
    // The given client may turn a status into a failure, which contains the response.
    Effect.catchIf(
      (error) => error.reason._tag === "StatusCodeError",
      (error) => (error.response === undefined ? Effect.fail(error) : Effect.succeed(error.response))
    ),
    Effect.catch((error) => fail({ _tag: "Transport", cause: error.reason.cause, fallback: "other" }))
  )
  const { headers, status, url } = response
  if (url !== "" && url !== request.url) {
    yield* discard(response)
    return yield* fail({ _tag: "Followed", url, status, headers })
  }
  if (isRedirect(status)) {
    yield* discard(response)
    return { status, headers, body: "" }
  }
  const { isCut, text } = yield* Effect.catch(readText(response), (error) =>
    fail({ _tag: "Transport", cause: error.reason.cause, fallback: "reset", status })
  )
  return isCut ? yield* fail({ _tag: "TooLarge", status }) : { status, headers, body: text }
})
