// Checks what each API checks first: the bearer token (RFC 6750), its scopes, and the version that `Accept` names.
import type * as Effect from "effect/Effect"
import type { Call, Response, Route } from "../engine/handler.ts"
import type { Method, Path } from "../engine/router.ts"
import { bearerOf, checkToken, listOf, type ValidToken } from "../ims/tokens.ts"
import { apiError, host } from "./apiError.ts"
import type { Platform } from "./state.ts"

const challenge = (...parameters: ReadonlyArray<string>) => ({
  "www-authenticate": `Bearer ${['realm="iTwin Platform"', ...parameters].join(", ")}`
})

/** Answers 401, with the error code of RFC 6750 §3.1. */
const unauthorized = ({ entry }: Call, code: string, message: string) => {
  entry.explanation = message
  return apiError(entry, 401, "Unauthorized", "Unauthorized. Request access token is missing or invalid.", {
    details: [{ code, message }],
    headers: challenge('error="invalid_token"', `error_description="${message}"`)
  })
}

/** Notes in the entry which client sent the request, before a fault can answer it. */
const noteClient =
  ({ ims }: Platform) =>
  (call: Call): undefined => {
    const token = checkToken(ims, bearerOf(call))
    if ("app" in token) call.entry.clientId = token.app.clientId
  }

/** Returns the caller's valid token, or the answer that says why the caller is not known. */
const authenticate = ({ ims }: Platform, call: Call): ValidToken | Response => {
  const { entry, headers, query } = call
  if (headers.authorization === undefined) {
    if (query.has("access_token")) entry.explanation = "The platform does not read tokens from the query."
    // RFC 6750 §3: without an error code, because the request contains no authentication.
    return apiError(entry, 401, "HeaderNotFound", "Header Authorization was not found in the request. Access denied.", {
      headers: challenge()
    })
  }
  const token = checkToken(ims, bearerOf(call))
  if (!("app" in token)) return unauthorized(call, token.code, token.why)
  if (!listOf(token.claims.aud).includes("bentley-api-management")) {
    return unauthorized(call, "InvalidToken", "The token is for another audience.")
  }
  return token
}

/** Returns the versions that `Accept` names: `application/vnd.bentley.itwin-platform.v2+json`. */
const versionsIn = (accept = ""): ReadonlyArray<number> =>
  Array.from(accept.matchAll(/application\/vnd\.bentley\.itwin-platform\.v(\d+)\+json/gi), ([, version]) =>
    Number(version)
  )

export interface Api {
  readonly method: Method
  readonly path: Path
  /** A token with one of these scopes is accepted. */
  readonly scopes: ReadonlyArray<string>
  /** The version that the fake serves. A request that names no version is served too. */
  readonly version?: number
}

/** Builds a route of the APIs that requires a valid token with one of the scopes. */
export const onApi = (
  platform: Platform,
  { method, path, scopes, version }: Api,
  serve: (caller: ValidToken, call: Call) => Response | Effect.Effect<Response>
): Route => ({
  host,
  cors: true,
  method,
  paths: [path],
  gate: noteClient(platform),
  serve: (call) => {
    const { entry } = call
    const caller = authenticate(platform, call)
    if (!("app" in caller)) return caller
    if (!scopes.some((scope) => caller.scopes.has(scope))) {
      entry.explanation = `The token has none of the scopes ${scopes.join(", ")}.`
      return apiError(entry, 403, "InsufficientPermissions", "The token lacks the scope for this operation.", {
        headers: challenge('error="insufficient_scope"', `scope="${scopes.join(" ")}"`)
      })
    }
    const versions = versionsIn(call.headers.accept)
    if (version !== undefined && versions.length > 0 && !versions.includes(version)) {
      entry.explanation = `The fake serves version ${version} of this operation.`
      return apiError(entry, 406, "NotAcceptable", `Version ${versions.join(", ")} of this operation is not available.`)
    }
    entry.outcome = "ok"
    return serve(caller, call)
  }
})
