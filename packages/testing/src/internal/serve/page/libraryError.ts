// Runs the library on a given response, so that the page shows the library's own message and not a copy of it.
import type { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import * as Environment from "@effect-itwin/core/Environment"
import * as ITwin from "@effect-itwin/core/ITwin"
import * as RetryPolicy from "@effect-itwin/core/RetryPolicy"
import * as Scopes from "@effect-itwin/core/Scopes"
import * as SecretProvider from "@effect-itwin/core/SecretProvider"
import * as Users from "@effect-itwin/core/Users"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import type { Received } from "../admin/explain.ts"

const granted = JSON.stringify({ access_token: "a-token-that-was-granted", token_type: "Bearer", expires_in: 3600 })

const success = { error: "", reason: "", message: "", isRetryable: false }

/** Returns the error with which `Users.me` fails when the fake answers the first request to `from` with the response. */
export const explainResponse = (
  environment: Environment.Environment,
  credentials: ClientCredentials,
  { body, from, headers, scopes, status }: typeof Received.Type
) => {
  const received = () => new Response([204, 205, 304].includes(status) ? null : body, { status, headers })
  const client = HttpClient.make((request) => {
    const isToken = request.url === environment.tokenEndpoint
    return Effect.sync(() =>
      HttpClientResponse.fromWeb(request, isToken === (from === "token") ? received() : new Response(granted))
    )
  })
  return Users.me.pipe(
    Effect.as(success),
    Effect.catch((error) =>
      Effect.succeed({
        error: error._tag,
        reason: error.reason._tag,
        message: error.message,
        isRetryable: "isRetryable" in error && error.isRetryable
      })
    ),
    Effect.provide(
      ITwin.layerWith({ scopes: Scopes.make(scopes.join(" ")) }).pipe(
        Layer.provide([
          Environment.layer(environment),
          SecretProvider.layerStatic(credentials),
          Layer.succeed(HttpClient.HttpClient, client),
          Layer.succeed(RetryPolicy.RetryPolicy, RetryPolicy.none)
        ])
      )
    ),
    // The environment is given, so no variable is read.
    Effect.orDie
  )
}
