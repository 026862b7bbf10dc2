// Serves the page. Its policy allows nothing but its own files, and no page may frame it.
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { refuse } from "../admin/guard.ts"
import { fileAt } from "./files.ts"

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'"
].join("; ")

const headers = {
  // A new version of the fake may be at the same address.
  "cache-control": "no-cache",
  "content-security-policy": policy,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // The address of the page contains the authorization code when a sign-in returns to it.
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/** Answers a request for a file of the page. */
export const servePage = ({
  method,
  url
}: HttpServerRequest.HttpServerRequest): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const path = url.split("?")[0] ?? ""
  if (method !== "GET" && method !== "HEAD") {
    return Effect.succeed(refuse(405, `${path} is a file of the page. Use GET.`, { allow: "GET, HEAD" }))
  }
  return Effect.map(fileAt(path), (file) =>
    file === undefined
      ? refuse(404, `The page has no file ${path}. It is served at /.`)
      : HttpServerResponse.text(file.text, { contentType: file.type, headers })
  )
}
