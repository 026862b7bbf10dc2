/**
 * Why there is no access token, or why one was not sent.
 *
 * One error, `TokenError`, whose `reason` tells the cases apart:
 * `Effect.catchReason("TokenError", "InvalidClient", …)`. Its message says what to do; `status`, `correlationId` and
 * `endpoint` are what Bentley's support asks for.
 *
 * **Gotchas**
 *
 * Text that a server sent (`description`) is scrubbed of credentials and cut to 256 characters before it gets here. No
 * foreign error is attached as `cause`: an HTTP client's error holds the request, and with it the secret.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { defectFields, describeDefect } from "./internal/shown/defect.ts"
import { SecretProviderError } from "./SecretProviderError.ts"

/** What an OAuth error answer holds beside its code (RFC 6749 §5.2). */
const oauth = {
  /** `error_description`, scrubbed. */
  description: Schema.optional(Schema.String)
}

const quote = (description: string | undefined): string => (description ? ` ("${description}")` : "")

/**
 * The secret provider failed; IMS was not asked.
 *
 * @category reasons
 * @since 0.1.0
 */
export class SecretUnavailable extends Schema.Error<SecretUnavailable>(
  "@effect-itwin/core/TokenError/SecretUnavailable"
)({ _tag: Schema.tag("SecretUnavailable"), error: SecretProviderError }) {
  override get message(): string {
    return `The app's credentials could not be read. ${this.error.message}`
  }
}

/**
 * `invalid_client`: IMS does not accept this id with this secret.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidClient extends Schema.Error<InvalidClient>("@effect-itwin/core/TokenError/InvalidClient")({
  _tag: Schema.tag("InvalidClient"),
  ...oauth,
  /** This very secret gave tokens before. */
  workedBefore: Schema.optional(Schema.Boolean)
}) {
  override get message(): string {
    if (this.workedBefore === true) {
      return (
        `IMS does not accept the secret that it accepted before${quote(this.description)}: it was revoked, or IMS is ` +
        "in maintenance. Check the app's page; a new secret is picked up by itself."
      )
    }
    return (
      `IMS does not accept the client id or its secret${quote(this.description)}. Check that both are whole, belong to ` +
      "the same app and to this environment, and that the secret was not re-generated since. During maintenance IMS " +
      "says the same of correct ones."
    )
  }
}

/**
 * `unauthorized_client`: the app exists, and may not use the client credentials grant.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnauthorizedClient extends Schema.Error<UnauthorizedClient>(
  "@effect-itwin/core/TokenError/UnauthorizedClient"
)({ _tag: Schema.tag("UnauthorizedClient"), ...oauth }) {
  override get message(): string {
    return `The app may not ask for a token in its own name${quote(this.description)}. Register an app of type "Service".`
  }
}

/**
 * `invalid_scope`: a requested scope is unknown, malformed or not granted to the app.
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
      `The app was not granted the scope "${this.scopes}"${quote(this.description)}. Add it on the app's page, or ask ` +
      `for what is listed there; new apps have "itwin-platform".`
    )
  }
}

/**
 * `invalid_grant`: IMS does not accept the authorization code or the refresh token (RFC 6749 §5.2).
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidGrant extends Schema.Error<InvalidGrant>("@effect-itwin/core/TokenError/InvalidGrant")({
  _tag: Schema.tag("InvalidGrant"),
  ...oauth
}) {
  override get message(): string {
    return `IMS rejected the grant${quote(this.description)}: it is invalid, has expired, or was revoked. Sign in again.`
  }
}

/**
 * `invalid_request`: IMS could not read the request.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidRequest extends Schema.Error<InvalidRequest>("@effect-itwin/core/TokenError/InvalidRequest")({
  _tag: Schema.tag("InvalidRequest"),
  ...oauth
}) {
  override get message(): string {
    return `The token endpoint could not read the request${quote(this.description)}. Check the endpoint and any proxy before it.`
  }
}

/**
 * `unsupported_grant_type`: the endpoint knows no client credentials grant.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnsupportedGrantType extends Schema.Error<UnsupportedGrantType>(
  "@effect-itwin/core/TokenError/UnsupportedGrantType"
)({ _tag: Schema.tag("UnsupportedGrantType"), ...oauth }) {
  override get message(): string {
    return `The token endpoint does not offer the client credentials grant${quote(this.description)}. Check that it is an IMS endpoint.`
  }
}

/**
 * An error code that RFC 6749 §5.2 does not define.
 *
 * @category reasons
 * @since 0.1.0
 */
export class OAuthError extends Schema.Error<OAuthError>("@effect-itwin/core/TokenError/OAuthError")({
  _tag: Schema.tag("OAuthError"),
  /** The code, scrubbed and cut to 64 characters. */
  code: Schema.String,
  ...oauth
}) {
  override get message(): string {
    return `The token endpoint refused with the code "${this.code}"${quote(this.description)}, which is not OAuth's. Ask support what it means.`
  }
}

/**
 * 429, or a cache that waits because of one.
 *
 * @category reasons
 * @since 0.1.0
 */
export class RateLimited extends Schema.Error<RateLimited>("@effect-itwin/core/TokenError/RateLimited")({
  _tag: Schema.tag("RateLimited"),
  /** How long the server asks to wait, if it said so. */
  retryAfter: Schema.optional(Schema.Duration)
}) {
  override get message(): string {
    const when = this.retryAfter === undefined ? "Wait" : `Wait ${Duration.format(this.retryAfter)}`
    return `The token endpoint limits the rate of requests. ${when} before asking again, and share one token cache per process.`
  }
}

/**
 * 5xx.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ServerError extends Schema.Error<ServerError>("@effect-itwin/core/TokenError/ServerError")({
  _tag: Schema.tag("ServerError"),
  status: Schema.Int,
  /** The OAuth error code, if the answer had one. */
  code: Schema.optional(Schema.String),
  retryAfter: Schema.optional(Schema.Duration),
  ...oauth
}) {
  override get message(): string {
    return `The token endpoint failed with status ${this.status}${quote(this.description)}. It may be down for maintenance; try again later.`
  }
}

/**
 * Where the exchange broke: name resolution, connection refused, connection lost, TLS, a proxy, or something else.
 *
 * @category reasons
 * @since 0.1.0
 */
export const TransportKind = Schema.Literals(["dns", "refused", "reset", "tls", "proxy", "other"])

/**
 * @category reasons
 * @since 0.1.0
 */
export type TransportKind = typeof TransportKind.Type

const transportAdvice: Record<TransportKind, string> = {
  dns: "The host of the token endpoint could not be resolved. Check its name and this machine's DNS.",
  refused: "Nothing listens at the token endpoint, or a firewall refuses. Check host and port.",
  reset: "The connection to the token endpoint was lost before the answer was whole. Try again.",
  tls: "No trusted TLS connection to the token endpoint. Check certificates (NODE_EXTRA_CA_CERTS), clock and proxy.",
  proxy: "The proxy did not let the request through. Check its address and credentials.",
  other: "The token endpoint could not be reached. Check the network between."
}

/**
 * No answer: the exchange broke before or amid it.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Transport extends Schema.Error<Transport>("@effect-itwin/core/TokenError/Transport")({
  _tag: Schema.tag("Transport"),
  kind: TransportKind,
  /** The runtime's code, such as `ECONNREFUSED`, if it has one; `407` if a proxy asks for credentials. */
  code: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return this.code === undefined ? transportAdvice[this.kind] : `${transportAdvice[this.kind]} [${this.code}]`
  }
}

/**
 * No whole answer in time, body included.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Timeout extends Schema.Error<Timeout>("@effect-itwin/core/TokenError/Timeout")({
  _tag: Schema.tag("Timeout"),
  /** The limit that was reached: that of one attempt, or that of all attempts together. */
  limit: Schema.Duration
}) {
  override get message(): string {
    return `The token endpoint gave no whole answer within ${Duration.format(this.limit)}. Try again; RetryPolicy sets the limits.`
  }
}

/**
 * The token endpoint redirects. Credentials are never sent along (RFC 9700 §4.12).
 *
 * @category reasons
 * @since 0.1.0
 */
export class RedirectRefused extends Schema.Error<RedirectRefused>("@effect-itwin/core/TokenError/RedirectRefused")({
  _tag: Schema.tag("RedirectRefused"),
  /** Where to, if that is known. */
  origin: Schema.optional(Schema.String),
  /** The given HTTP client followed by itself, against the request's settings: the secret may have left. */
  followed: Schema.Boolean
}) {
  override get message(): string {
    const where = this.origin === undefined ? "" : ` to ${this.origin}`
    return this.followed
      ? `The HTTP client followed a redirect of the token request${where}: the secret may have left. Rotate it, and give a client that does not follow redirects.`
      : `The token endpoint redirects${where}; credentials are not sent along. Correct the endpoint.`
  }
}

/**
 * An API request was to go to an origin that may not see the token. Nothing was sent.
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
      `The token may not be sent to ${this.origin}; allowed: ${this.allowed.join(", ")}. Use a plain HttpClient for ` +
      "other hosts, or list the origin in ITwinHttpClient.layerWith."
    )
  }
}

/**
 * A success that is none: not JSON, no token, or a field that must not be trusted.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidResponse extends Schema.Error<InvalidResponse>("@effect-itwin/core/TokenError/InvalidResponse")({
  _tag: Schema.tag("InvalidResponse"),
  /** What is wrong with it; no text of the answer. */
  detail: Schema.String
}) {
  override get message(): string {
    return `The answer of the token endpoint is not a token response: ${this.detail}. Check that the endpoint is IMS and no proxy answers for it.`
  }
}

/**
 * The answer's body is larger than any token response.
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
    return `The answer of the token endpoint is larger than ${this.limit} bytes. Check that the endpoint is IMS.`
  }
}

/**
 * A status that is neither success nor an OAuth error.
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnexpectedStatus extends Schema.Error<UnexpectedStatus>("@effect-itwin/core/TokenError/UnexpectedStatus")({
  _tag: Schema.tag("UnexpectedStatus"),
  status: Schema.Int
}) {
  override get message(): string {
    return `The token endpoint answered with status ${this.status} and no OAuth error. Check the endpoint and any proxy before it.`
  }
}

/**
 * Code of the program that this library calls threw, or its effect died: a bug in the program, not an outage.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Defect extends Schema.Error<Defect>("@effect-itwin/core/TokenError/Defect")({
  _tag: Schema.tag("Defect"),
  /** What threw: `HttpClient`, `Tracer`. */
  module: Schema.String,
  ...defectFields
}) {
  override get message(): string {
    return `The ${this.module} of this program ${describeDefect(this)}`
  }
}

/**
 * The token cache was closed.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Closed extends Schema.Error<Closed>("@effect-itwin/core/TokenError/Closed")({
  _tag: Schema.tag("Closed")
}) {
  override get message(): string {
    return "The token cache is closed. Keep its layer open as long as tokens are needed."
  }
}

/**
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
  Closed
])

/**
 * @category reasons
 * @since 0.1.0
 */
export type TokenErrorReason = typeof TokenErrorReason.Type

/**
 * There is no token; `reason` says why.
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
  /** The status of the answer, if there was one. */
  status: Schema.optional(Schema.Int),
  /** The answer's `X-Correlation-Id`, else the one that was sent. */
  correlationId: Schema.optional(Schema.String),
  /** This failure is replayed, and IMS is not asked again before this time has passed. */
  nextAttemptIn: Schema.optional(Schema.Duration)
}) {
  /**
   * Whether the same request can succeed a moment later without anybody doing anything.
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
        return true
      case "Transport":
        // An unknown host, an untrusted certificate and a proxy that wants credentials stay so; the rest may pass.
        return reason.kind !== "tls" && reason.code !== "ENOTFOUND" && reason.code !== "407"
      case "UnexpectedStatus":
        // Request Timeout invites another try (RFC 9110 §15.5.9).
        return reason.status === 408
      default:
        return false
    }
  }

  /**
   * How long the server asked to wait, if it did.
   *
   * @since 0.1.0
   */
  get retryAfter(): Duration.Duration | undefined {
    const { reason } = this
    if (reason._tag === "SecretUnavailable") return reason.error.retryAfter
    return "retryAfter" in reason ? reason.retryAfter : undefined
  }

  override get message(): string {
    const facts = [`token endpoint ${this.endpoint}`]
    if (this.clientId !== undefined) facts.push(`client ${this.clientId}`)
    if (this.status !== undefined) facts.push(`status ${this.status}`)
    if (this.correlationId !== undefined) facts.push(`correlation id ${this.correlationId}`)
    if (this.nextAttemptIn !== undefined) facts.push(`not asked again for ${Duration.format(this.nextAttemptIn)}`)
    return `${this.reason.message} (${facts.join(", ")})`
  }
}

/**
 * Returns whether the value is a `TokenError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTokenError: (value: unknown) => value is TokenError = Schema.is(TokenError)
