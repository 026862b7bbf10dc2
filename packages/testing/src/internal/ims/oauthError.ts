// Builds the errors of IMS, in the shape of RFC 6749 §5.2.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { json } from "../engine/answer.ts"
import type { Host, Response } from "../engine/handler.ts"
import type { Writing } from "../engine/journal.ts"

/** RFC 6749 §5.1. */
export const noStore = { "cache-control": "no-store", pragma: "no-cache" }

export const oauthError = (
  entry: Writing,
  status: number,
  error: string,
  description: string,
  headers?: Readonly<Record<string, string>>
): Response => {
  entry.outcome = error
  return json(entry, status, { error_description: description, error }, { ...noStore, ...headers })
}

/** Says what is wrong with the request itself. */
export const invalidRequest = (entry: Writing, description: string): Response =>
  oauthError(entry, 400, "invalid_request", description)

/** Refuses a code or a refresh token. The journal says why; a client learns only that the grant is not valid. */
export const invalidGrant = (entry: Writing, explanation: string): Response => {
  entry.explanation = explanation
  return oauthError(entry, 400, "invalid_grant", "The grant is invalid, expired or revoked.")
}

export const host: Host = {
  name: "IMS",
  refuse: (refusal, entry) => {
    switch (refusal._tag) {
      case "NotFound":
        entry.outcome = "not_found"
        entry.explanation = "The fake IMS does not serve this path. Paths match exactly: case and slashes count."
        return HttpServerResponse.empty({ status: 404, headers: { "x-correlation-id": entry.correlationId } })
      case "MethodNotAllowed":
        return oauthError(entry, 405, "invalid_request", `The method must be ${refusal.allow.join(" or ")}.`)
      case "ContentTooLarge":
        return oauthError(entry, 413, "invalid_request", `The body is larger than ${refusal.limit} bytes.`)
    }
  }
}
