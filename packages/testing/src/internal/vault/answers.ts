// Builds the answers that all routes of the vault share: errors in its envelope, and success.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Refusal, Response } from "../engine/handler.ts"
import type { Writing } from "../engine/journal.ts"

/** Says why a request is not served, to the client and in the journal. */
export interface Problem {
  readonly status: number
  readonly code: string
  readonly message: string
  /** The code that says more. */
  readonly inner?: string
  /** For the journal: what the answer does not say. */
  readonly explanation?: string
}

/** Answers `{"error":{"code","message","innererror"?}}`. The outcome in the journal is the innermost code. */
export const vaultError = (entry: Writing, { status, code, message, inner, explanation }: Problem): Response => {
  entry.outcome = inner ?? code
  entry.explanation = explanation
  const innererror = inner === undefined ? {} : { innererror: { code: inner } }
  return HttpServerResponse.jsonUnsafe({ error: { code, message, ...innererror } }, { status })
}

export const ok = (entry: Writing, body: unknown): Response => {
  entry.outcome = "ok"
  return HttpServerResponse.jsonUnsafe(body)
}

const problemOf = (refusal: Refusal): Problem => {
  switch (refusal._tag) {
    case "NotFound":
      return { status: 404, code: "NotFound", message: "The fake has no such route." }
    case "MethodNotAllowed":
      return { status: 405, code: "MethodNotAllowed", message: `Use ${refusal.allow.join(" or ")}.` }
    case "ContentTooLarge":
      return {
        status: 413,
        code: "RequestEntityTooLarge",
        message: `The body has more than ${refusal.limit} bytes.`
      }
  }
}

export const refuse = (refusal: Refusal, entry: Writing): Response => vaultError(entry, problemOf(refusal))
