/**
 * Tells why there is no access token, or why one was not sent.
 *
 * There is one error, `TokenError`. Its `reason` tells the cases apart:
 * `Effect.catchReason("TokenError", "InvalidClient", …)`. The message says what to do. Bentley's support asks for
 * `endpoint`, `status` and `correlationId`.
 *
 * **Gotchas**
 *
 * Text that a server sent (`description`, `code`, `origin`) is shown only as far as it does not look like a secret. No
 * foreign error is attached as `cause`, because the error of an HTTP client holds the request with the secret.
 *
 * **Example** (Handling one reason)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, SecretProvider, TokenCache } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("fails with InvalidClient when the secret is revoked", () =>
 *   Effect.gen(function* () {
 *     const fake = yield* FakeIms.FakeIms
 *     const cache = yield* TokenCache.TokenCache
 *     const provider = yield* SecretProvider.SecretProvider
 *     const { clientId, clientSecret } = yield* provider.credentials
 *     yield* fake.revokeSecret(clientId, clientSecret)
 *     const outcome = yield* cache.get().pipe(
 *       Effect.as("a token"),
 *       Effect.catchReason("TokenError", "InvalidClient", () => Effect.succeed("rejected"))
 *     )
 *     assert.strictEqual(outcome, "rejected")
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { defectFields, describeDefect } from "./internal/shown/defect.ts"
import { formatDuration } from "./internal/shown/formatDuration.ts"
import { SecretProviderError } from "./SecretProviderError.ts"

/** What an OAuth error response holds in addition to its code (RFC 6749 §5.2). */
const oauth = {
  /** `error_description`, as far as it does not look like a secret. */
  description: Schema.optional(Schema.String)
}

/** Says how long the server asked to wait, since the next request is made then. */
const asked = (retryAfter: Duration.Duration | undefined): string =>
  retryAfter === undefined ? "" : ` and asked to wait ${formatDuration(retryAfter)}; the next attempt is made then`

const checkPath = "Check the network path to it: firewall, proxy, DNS."

/**
 * Names the grant of a request (RFC 6749 §1.3).
 *
 * @category reasons
 * @since 0.1.0
 */
export const GrantType = Schema.Literals(["client_credentials", "authorization_code", "refresh_token"])

/**
 * Names the grant of a request.
 *
 * @category reasons
 * @since 0.1.0
 */
export type GrantType = typeof GrantType.Type

/** `client_credentials` unless given. */
const grant = { grant: Schema.optional(GrantType) }

const named = (grant: GrantType = "client_credentials"): string => `${grant.replace("_", " ")} grant`

const quote = (description: string | undefined): string => (description ? ` ("${description}")` : "")

/**
 * Says that the secret provider failed. No request was sent to IMS.
 *
 * @category reasons
 * @since 0.1.0
 */
export class SecretUnavailable extends Schema.Error<SecretUnavailable>(
  "@effect-itwin/core/TokenError/SecretUnavailable"
)({ _tag: Schema.tag("SecretUnavailable"), error: SecretProviderError }) {
  override get message(): string {
    return this.error.reason.message
  }
}

/**
 * Says that IMS rejected the client id or the client secret: `invalid_client`.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidClient extends Schema.Error<InvalidClient>("@effect-itwin/core/TokenError/InvalidClient")({
  _tag: Schema.tag("InvalidClient"),
  ...oauth,
  /** IMS accepted the same secret earlier. */
  workedBefore: Schema.optional(Schema.Boolean)
}) {
  override get message(): string {
    return this.workedBefore === true
      ? `IMS rejected a secret that it accepted earlier${quote(this.description)}. Check under My Apps whether the ` +
          "secret was revoked; a new one is used without a restart. IMS also returns this error during maintenance."
      : `IMS rejected the client id or the client secret${quote(this.description)}. Check that neither was truncated ` +
          "when copied, that both belong to the same app and to this environment, and that the secret has not been " +
          "regenerated. IMS also returns this error for valid credentials during maintenance."
  }
}

/**
 * Says that the app may not use the grant: `unauthorized_client`.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnauthorizedClient extends Schema.Error<UnauthorizedClient>(
  "@effect-itwin/core/TokenError/UnauthorizedClient"
)({ _tag: Schema.tag("UnauthorizedClient"), ...oauth, ...grant }) {
  override get message(): string {
    return `The app may not use the ${named(this.grant)}${quote(this.description)}. Register an app of a type that has this grant: "Service" without users.`
  }
}

/**
 * Says that a requested scope is unknown, malformed or not granted to the app: `invalid_scope`.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidScope extends Schema.Error<InvalidScope>("@effect-itwin/core/TokenError/InvalidScope")({
  _tag: Schema.tag("InvalidScope"),
  scopes: Schema.String,
  ...oauth
}) {
  override get message(): string {
    return (
      `IMS did not grant the app the scope "${this.scopes}"${quote(this.description)}. Add it under My Apps, or request ` +
      `a scope that is listed there; new apps have "itwin-platform".`
    )
  }
}

/**
 * Says that IMS rejected the authorization code or the refresh token: `invalid_grant` (RFC 6749 §5.2).
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidGrant extends Schema.Error<InvalidGrant>("@effect-itwin/core/TokenError/InvalidGrant")({
  _tag: Schema.tag("InvalidGrant"),
  ...oauth
}) {
  override get message(): string {
    return `IMS rejected the grant because it is invalid, has expired or was revoked${quote(this.description)}. Sign in again.`
  }
}

/**
 * Says that IMS rejected the request as malformed: `invalid_request`.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidRequest extends Schema.Error<InvalidRequest>("@effect-itwin/core/TokenError/InvalidRequest")({
  _tag: Schema.tag("InvalidRequest"),
  ...oauth
}) {
  override get message(): string {
    return `The token endpoint rejected the request as malformed${quote(this.description)}. Check the endpoint, and any proxy in front of it.`
  }
}

/**
 * Says that the endpoint does not support the grant: `unsupported_grant_type`.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnsupportedGrantType extends Schema.Error<UnsupportedGrantType>(
  "@effect-itwin/core/TokenError/UnsupportedGrantType"
)({ _tag: Schema.tag("UnsupportedGrantType"), ...oauth, ...grant }) {
  override get message(): string {
    return `The token endpoint does not support the ${named(this.grant)}${quote(this.description)}. Check that it is an IMS endpoint.`
  }
}

/**
 * Says that IMS returned an error code that RFC 6749 §5.2 does not define.
 *
 * @category reasons
 * @since 0.1.0
 */
export class OAuthError extends Schema.Error<OAuthError>("@effect-itwin/core/TokenError/OAuthError")({
  _tag: Schema.tag("OAuthError"),
  /** The code; `unknown` if it may be a secret. */
  code: Schema.String,
  ...oauth
}) {
  override get message(): string {
    return `The token endpoint returned the non-standard error code "${this.code}"${quote(this.description)}. Contact Bentley support and quote the correlation id.`
  }
}

/**
 * Says that IMS limits the rate of requests: status 429.
 *
 * @category reasons
 * @since 0.1.0
 */
export class RateLimited extends Schema.Error<RateLimited>("@effect-itwin/core/TokenError/RateLimited")({
  _tag: Schema.tag("RateLimited"),
  /** How long the server asked to wait, if it did. */
  retryAfter: Schema.optional(Schema.Duration)
}) {
  override get message(): string {
    return `The token endpoint limits the rate of requests${asked(this.retryAfter)}. Share one token cache in each process.`
  }
}

/**
 * Says that IMS failed: status 5xx.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ServerError extends Schema.Error<ServerError>("@effect-itwin/core/TokenError/ServerError")({
  _tag: Schema.tag("ServerError"),
  status: Schema.Int,
  /** The OAuth error code, if the response had one. */
  code: Schema.optional(Schema.String),
  retryAfter: Schema.optional(Schema.Duration),
  ...oauth
}) {
  override get message(): string {
    return `The token endpoint failed${quote(this.description)}${asked(this.retryAfter)}. Check whether IMS is down for maintenance.`
  }
}

/**
 * Names where the request failed: name resolution, refused connection, closed connection, TLS, proxy, or elsewhere.
 *
 * @category reasons
 * @since 0.1.0
 */
export const TransportKind = Schema.Literals(["dns", "refused", "reset", "tls", "proxy", "other"])

/**
 * Names where the request failed.
 *
 * @category reasons
 * @since 0.1.0
 */
export type TransportKind = typeof TransportKind.Type

const transport: Record<TransportKind, readonly [what: string, advice: string]> = {
  dns: ["The host of the token endpoint could not be resolved", "Check its name, and the DNS of this machine."],
  refused: ["The token endpoint refused the connection", "Check its host and port, and firewalls."],
  reset: ["The connection to the token endpoint was closed before the complete response arrived", checkPath],
  tls: [
    "The TLS connection to the token endpoint failed or is not trusted",
    "Check NODE_EXTRA_CA_CERTS, the clock of this machine and the proxy."
  ],
  proxy: ["The proxy did not let the request through", "Check its address and credentials."],
  other: ["The token endpoint is unreachable", checkPath]
}

/**
 * Says that the request failed before a complete response was received.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Transport extends Schema.Error<Transport>("@effect-itwin/core/TokenError/Transport")({
  _tag: Schema.tag("Transport"),
  kind: TransportKind,
  /** The runtime's code, for example `ECONNREFUSED`, if it has one; `407` if a proxy asks for credentials. */
  code: Schema.optional(Schema.String)
}) {
  override get message(): string {
    const [what, advice] = transport[this.kind]
    return `${what}${this.code === undefined ? "" : ` (${this.code})`}. ${advice}`
  }
}

/**
 * Says that the complete response, including its body, did not arrive in time.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Timeout extends Schema.Error<Timeout>("@effect-itwin/core/TokenError/Timeout")({
  _tag: Schema.tag("Timeout"),
  /** The time limit that was reached: of one attempt, or of all attempts together. */
  limit: Schema.Duration
}) {
  override get message(): string {
    return `The token endpoint did not complete its response within ${formatDuration(this.limit)}. ${checkPath} RetryPolicy sets this limit.`
  }
}

/**
 * Says that the token endpoint redirects. Credentials are never sent to the target (RFC 9700 §4.12).
 *
 * @category reasons
 * @since 0.1.0
 */
export class RedirectRefused extends Schema.Error<RedirectRefused>("@effect-itwin/core/TokenError/RedirectRefused")({
  _tag: Schema.tag("RedirectRefused"),
  /** The origin of the target, if the response has one; `unknown` if it may be a secret. */
  origin: Schema.optional(Schema.String),
  /** The HttpClient followed the redirect itself, so the secret may have been sent to another host. */
  followed: Schema.Boolean
}) {
  override get message(): string {
    const where = this.origin === undefined || this.origin === "unknown" ? "" : ` to ${this.origin}`
    return this.followed
      ? `The HttpClient followed the redirect${where} itself, so the secret may have been sent to another host. Rotate ` +
          "the secret, and provide a client that does not follow redirects."
      : `The token endpoint redirects${where}, and the credentials were not sent there. Correct the endpoint.`
  }
}

/**
 * Says that the origin of an API request may not receive the token. Nothing was sent.
 *
 * @category reasons
 * @since 0.1.0
 */
export class OriginRefused extends Schema.Error<OriginRefused>("@effect-itwin/core/TokenError/OriginRefused")({
  _tag: Schema.tag("OriginRefused"),
  origin: Schema.String,
  allowed: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return (
      `The token was not sent to ${this.origin}, because only ${this.allowed.join(", ")} may receive it. Use another ` +
      "HttpClient for this host, or list the origin in the option `origins` of ITwin.layerWith."
    )
  }
}

/**
 * Says that a 200 response does not contain a usable token.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidResponse extends Schema.Error<InvalidResponse>("@effect-itwin/core/TokenError/InvalidResponse")({
  _tag: Schema.tag("InvalidResponse"),
  /** The check of `TokenResponse` that failed. Contains no part of the response. */
  detail: Schema.String
}) {
  override get message(): string {
    return `The token endpoint returned 200 without a usable token: ${this.detail}. Check that it is an IMS endpoint, and that no proxy or captive portal answers for it.`
  }
}

/**
 * Says that the body of the response is larger than a token response can be.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ResponseTooLarge extends Schema.Error<ResponseTooLarge>("@effect-itwin/core/TokenError/ResponseTooLarge")({
  _tag: Schema.tag("ResponseTooLarge"),
  /** In bytes, after decompression. */
  limit: Schema.Int
}) {
  override get message(): string {
    return `The token endpoint returned more than ${this.limit / 1024} KiB. Check that it is an IMS endpoint.`
  }
}

/**
 * Says that IMS returned a status other than 200, without an OAuth error.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnexpectedStatus extends Schema.Error<UnexpectedStatus>("@effect-itwin/core/TokenError/UnexpectedStatus")({
  _tag: Schema.tag("UnexpectedStatus"),
  status: Schema.Int
}) {
  override get message(): string {
    return "The token endpoint returned neither a token nor an OAuth error. Check the endpoint, and any proxy in front of it."
  }
}

/**
 * Says that code of the program threw, or its effect died. This is a bug in the program, not an outage.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Defect extends Schema.Error<Defect>("@effect-itwin/core/TokenError/Defect")({
  _tag: Schema.tag("Defect"),
  /** What threw: `HttpClient` or `Tracer`. */
  module: Schema.String,
  ...defectFields
}) {
  override get message(): string {
    return `The ${this.module} of this program ${describeDefect(this)}`
  }
}

const signedOut: Record<SignedOut["why"], string> = {
  unknown: "does not exist",
  ended: "was ended",
  expired: "has expired",
  rejected: "was ended by IMS"
}

/**
 * Says that the user is signed out, so there is no token until the user signs in again.
 *
 * @category reasons
 * @since 0.1.0
 */
export class SignedOut extends Schema.Error<SignedOut>("@effect-itwin/core/TokenError/SignedOut")({
  _tag: Schema.tag("SignedOut"),
  /**
   * `unknown`: the store has no such session any more. `ended`: the user signed out meanwhile. `expired`: the session
   * reached its longest life, or its access token expired and there is no refresh token. `rejected`: IMS rejected the
   * refresh token.
   */
  why: Schema.Literals(["unknown", "ended", "expired", "rejected"])
}) {
  override get message(): string {
    return `The session of the user ${signedOut[this.why]}. Ask the user to sign in again.`
  }
}

/**
 * Says that the store of the sessions failed. No request was sent to IMS.
 *
 * @category reasons
 * @since 0.1.0
 */
export class SessionUnavailable extends Schema.Error<SessionUnavailable>(
  "@effect-itwin/core/TokenError/SessionUnavailable"
)({
  _tag: Schema.tag("SessionUnavailable"),
  /** What the store reported. Contains no part of a session. */
  error: Schema.Struct({
    /** The name of the store. */
    store: Schema.String,
    kind: Schema.Literals(["timeout", "unavailable", "refused"]),
    detail: Schema.String
  })
}) {
  override get message(): string {
    const { detail, kind, store } = this.error
    return `The session store ${store} failed (${kind}): ${detail} ${checkPath}`
  }
}

/**
 * Says that the token cache was closed.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Closed extends Schema.Error<Closed>("@effect-itwin/core/TokenError/Closed")({
  _tag: Schema.tag("Closed")
}) {
  override get message(): string {
    return "The layer of the token cache is closed. Keep it open as long as the program needs tokens."
  }
}

/**
 * Lists the reasons of a `TokenError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export const TokenErrorReason = Schema.Union([
  SecretUnavailable,
  InvalidClient,
  UnauthorizedClient,
  InvalidScope,
  InvalidGrant,
  InvalidRequest,
  UnsupportedGrantType,
  OAuthError,
  RateLimited,
  ServerError,
  Transport,
  Timeout,
  RedirectRefused,
  OriginRefused,
  InvalidResponse,
  ResponseTooLarge,
  UnexpectedStatus,
  Defect,
  SignedOut,
  SessionUnavailable,
  Closed
])

/**
 * Names the reasons of a `TokenError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export type TokenErrorReason = typeof TokenErrorReason.Type

/** The reasons of failures before a request was sent to the endpoint. */
const local: ReadonlyArray<TokenErrorReason["_tag"]> = [
  "SecretUnavailable",
  "OriginRefused",
  "Defect",
  "SignedOut",
  "SessionUnavailable",
  "Closed"
]

/**
 * Tells that there is no token, or that it was not sent; `reason` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenError extends Schema.Error<TokenError>("@effect-itwin/core/TokenError")({
  _tag: Schema.tag("TokenError"),
  reason: TokenErrorReason,
  /** The token endpoint. */
  endpoint: Schema.String,
  clientId: Schema.optional(Schema.String),
  /** The status of the response, if there was one. */
  status: Schema.optional(Schema.Int),
  /** The response's `X-Correlation-Id`, otherwise the one that was sent. */
  correlationId: Schema.optional(Schema.String),
  /** Set if the error of an earlier request is returned again: no request is made before this time has passed. */
  nextAttemptIn: Schema.optional(Schema.Duration)
}) {
  /**
   * Tells whether the same request may succeed later without a change.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    const { reason } = this
    switch (reason._tag) {
      case "SecretUnavailable":
        return reason.error.isRetryable
      case "RateLimited":
      case "ServerError":
      case "Timeout":
      case "SessionUnavailable":
        return true
      case "Transport":
        // An unknown host, an untrusted certificate and missing proxy credentials need a change by a person.
        return reason.kind !== "tls" && reason.code !== "ENOTFOUND" && reason.code !== "407"
      case "UnexpectedStatus":
        // Request Timeout allows the client to repeat the request (RFC 9110 §15.5.9).
        return reason.status === 408
      default:
        return false
    }
  }

  /**
   * Returns how long the server asked to wait, if it did.
   *
   * @since 0.1.0
   */
  get retryAfter(): Duration.Duration | undefined {
    const { reason } = this
    if (reason._tag === "SecretUnavailable") return reason.error.retryAfter
    return "retryAfter" in reason ? reason.retryAfter : undefined
  }

  override get message(): string {
    const { clientId, correlationId, endpoint, nextAttemptIn, reason, status } = this
    const facts = [
      local.includes(reason._tag) ? undefined : `token endpoint ${endpoint}`,
      clientId === undefined ? undefined : `client id ${clientId}`,
      status === undefined ? undefined : `status ${status}`,
      correlationId === undefined ? undefined : `correlation id ${correlationId}`,
      nextAttemptIn === undefined ? undefined : `next attempt in ${formatDuration(nextAttemptIn)}`
    ].filter((fact) => fact !== undefined)
    const known = facts.length === 0 ? "" : ` (${facts.join(", ")})`
    const paragraph =
      reason._tag === "SecretUnavailable" ? `secret-${reason.error.reason._tag}` : `token-${reason._tag}`
    return `${reason.message}${known} See docs/errors.md#${paragraph.toLowerCase()}`
  }
}

/**
 * Returns whether the value is a `TokenError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTokenError: (value: unknown) => value is TokenError = Schema.is(TokenError)

/**
 * Returns the `TokenError` that an error of `ITwinHttpClient.layerHttpClient` contains. The plain `HttpClient` can't fail
 * with it directly.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromHttpClientError = ({ reason }: HttpClientError.HttpClientError): Option.Option<TokenError> =>
  Option.filter(Option.some(reason.cause), isTokenError)
