// The APIs behind the bearer check (RFC 6750), and the Users API.

import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { apiError, json } from "./answer.ts"
import { formatInstant } from "./engine/instant.ts"
import { credentialsOf, type Entry, hasIdentity, type State } from "./state.ts"
import { checkToken, list, type ValidToken } from "./tokens.ts"

export type Response = HttpServerResponse.HttpServerResponse
export type Params = Readonly<Record<string, string | undefined>>

const unauthorized = (entry: Entry, code: string, message: string) =>
  apiError(entry, 401, "Unauthorized", "Unauthorized. Request access token is missing or invalid.", [{ code, message }])

/** Who calls, or the answer that says why that can't be told. */
const authenticate = (state: State, header: string | undefined, entry: Entry): ValidToken | Response => {
  if (header === undefined) {
    return apiError(entry, 401, "HeaderNotFound", "Header Authorization was not found in the request. Access denied.")
  }
  const jwt = /^Bearer ([A-Za-z0-9\-._~+/]+=*)$/i.exec(header)?.[1]
  const token = checkToken(state, jwt ?? "")
  if (!("app" in token)) return unauthorized(entry, token.code, token.why)
  if (!list(token.claims.aud).includes("bentley-api-management")) {
    return unauthorized(entry, "InvalidToken", "The token is for another audience.")
  }
  entry.clientId = token.app.clientId
  return token
}

/** A route that only a valid token with one of the scopes opens. */
export const authenticated =
  <R = never>(
    state: State,
    scopes: ReadonlyArray<string>,
    handle: (
      caller: ValidToken,
      entry: Entry,
      params: Params,
      request: HttpServerRequest.HttpServerRequest
    ) => Response | Effect.Effect<Response, never, R>
  ) =>
  (request: HttpServerRequest.HttpServerRequest, entry: Entry, params: Params): Effect.Effect<Response, never, R> =>
    Effect.suspend(() => {
      const caller = authenticate(state, request.headers.authorization, entry)
      if (!("app" in caller)) return Effect.succeed(caller)
      if (!scopes.some((scope) => caller.scopes.has(scope))) {
        return Effect.succeed(
          apiError(entry, 403, "InsufficientPermissions", "The token lacks the scope for this operation.")
        )
      }
      entry.outcome = "ok"
      const response = handle(caller, entry, params, request)
      return Effect.isEffect(response) ? response : Effect.succeed(response)
    })

/** GET /users/me: for a service app a made-up person, with the app's name as given name. */
export const usersMe = (state: State) =>
  authenticated(state, ["itwin-platform", "users:read"], ({ app }, entry) => {
    if (!hasIdentity(state, app)) return apiError(entry, 404, "UserNotFound", "The user was not found.")
    const { clientEmail } = credentialsOf(app)
    return json(entry, 200, {
      user: {
        id: app.userId,
        displayName: clientEmail,
        givenName: app.name,
        surname: "",
        email: clientEmail,
        alternateEmail: null,
        phone: null,
        organizationName: "",
        city: null,
        country: null,
        language: "en",
        // The platform writes seven fractional digits.
        createdDateTime: formatInstant(app.createdAt).replace("Z", "0000Z")
      }
    })
  })
