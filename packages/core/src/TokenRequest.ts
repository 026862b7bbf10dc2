/**
 * Requests a token by the client credentials grant (RFC 6749 §4.4).
 *
 * {@link encode} builds the request, and {@link decode} turns a response into a token or a typed error. Both are pure
 * functions, which tests can call without I/O. {@link send} adds an `HttpClient`, and the time limits and retries of
 * `RetryPolicy`.
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
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Tracer from "effect/Tracer"
import { AccessToken } from "./AccessToken.ts"
import type { ClientCredentials } from "./ClientCredentials.ts"
import * as Environment from "./Environment.ts"
import { BeforeAttempt } from "./internal/http/beforeAttempt.ts"
import { withoutHttpClientSpan } from "./internal/http/clientSpan.ts"
import { pinTransport } from "./internal/http/pinTransport.ts"
import { discard, maxBodyBytes, readText } from "./internal/http/readText.ts"
import { parseRetryAfter } from "./internal/http/retryAfter.ts"
import { transportReason } from "./internal/http/transport.ts"
import { defectOf } from "./internal/shown/defect.ts"
import { makeServerText, type ServerText } from "./internal/shown/serverText.ts"
import { version } from "./internal/version.ts"
import { RetryPolicy, schedule } from "./RetryPolicy.ts"
import * as Scopes from "./Scopes.ts"
import * as TokenError from "./TokenError.ts"
import { OAuthErrorResponse, TokenResponse } from "./TokenResponse.ts"

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

/** Encodes one value as `application/x-www-form-urlencoded` (RFC 6749 appendix B). */
const formEncode = (value: string): string => new URLSearchParams({ "": value }).toString().slice(1)

const basicCredentials = ({ clientId, clientSecret }: ClientCredentials): readonly [string, string] => [
  formEncode(clientId),
  formEncode(Redacted.value(clientSecret))
]

/**
 * Builds the request: a form POST with `grant_type=client_credentials` and `scope`.
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
  options: Options & {
    readonly endpoint: string
    readonly correlationId: string
    readonly authentication?: ClientAuthentication | undefined
  }
): HttpClientRequest.HttpClientRequest => {
  const request = HttpClientRequest.post(options.endpoint, {
    acceptJson: true,
    headers: { "user-agent": `effect-itwin/${version}`, "x-correlation-id": options.correlationId }
  })
  const grant = { grant_type: "client_credentials", scope: Scopes.format(options.scopes) }
  if (options.authentication === "client_secret_basic") {
    const [clientId, clientSecret] = basicCredentials(options.credentials)
    return request.pipe(
      HttpClientRequest.basicAuth(clientId, Redacted.make(clientSecret)),
      HttpClientRequest.bodyUrlParams(grant)
    )
  }
  return HttpClientRequest.bodyUrlParams(request, {
    ...grant,
    client_id: options.credentials.clientId,
    client_secret: options.credentials.clientSecret
  })
}

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
export interface RequestContext extends Options {
  readonly endpoint: string
  readonly correlationId: string
  /** The time just before the request was sent. The token's life is counted from here. */
  readonly sentAt: DateTime.Utc
  /** The time when the response was read. A `Retry-After` that is a date is compared with it. */
  readonly receivedAt: DateTime.Utc
}

const decodeJson = Schema.decodeResult(Schema.fromJsonString(Schema.Unknown))
const decodeToken = Schema.decodeUnknownResult(TokenResponse)
const decodeOAuthError = Schema.decodeUnknownResult(OAuthErrorResponse)
const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** Returns the message of the check that failed, which names the field. */
const detailOf = ({ issue }: Schema.SchemaError): string =>
  formatIssue(issue).issues[0]?.message ?? "not a token response"

const secretsOf = ({ credentials }: Options, token: unknown): ReadonlyArray<string> => [
  Redacted.value(credentials.clientSecret),
  Base64.encode(basicCredentials(credentials).join(":")),
  ...(Predicate.isString(token) ? [token] : [])
]

/** A scope that was not requested is text of the server. If no scope may be shown, the result is `unknown`. */
const grantedScopes = (scope: string | null | undefined, token: string, context: RequestContext): Scopes.Scopes => {
  if (Predicate.isNullish(scope) || scope === "" || scope === context.scopes) return context.scopes
  const granted = scope.split(/ +/)
  const requested = Scopes.tokens(context.scopes)
  const others = granted.filter((name) => !requested.includes(name))
  const shown = makeServerText(secretsOf(context, token)).showEach(others)
  const kept = [...granted.filter((name) => requested.includes(name)), ...shown].join(" ")
  return Scopes.make(kept.trim() === "" ? "unknown" : kept)
}

const makeToken = (
  response: TokenResponse,
  context: RequestContext
): Result.Result<AccessToken, TokenError.InvalidResponse> => {
  const token = Redacted.value(response.access_token)
  if (token === Redacted.value(context.credentials.clientSecret)) {
    return Result.fail(new TokenError.InvalidResponse({ detail: "access_token is the client secret" }))
  }
  return Result.succeed(
    new AccessToken({
      value: response.access_token,
      tokenType: response.token_type,
      scopes: grantedScopes(response.scope, token, context),
      requestedScopes: context.scopes,
      clientId: context.credentials.clientId,
      issuedAt: context.sentAt,
      expiresAt: DateTime.add(context.sentAt, { seconds: response.expires_in })
    })
  )
}

const isRedirect = (status: number): boolean => status === 0 || (status >= 300 && status < 400)

const redirectRefused = (
  location: string | undefined,
  followed: boolean,
  { endpoint }: Pick<RequestContext, "endpoint">,
  serverText: ServerText
): TokenError.RedirectRefused => {
  const target = location === undefined ? null : URL.parse(location, endpoint)
  if (target === null) return new TokenError.RedirectRefused({ followed })
  const origin = target.origin === new URL(endpoint).origin ? target.origin : serverText.showCode(target.origin)
  return new TokenError.RedirectRefused({ origin, followed })
}

const oauthReason = (
  { error, error_description }: OAuthErrorResponse,
  { scopes }: RequestContext,
  serverText: ServerText
): TokenError.TokenErrorReason => {
  const description = error_description === undefined ? undefined : serverText.show(error_description)
  switch (error) {
    case "invalid_client":
      return new TokenError.InvalidClient({ description })
    case "unauthorized_client":
      return new TokenError.UnauthorizedClient({ description })
    case "invalid_scope":
      return new TokenError.InvalidScope({ scopes, description })
    case "invalid_grant":
      return new TokenError.InvalidGrant({ description })
    case "invalid_request":
      return new TokenError.InvalidRequest({ description })
    case "unsupported_grant_type":
      return new TokenError.UnsupportedGrantType({ description })
    default:
      return new TokenError.OAuthError({ code: serverText.showCode(error), description })
  }
}

/** Returns why a response has no usable token. `invalid` is the check that a 200 failed. */
const failureReason = (
  { status, headers }: Response,
  json: unknown,
  invalid: TokenError.InvalidResponse | undefined,
  context: RequestContext,
  serverText: ServerText
): TokenError.TokenErrorReason => {
  const error = Result.getOrUndefined(decodeOAuthError(json))
  const retryAfter = parseRetryAfter(headers, context.receivedAt)
  if (status === 429) return new TokenError.RateLimited({ retryAfter })
  if (status >= 500) {
    const code = error === undefined ? undefined : serverText.showCode(error.error)
    const description = error?.error_description === undefined ? undefined : serverText.show(error.error_description)
    return new TokenError.ServerError({ status, code, description, retryAfter })
  }
  if (status === 407) return new TokenError.Transport({ kind: "proxy", code: "407" })
  if (error !== undefined) return oauthReason(error, context, serverText)
  return invalid ?? new TokenError.UnexpectedStatus({ status })
}

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
export const decode = (
  response: Response,
  context: RequestContext
): Result.Result<AccessToken, TokenError.TokenError> => {
  const { status } = response
  const json = Result.getOrUndefined(decodeJson(response.body))
  const token =
    status === 200
      ? Result.mapError(decodeToken(json), (error) => new TokenError.InvalidResponse({ detail: detailOf(error) })).pipe(
          Result.flatMap((response) => makeToken(response, context))
        )
      : undefined
  if (token !== undefined && Result.isSuccess(token)) return Result.succeed(token.success)
  const sent = Predicate.hasProperty(json, "access_token") ? json.access_token : undefined
  const serverText = makeServerText(secretsOf(context, sent))
  const reason = isRedirect(status)
    ? redirectRefused(response.headers.location, false, context, serverText)
    : failureReason(response, json, token?.failure, context, serverText)
  return Result.fail(
    tokenError(reason, context, {
      status,
      correlationId: serverText.showCorrelationId(response.headers["x-correlation-id"])
    })
  )
}

const tokenError = (
  reason: TokenError.TokenErrorReason,
  context: Pick<RequestContext, "credentials" | "endpoint" | "correlationId">,
  response?: { readonly status: number; readonly correlationId?: string | undefined }
): TokenError.TokenError =>
  new TokenError.TokenError({
    reason,
    endpoint: context.endpoint,
    clientId: context.credentials.clientId,
    status: response?.status,
    correlationId: response?.correlationId ?? context.correlationId
  })

/** 32 hexadecimal digits. */
const makeCorrelationId: Effect.Effect<string> = Effect.map(Random.Random, (random) => {
  let id = ""
  while (id.length < 32) {
    id += Math.floor(random.nextDoubleUnsafe() * 2 ** 32)
      .toString(16)
      .padStart(8, "0")
  }
  return id
})

interface AttemptOptions extends Options {
  readonly endpoint: string
  readonly correlationId: string
  readonly authentication: ClientAuthentication
}

/** Sends the request, reads the response and decodes it, without a time limit. */
const exchange = Effect.fnUntraced(function* (
  options: AttemptOptions
): Effect.fn.Return<AccessToken, TokenError.TokenError, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const sentAt = yield* DateTime.now
  const response = yield* client.execute(encode(options)).pipe(
    // The given client may turn a status into a failure, which contains the response.
    Effect.catchIf(
      (error) => error.reason._tag === "StatusCodeError",
      (error) => (error.response === undefined ? Effect.fail(error) : Effect.succeed(error.response))
    ),
    Effect.mapError((error) => tokenError(transportReason(error.reason.cause, "other"), options))
  )
  const { headers, status, url } = response
  if (url !== "" && url !== options.endpoint) {
    yield* discard(response)
    const serverText = makeServerText(secretsOf(options, undefined))
    return yield* tokenError(redirectRefused(url, true, options, serverText), options, {
      status,
      correlationId: serverText.showCorrelationId(headers["x-correlation-id"])
    })
  }
  const body = yield* Effect.mapError(readText(response), (error) =>
    tokenError(transportReason(error.reason.cause, "reset"), options, { status })
  )
  if (body.isCut) {
    return yield* tokenError(new TokenError.ResponseTooLarge({ limit: maxBodyBytes }), options, { status })
  }
  const receivedAt = yield* DateTime.now
  const token = yield* Effect.fromResult(
    decode({ status, headers, body: body.text }, { ...options, sentAt, receivedAt })
  )
  const granted = Scopes.tokens(token.scopes)
  if (token.scopes !== options.scopes && !Scopes.tokens(options.scopes).some((name) => granted.includes(name))) {
    yield* Effect.ignoreCause(
      Effect.logWarning(
        `IMS granted the scopes "${token.scopes}", but none of the requested scopes "${options.scopes}". Check the scopes ` +
          `of the app under My Apps. (client id ${options.credentials.clientId})`
      )
    )
  }
  return token
})

/** Replaces every foreign error, because it may contain the request with the secret. */
const attempt = (
  options: AttemptOptions,
  limit: Duration.Duration,
  onTimeout: Effect.Effect<never, TokenError.TokenError>
): Effect.Effect<AccessToken, TokenError.TokenError, HttpClient.HttpClient> =>
  Effect.timeoutOrElse(exchange(options), { duration: limit, orElse: () => onTimeout }).pipe(
    Effect.catchCause((cause) =>
      Effect.fail(
        Option.getOrElse(Cause.findErrorOption(cause), () =>
          tokenError(new TokenError.Defect({ module: "HttpClient", ...defectOf(cause) }), options)
        )
      )
    )
  )

/**
 * Requests a token from IMS, within the limits of `RetryPolicy`.
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
export const send: (options: Options) => Effect.Effect<AccessToken, TokenError.TokenError, HttpClient.HttpClient> =
  // Neither `Effect.fn` nor `withSpan`: both capture a stack for each call, which makes a request measurably slower.
  Effect.fnUntraced(function* (options: Options) {
    const endpoint = (yield* Environment.current).tokenEndpoint
    const authentication = yield* ClientAuthentication
    const policy = yield* RetryPolicy
    const beforeAttempt = yield* BeforeAttempt
    const clock = yield* Clock.Clock
    const client = yield* HttpClient.HttpClient
    const withOwnTransport = yield* pinTransport(client)
    const attributes = {
      "http.request.method": "POST",
      "url.full": endpoint,
      "itwin.client_id": options.credentials.clientId,
      "itwin.scopes": options.scopes
    }
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const deadline = now() + Duration.toMillis(policy.totalTimeout)
    const timeLeft = () => Duration.millis(deadline - now())
    const limitedAttempt = Effect.flatMap(makeCorrelationId, (correlationId) => {
      const request = { ...options, endpoint, correlationId, authentication }
      const left = timeLeft()
      const isLast = Duration.isLessThan(left, policy.attemptTimeout)
      const onTimeout = Effect.failSync(() =>
        tokenError(new TokenError.Timeout({ limit: isLast ? policy.totalTimeout : policy.attemptTimeout }), request)
      )
      return Duration.isGreaterThan(left, Duration.zero)
        ? attempt(request, isLast ? left : policy.attemptTimeout, onTimeout)
        : onTimeout
    })
    const attempts = Effect.retry(
      Effect.andThen(beforeAttempt, limitedAttempt),
      Schedule.while(schedule(policy), ({ duration }) => Duration.isLessThan(duration, timeLeft()))
    ).pipe(Effect.provideService(HttpClient.HttpClient, client))
    return yield* Effect.useSpan("TokenRequest.send", { attributes }, (span) =>
      attempts.pipe(
        Effect.updateContext(withOwnTransport),
        // The client's own span would end with an error that contains the request with the secret.
        withoutHttpClientSpan,
        Effect.provideService(Tracer.ParentSpan, span)
      )
    )
  })
