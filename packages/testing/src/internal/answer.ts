// Answers in the words of the platform: OAuth errors at the token endpoint, envelopes at the APIs.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Entry } from "./state.ts"

export const json = (
  entry: Entry,
  status: number,
  body: unknown,
  headers?: Record<string, string>
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(body, { status, headers: { "x-correlation-id": entry.correlationId, ...headers } })

/** RFC 6749 §5.2. */
export const oauthError = (entry: Entry, status: number, error: string, description: string) => {
  entry.outcome = error
  return json(
    entry,
    status,
    { error_description: description, error },
    { "cache-control": "no-store", ...(status === 401 ? { "www-authenticate": 'Basic realm="IMS"' } : {}) }
  )
}

/** `{"error":{"code","message","details"?}}` of the APIs. */
export const apiError = (
  entry: Entry,
  status: number,
  code: string,
  message: string,
  details?: ReadonlyArray<{ readonly code: string; readonly message: string }>
) => {
  entry.outcome = code
  return json(entry, status, { error: { code, message, ...(details === undefined ? {} : { details }) } })
}
