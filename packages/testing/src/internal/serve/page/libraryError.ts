// Runs the library on a given response, so that the page shows the library's own message and not a copy of it.
import * as AuthorizationCode from "@effect-itwin/core/AuthorizationCode"
import { ClientCredentials, type PublicClient } from "@effect-itwin/core/ClientCredentials"
import * as Environment from "@effect-itwin/core/Environment"
import * as ITwin from "@effect-itwin/core/ITwin"
import * as RetryPolicy from "@effect-itwin/core/RetryPolicy"
import * as Scopes from "@effect-itwin/core/Scopes"
import * as SecretProvider from "@effect-itwin/core/SecretProvider"
import * as TokenRequest from "@effect-itwin/core/TokenRequest"
import * as Users from "@effect-itwin/core/Users"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { Received } from "../admin/explain.ts"

type Response = typeof Received.Type

type Client = ClientCredentials | PublicClient

interface Failed {
  readonly _tag: string
  readonly message: string
  readonly reason: { readonly _tag: string }
}

const granted = JSON.stringify({ access_token: "a-token-that-was-granted", token_type: "Bearer", expires_in: 3600 })

const received = ({ body, headers, status }: Response) =>
  new globalThis.Response([204, 205, 304].includes(status) ? null : body, { status, headers })

/** Calls `GET /users/me` with the app's own token. */
const callAsApp = (environment: Environment.Environment, client: Client, response: Response) => {
  // The secret of a public client is never sent: its token is granted below.
  const credentials =
    "clientSecret" in client
      ? client
      : new ClientCredentials({ clientId: client.clientId, clientSecret: Redacted.make("unused") })
  return Users.me.pipe(
    Effect.provide(
      ITwin.layerWith({ scopes: Scopes.make(response.scopes.join(" ")) }).pipe(
        Layer.provide([Environment.layer(environment), SecretProvider.layerStatic(credentials)])
      )
    )
  )
}

/** Exchanges a code or a refresh token. */
const exchange = (credentials: Client, { grant, scopes }: Response) =>
  TokenRequest.exchange({
    credentials,
    scopes: Scopes.make(scopes.join(" ")),
    grant:
      grant === "refresh_token"
        ? { _tag: "RefreshToken", refreshToken: Redacted.make("unused") }
        : {
            _tag: "AuthorizationCode",
            code: Redacted.make("unused"),
            codeVerifier: Redacted.make("unused"),
            redirectUri: "http://127.0.0.1/"
          }
  })

/** Reads the callback to which the authorization endpoint redirects. */
const readCallback = Effect.fnUntraced(function* (
  { issuer }: Environment.Environment,
  { clientId }: Client,
  { headers, scopes }: Response
) {
  const callback = URL.parse(headers.location ?? "")
  const query = callback?.searchParams ?? new URLSearchParams()
  const startedAt = yield* DateTime.now
  const transaction = new AuthorizationCode.Transaction({
    state: Redacted.make(query.get("state") || "missing"),
    codeVerifier: Redacted.make("unused"),
    redirectUri: callback === null ? "" : callback.origin + callback.pathname,
    clientId,
    scopes: Scopes.make(scopes.join(" ")),
    issuer,
    startedAt
  })
  return yield* Effect.fromResult(AuthorizationCode.decode(query, transaction, issuer, startedAt))
})

const run = (
  environment: Environment.Environment,
  client: Client,
  response: Response
): Effect.Effect<unknown, Failed, HttpClient.HttpClient> => {
  if (response.from === "authorize") return readCallback(environment, client, response)
  if (response.from === "token" && response.grant !== "client_credentials") return exchange(client, response)
  // The environment is given, so no variable is read, and the layer can't fail.
  return Effect.catchTag(callAsApp(environment, client, response), "ConfigError", Effect.die)
}

/** Returns the error with which the library fails when it receives the response; without texts if it does not fail. */
export const explainResponse = (environment: Environment.Environment, client: Client, response: Response) => {
  const answers = HttpClient.make((request) =>
    Effect.sync(() => {
      const isToken = request.url === environment.tokenEndpoint
      const answer = isToken === (response.from === "token") ? received(response) : new globalThis.Response(granted)
      return HttpClientResponse.fromWeb(request, answer)
    })
  )
  return run(environment, client, response).pipe(
    Effect.match({
      onSuccess: () => ({ error: "", reason: "", message: "" }),
      onFailure: ({ _tag, message, reason }) => ({ error: _tag, reason: reason._tag, message })
    }),
    Effect.provideService(HttpClient.HttpClient, answers),
    Effect.provideService(Environment.Environment, environment),
    Effect.provideService(RetryPolicy.RetryPolicy, RetryPolicy.none)
  )
}
