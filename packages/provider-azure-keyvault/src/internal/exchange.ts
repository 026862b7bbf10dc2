// Records the response to each request of the SDK, because the SDK's errors may lack the status: MSAL repeats a failure
// without its status, and the errors of a managed identity hide it.
import type { HttpClient } from "@azure/core-rest-pipeline"
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import { chainOf, codeOf, connectionCode } from "./sdkError.ts"

/** One request of the SDK and its response. */
export interface Exchange {
  /** Whether the request went to Entra ID; otherwise a credential sent it to a metadata service. */
  readonly atEntra: boolean
  /** Absent if there was no complete response. */
  readonly status: number | undefined
  readonly retryAfter: Duration.Duration | undefined
  /** The code of Entra ID (`AADSTS…`), or of the connection. */
  readonly code: string | undefined
}

const maxRetryAfter = Duration.minutes(15)

const retryAfterOf = (header: string | undefined, now: number): Duration.Duration | undefined => {
  const parsed = Headers.parseRetryAfter(header ?? "")
  return Result.isSuccess(parsed)
    ? Duration.min(Headers.retryAfterDelay(parsed.success, now), maxRetryAfter)
    : undefined
}

export const isOutage = (status: number): boolean => status === 408 || status === 429 || status >= 500

/** Paths of the token endpoint and of discovery. */
const entraPath = /\/oauth2\/v2\.0\/|\/\.well-known\/|\/discovery\//

/** Returns a client that records: each exchange is added to the list that is current when its request is sent. */
export const recorded = (
  client: HttpClient,
  options: {
    readonly exchanges: () => Array<Exchange> | undefined
    readonly now: () => number
    /** The time limit of requests that have none, in milliseconds: MSAL does not pass on the abort signal. */
    readonly timeout?: number
  }
): HttpClient => ({
  sendRequest: (request) => {
    const exchanges = options.exchanges()
    const atEntra = entraPath.test(request.url)
    if (request.timeout === 0 && options.timeout !== undefined) request.timeout = options.timeout
    return client.sendRequest(request).then(
      (response) => {
        exchanges?.push({
          atEntra,
          status: response.status,
          retryAfter: retryAfterOf(response.headers.get("retry-after"), options.now()),
          code: codeOf(/\bAADSTS\d{4,8}\b/, response.bodyAsText ?? "")
        })
        return response
      },
      (error: unknown) => {
        exchanges?.push({ atEntra, status: undefined, retryAfter: undefined, code: connectionCode(chainOf(error)) })
        return Promise.reject(error)
      }
    )
  }
})
