// Builds the errors of the APIs: `{"error":{"code","message","details"?}}`.
import { json } from "../engine/answer.ts"
import type { Host, Response } from "../engine/handler.ts"
import type { Writing } from "../engine/journal.ts"

export interface Detail {
  readonly code: string
  readonly message: string
  readonly target?: string
}

export const apiError = (
  entry: Writing,
  status: number,
  code: string,
  message: string,
  { details, headers }: { readonly details?: ReadonlyArray<Detail>; readonly headers?: Record<string, string> } = {}
): Response => {
  entry.outcome = code
  return json(entry, status, { error: { code, message, ...(details === undefined ? {} : { details }) } }, headers)
}

export const host: Host = {
  name: "API",
  refuse: (refusal, entry) => {
    switch (refusal._tag) {
      case "NotFound":
        entry.explanation = "The fake does not serve this path. Paths match exactly: case and slashes count."
        return apiError(entry, 404, "ResourceNotFound", "The fake does not serve this path.")
      case "MethodNotAllowed":
        return apiError(entry, 405, "MethodNotAllowed", `The method must be ${refusal.allow.join(" or ")}.`)
      case "ContentTooLarge":
        return apiError(entry, 413, "RequestEntityTooLarge", `The body is larger than ${refusal.limit} bytes.`)
    }
  }
}
