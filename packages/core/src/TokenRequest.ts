/**
 * Requests tokens: of the app itself by the client credentials grant (RFC 6749 §4.4), or of a user by an authorization
 * code (§4.1) or a refresh token (§6).
 *
 * {@link encode} builds the request, and {@link decode} turns a response into a token or a typed error. Both are pure
 * functions, which tests can call without I/O. {@link send} adds an `HttpClient`, and the time limits and retries of
 * `RetryPolicy`. {@link exchange} does the same for users.
 *
 * **Gotchas**
 *
 * `send` makes a request each time; most programs use `TokenCache` instead. Middleware on the given `HttpClient` sees
 * the form body, which contains the secret.
 *
 * **Example** (Requesting one token without a cache)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { Scopes, SecretProvider, TokenRequest } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect } from "effect"
 *
 * it.effect("returns a new token", () =>
 *   Effect.gen(function* () {
 *     const provider = yield* SecretProvider.SecretProvider
 *     const credentials = yield* provider.credentials
 *     const token = yield* TokenRequest.send({ credentials, scopes: Scopes.itwinPlatform })
 *     assert.strictEqual(token.clientId, credentials.clientId)
 *   }).pipe(Effect.provide(FakeIms.layerTest()))
 * )
 * ```
 *
 * @since 0.1.0
 */

import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as Redacted from "effect/Redacted"
import type * as Result from "effect/Result"
import type { AccessToken } from "./AccessToken.ts"
import type { ClientCredentials, PublicClient } from "./ClientCredentials.ts"
import { requestToken } from "./internal/request/attempts.ts"
import { clientRequest } from "./internal/request/client.ts"
import { appForm, decodeToken, type Received } from "./internal/request/decode.ts"
import { formOf } from "./internal/request/grant.ts"
import { decodeTokens } from "./internal/request/userTokens.ts"
import * as Scopes from "./Scopes.ts"
import type * as TokenError from "./TokenError.ts"

/**
 * Names how the client authenticates (RFC 6749 §2.3.1): with id and secret in the form, as Bentley documents, or in an
 * `Authorization: Basic` header.
 *
 * @category models
 * @since 0.1.0
 */
export type ClientAuthentication = "client_secret_post" | "client_secret_basic"

/**
 * Holds the method in use; `client_secret_post` unless provided.
 *
 * @category references
 * @since 0.1.0
 */
export const ClientAuthentication: Context.Reference<ClientAuthentication> = Context.Reference<ClientAuthentication>(
  "@effect-itwin/core/TokenRequest/ClientAuthentication",
  { defaultValue: () => "client_secret_post" }
)

/**
 * Names the credentials and the scopes of a token request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly credentials: ClientCredentials
  readonly scopes: Scopes.Scopes
}

/**
 * Names what the token is requested for (RFC 6749 §1.3): the app itself; a user who signed in, whose authorization code
 * is redeemed with the verifier of PKCE (RFC 7636 §4.5); or a user who signed in earlier.
 *
 * @category models
 * @since 0.1.0
 */
export type Grant =
  | { readonly _tag: "ClientCredentials" }
  | {
      readonly _tag: "AuthorizationCode"
      readonly code: Redacted.Redacted
      readonly redirectUri: string
      readonly codeVerifier: Redacted.Redacted
    }
  | { readonly _tag: "RefreshToken"; readonly refreshToken: Redacted.Redacted }

/**
 * Names the client, the scopes and the grant of a token request.
 *
 * The scopes of an authorization code and of a refresh token are those that the user was asked for. They are not sent
 * again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exchange {
  readonly credentials: ClientCredentials | PublicClient
  readonly scopes: Scopes.Scopes
  readonly grant: Grant
}

/**
 * Holds the tokens of a response.
 *
 * @category models
 * @since 0.1.0
 */
export interface Granted {
  readonly accessToken: AccessToken
  /** Replaces the refresh token that was sent, if one was. */
  readonly refreshToken: Redacted.Redacted | undefined
  /** Not verified: `AuthorizationCode.decodeIdToken` reads it. */
  readonly idToken: Redacted.Redacted | undefined
}

/**
 * Builds the request: a form POST, of the client credentials grant unless `grant` is another one. A public client sends
 * its client id only.
 *
 * Both methods form-encode id and secret, so that `+`, `/`, `=` and non-ASCII characters arrive unchanged (RFC 6749
 * appendix B).
 *
 * ```ts test
 * import { ClientCredentials, Environment, Scopes, TokenRequest } from "@effect-itwin/core"
 * import { assert, it } from "@effect/vitest"
 * import { Redacted } from "effect"
 *
 * it("puts id and secret into the form", () => {
 *   const request = TokenRequest.encode({
 *     credentials: new ClientCredentials.ClientCredentials({
 *       clientId: "service-Ab12",
 *       clientSecret: Redacted.make("fake-secret-a+b/c=")
 *     }),
 *     scopes: Scopes.itwinPlatform,
 *     endpoint: Environment.production.tokenEndpoint,
 *     correlationId: "0123456789abcdef0123456789abcdef"
 *   })
 *   assert.strictEqual(request.method, "POST")
 *   assert.strictEqual(request.url, "https://ims.bentley.com/connect/token")
 *   assert.isUndefined(request.headers.authorization)
 * })
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (
  options: Omit<Exchange, "grant"> & {
    readonly grant?: Grant | undefined
    readonly endpoint: string
    readonly correlationId: string
    readonly authentication?: ClientAuthentication | undefined
  }
): HttpClientRequest.HttpClientRequest =>
  clientRequest(
    { credentials: options.credentials, form: formOf(options.grant, options.scopes) },
    options.endpoint,
    options.authentication,
    { "x-correlation-id": options.correlationId }
  )

/**
 * Describes a response of the token endpoint with its complete body.
 *
 * @category models
 * @since 0.1.0
 */
export interface Response {
  readonly status: number
  readonly headers: Headers.Headers
  readonly body: string
}

/**
 * Describes the request to which a response belongs: where and when it was sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestContext extends Omit<Exchange, "grant"> {
  /** Client credentials unless given. */
  readonly grant?: Grant | undefined
  readonly endpoint: string
  readonly correlationId: string
  /** The time just before the request was sent. The token's life is counted from here. */
  readonly sentAt: DateTime.Utc
  /** The time when the response was read. A `Retry-After` that is a date is compared with it. */
  readonly receivedAt: DateTime.Utc
}

const receivedIn = (context: RequestContext): Received => ({
  ...context,
  form: formOf(context.grant, context.scopes)
})

/**
 * Turns a response into a token or a typed error.
 *
 * A token is taken only from a 200 response with a JSON body that `TokenResponse` accepts, whatever its content type.
 * An absent `scope` means the requested scopes (RFC 6749 §5.1). Every other response may contain an OAuth error (§5.2).
 *
 * **Details**
 *
 * A granted scope that was not requested is left out if it looks like a secret. If no scope is left, the scope of the
 * token is `unknown`.
 *
 * ```ts test
 * import { ClientCredentials, Environment, Scopes, TokenRequest } from "@effect-itwin/core"
 * import { assert, it } from "@effect/vitest"
 * import { DateTime, Redacted, Result } from "effect"
 * import { Headers } from "effect/http"
 *
 * it("fails with a typed reason when IMS rejects the client", () => {
 *   const now = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
 *   const result = TokenRequest.decode(
 *     { status: 401, headers: Headers.empty, body: '{"error":"invalid_client"}' },
 *     {
 *       credentials: new ClientCredentials.ClientCredentials({
 *         clientId: "service-Ab12",
 *         clientSecret: Redacted.make("fake-secret-a+b/c=")
 *       }),
 *       scopes: Scopes.itwinPlatform,
 *       endpoint: Environment.production.tokenEndpoint,
 *       correlationId: "0123456789abcdef0123456789abcdef",
 *       sentAt: now,
 *       receivedAt: now
 *     }
 *   )
 *   assert.strictEqual(Result.getOrThrow(Result.flip(result)).reason._tag, "InvalidClient")
 * })
 * ```
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode: (
  response: Response,
  context: RequestContext
) => Result.Result<AccessToken, TokenError.TokenError> = (response, context) =>
  decodeToken(response, receivedIn(context))

/**
 * Turns a response into all its tokens or a typed error: what {@link decode} does, and the refresh token and the id
 * token of a user. Both may be absent or `null`. In a response to the client credentials grant they are ignored.
 *
 * ```ts test
 * import { ClientCredentials, Environment, Scopes, TokenRequest } from "@effect-itwin/core"
 * import { assert, it } from "@effect/vitest"
 * import { DateTime, Redacted, Result } from "effect"
 * import { Headers } from "effect/http"
 *
 * it("returns the new refresh token", () => {
 *   const now = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
 *   const granted = TokenRequest.decodeGranted(
 *     {
 *       status: 200,
 *       headers: Headers.empty,
 *       body: '{"access_token":"opaque-token","token_type":"Bearer","refresh_token":"fake-secret-b+/="}'
 *     },
 *     {
 *       credentials: new ClientCredentials.PublicClient({ clientId: "native-Ab12" }),
 *       scopes: Scopes.itwinPlatform,
 *       grant: { _tag: "RefreshToken", refreshToken: Redacted.make("fake-secret-a+/=") },
 *       endpoint: Environment.production.tokenEndpoint,
 *       correlationId: "0123456789abcdef0123456789abcdef",
 *       sentAt: now,
 *       receivedAt: now
 *     }
 *   )
 *   assert.strictEqual(String(Result.getOrThrow(granted).refreshToken), "<redacted>")
 * })
 * ```
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeGranted: (
  response: Response,
  context: RequestContext
) => Result.Result<Granted, TokenError.TokenError> = (response, context) => decodeTokens(response, receivedIn(context))

/** Warns of a token that serves none of the requests for which it was made. */
const warnOfScopes = ({ clientId, requestedScopes, scopes }: AccessToken): Effect.Effect<void> => {
  const granted = Scopes.tokens(scopes)
  return scopes === requestedScopes || Scopes.tokens(requestedScopes).some((name) => granted.includes(name))
    ? Effect.void
    : Effect.ignoreCause(
        Effect.logWarning(
          `IMS granted the scopes "${scopes}", but none of the requested scopes "${requestedScopes}". Check the scopes ` +
            `of the app under My Apps. (client id ${clientId})`
        )
      )
}

const isUnprocessed = ({ reason }: TokenError.TokenError): boolean =>
  reason._tag === "RateLimited" || (reason._tag === "Transport" && (reason.kind === "dns" || reason.kind === "refused"))

/**
 * Requests the tokens of a grant from IMS, as {@link send} does.
 *
 * **Details**
 *
 * An authorization code works once. After a failure, it is sent again only if the failure proves that IMS did not
 * process the request: the host was not resolved, the connection was refused, or the status is 429. Refresh tokens are
 * retried like client credentials.
 *
 * **Gotchas**
 *
 * IMS may have replaced a refresh token although its response was lost. Store the refresh token of each response before
 * using the access token.
 *
 * @category requests
 * @since 0.1.0
 */
export const exchange = (options: Exchange): Effect.Effect<Granted, TokenError.TokenError, HttpClient.HttpClient> =>
  requestToken({
    ...options,
    name: "TokenRequest.exchange",
    form: formOf(options.grant, options.scopes),
    decode: decodeTokens,
    mayRepeat: (error) => options.grant._tag !== "AuthorizationCode" || isUnprocessed(error)
  }).pipe(Effect.tap(({ accessToken }) => warnOfScopes(accessToken)))

const always = (): boolean => true

/**
 * Requests a token for the app itself from IMS, within the limits of `RetryPolicy`.
 *
 * **Details**
 *
 * Reads `Environment`, `RetryPolicy` and `ClientAuthentication` from the context. Redirects are rejected, trace headers
 * are not sent, and each attempt has its own `X-Correlation-Id`. Only failures that may pass are retried. The request
 * fails at once if a `Retry-After` is longer than the policy allows, or if a pause would exceed `totalTimeout`.
 *
 * If the client throws, dies or interrupts itself, the request fails with the reason `Defect`, which contains only the
 * class and the stack frames of the defect.
 *
 * @category requests
 * @since 0.1.0
 */
export const send = (options: Options): Effect.Effect<AccessToken, TokenError.TokenError, HttpClient.HttpClient> =>
  requestToken({
    ...options,
    name: "TokenRequest.send",
    form: appForm(options.scopes),
    decode: decodeToken,
    mayRepeat: always
  }).pipe(Effect.tap(warnOfScopes))
