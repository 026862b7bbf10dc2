/**
 * The token request of the client credentials grant (RFC 6749 §4.4) as an Effect.
 *
 * Its two halves are pure and exported, so that what is sent and what is believed can be tested without I/O:
 * {@link encode} builds the request, {@link decode} turns an answer into a token or a typed error. {@link send} puts
 * them around an `HttpClient`, with time limits and retries from `RetryPolicy`.
 *
 * **Gotchas**
 *
 * `send` asks every time; `TokenCache` is what a program uses. Middleware on the given `HttpClient` sees the form body,
 * and with it the secret.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import { AccessToken } from "./AccessToken.ts"
import type { ClientCredentials } from "./ClientCredentials.ts"
import * as Environment from "./Environment.ts"
import { withoutHttpClientSpan } from "./internal/http/clientSpan.ts"
import { withoutRedirects } from "./internal/http/fetchOptions.ts"
import { discard, maxBodyBytes, readText } from "./internal/http/readText.ts"
import { parseRetryAfter } from "./internal/http/retryAfter.ts"
import { transportReason } from "./internal/http/transport.ts"
import { formEncode, redact, scrub, scrubCorrelationId } from "./internal/shown/scrub.ts"
import { version } from "./internal/version.ts"
import { RetryPolicy } from "./RetryPolicy.ts"
import * as Scopes from "./Scopes.ts"
import * as TokenError from "./TokenError.ts"

/**
 * How the client proves who it is (RFC 6749 §2.3.1): id and secret in the form, as Bentley documents, or in an
 * `Authorization: Basic` header.
 *
 * @category models
 * @since 0.1.0
 */
export type ClientAuthentication = "client_secret_post" | "client_secret_basic"

/**
 * The method in use; `client_secret_post` unless provided.
 *
 * @category references
 * @since 0.1.0
 */
export const ClientAuthentication: Context.Reference<ClientAuthentication> = Context.Reference<ClientAuthentication>(
  "@effect-itwin/core/TokenRequest/ClientAuthentication",
  { defaultValue: () => "client_secret_post" }
)

/**
 * What a token is asked for with, and for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly credentials: ClientCredentials
  readonly scopes: Scopes.Scopes
  /** What else of this client's a server may repeat, and no message may show: earlier credentials, tokens at hand. */
  readonly held?: ReadonlyArray<ClientCredentials | AccessToken> | undefined
}

const maxTokenLength = 32 * 1024
const maxScopeLength = 4 * 1024
const defaultLifeSeconds = 300
const maxLifeSeconds = 24 * 60 * 60

const basicCredentials = ({ clientId, clientSecret }: ClientCredentials): readonly [string, string] => [
  formEncode(clientId),
  formEncode(Redacted.value(clientSecret))
]

/**
 * Builds the request: a form POST with `grant_type=client_credentials` and `scope`.
 *
 * Id and secret are form-encoded in both methods, so `+`, `/`, `=` and non-ASCII characters arrive whole (RFC 6749
 * appendix B).
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
 * An answer of the token endpoint, read whole.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly status: number
  readonly headers: Headers.Headers
  readonly body: string
}

/**
 * What an answer is judged by: what was asked, where and when.
 *
 * @category models
 * @since 0.1.0
 */
export interface Question extends Options {
  readonly endpoint: string
  readonly correlationId: string
  /** The moment before the request was sent; the token's life counts from here. */
  readonly sentAt: DateTime.Utc
  /** The moment the answer was read; a `Retry-After` that is a date counts from here. */
  readonly receivedAt: DateTime.Utc
}

type JsonObject = Readonly<Record<string, unknown>>

const decodeJson = Schema.decodeResult(Schema.fromJsonString(Schema.Unknown))

const parseObject = (body: string): JsonObject | undefined => {
  const json = Result.getOrUndefined(decodeJson(body))
  return Predicate.isObject(json) ? json : undefined
}

/** Whole seconds: absent 300, at most 24 h; undefined if it is no life at all. */
const parseLife = (value: unknown): number | undefined => {
  if (Predicate.isNullish(value)) return defaultLifeSeconds
  const seconds = Predicate.isString(value) && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value
  return Predicate.isNumber(seconds) && seconds >= 0 ? Math.min(Math.floor(seconds), maxLifeSeconds) : undefined
}

const parseToken = (json: JsonObject, question: Question): Result.Result<AccessToken, TokenError.InvalidResponse> => {
  const invalid = (detail: string) => Result.fail(new TokenError.InvalidResponse({ detail }))
  const token = json.access_token
  if (!Predicate.isString(token)) return invalid("access_token is not a string")
  if (token.length > maxTokenLength) return invalid(`access_token is longer than ${maxTokenLength} characters`)
  // b64token, RFC 6750 §2.1
  if (!/^[A-Za-z0-9\-._~+/]+=*$/.test(token)) return invalid("access_token is empty or has a forbidden character")
  const type = json.token_type
  if (!Predicate.isString(type) || type.toLowerCase() !== "bearer") return invalid("token_type is not Bearer")
  const life = parseLife(json.expires_in)
  if (life === undefined) return invalid("expires_in is not a number of seconds")
  let scopes = question.scopes
  if (Predicate.isNotNullish(json.scope) && json.scope !== "" && json.scope !== scopes) {
    if (Predicate.isString(json.scope) && json.scope.length > maxScopeLength) {
      return invalid(`scope is longer than ${maxScopeLength} characters`)
    }
    const granted = Predicate.isString(json.scope) ? Scopes.parse(json.scope) : undefined
    if (granted === undefined || Result.isFailure(granted)) return invalid("scope is not a list of scope tokens")
    scopes = granted.success
    // A secret as short as a word may be part of a scope by chance.
    const secrets = [...secretsOf(question).filter((secret) => secret.length >= 16), token]
    if (redact(scopes, secrets) !== scopes) return invalid("scope repeats the secret or the token")
  }
  return Result.succeed(
    new AccessToken({
      value: Redacted.make(token),
      tokenType: "Bearer",
      scopes,
      requestedScopes: question.scopes,
      clientId: question.credentials.clientId,
      issuedAt: question.sentAt,
      expiresAt: DateTime.add(question.sentAt, { seconds: life })
    })
  )
}

const redirectReason = (endpoint: string, location: string | undefined, followed: boolean) => {
  const target = location === undefined ? null : URL.parse(location, endpoint)
  return new TokenError.RedirectRefused({ origin: target === null ? undefined : target.origin, followed })
}

const secretsOf = ({ credentials, held = [] }: Options): ReadonlyArray<string> =>
  [credentials, ...held].flatMap((holder) =>
    "clientSecret" in holder
      ? [Base64.encode(basicCredentials(holder).join(":")), Redacted.value(holder.clientSecret)]
      : [Redacted.value(holder.value)]
  )

const errorOf = (answer: Pick<Answer, "status" | "headers">, question: Question, reason: TokenError.TokenErrorReason) =>
  new TokenError.TokenError({
    reason,
    endpoint: question.endpoint,
    clientId: question.credentials.clientId,
    status: answer.status,
    correlationId: scrubCorrelationId(answer.headers["x-correlation-id"], secretsOf(question)) ?? question.correlationId
  })

/** The OAuth error of an answer (RFC 6749 §5.2), scrubbed. */
const parseOAuthError = (json: JsonObject | undefined, question: Question) => {
  if (json === undefined || !Predicate.isString(json.error) || json.error === "") return undefined
  const secrets = [...secretsOf(question), ...(Predicate.isString(json.access_token) ? [json.access_token] : [])]
  return {
    code: scrub(json.error, secrets, 64),
    description: Predicate.isString(json.error_description) ? scrub(json.error_description, secrets, 256) : undefined
  }
}

const failureReason = (
  answer: Answer,
  json: JsonObject | undefined,
  question: Question
): TokenError.TokenErrorReason => {
  const { status } = answer
  const error = parseOAuthError(json, question)
  const retryAfter = parseRetryAfter(answer.headers, question.receivedAt)
  if (status === 429) return new TokenError.RateLimited({ retryAfter })
  if (status >= 500) {
    return new TokenError.ServerError({ status, code: error?.code, description: error?.description, retryAfter })
  }
  if (status === 407) return new TokenError.Transport({ kind: "proxy", code: "407" })
  if (error === undefined) {
    return status === 200
      ? new TokenError.InvalidResponse({
          detail: json === undefined ? "not a JSON object" : "no access_token, or an error beside it"
        })
      : new TokenError.UnexpectedStatus({ status })
  }
  const { code, description } = error
  switch (code) {
    case "invalid_client":
      return new TokenError.InvalidClient({ description })
    case "unauthorized_client":
      return new TokenError.UnauthorizedClient({ description })
    case "invalid_scope":
      return new TokenError.InvalidScope({ scopes: question.scopes, description })
    case "invalid_request":
      return new TokenError.InvalidRequest({ description })
    case "unsupported_grant_type":
      return new TokenError.UnsupportedGrantType({ description })
    default:
      return new TokenError.OAuthError({ code, description })
  }
}

/**
 * Turns an answer into a token or a typed error.
 *
 * **Details**
 *
 * A token is taken only from a 200 whose body is a JSON object, whatever its content type says. `expires_in` may be
 * absent (300 s), digits in a string, or a fraction (floored); more than 24 h counts as 24 h. `scope` may be absent and
 * then equals what was requested (RFC 6749 §5.1). OAuth errors (§5.2) are read on every other answer.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (answer: Answer, question: Question): Result.Result<AccessToken, TokenError.TokenError> => {
  if (answer.status === 0 || (answer.status >= 300 && answer.status < 400)) {
    const reason = redirectReason(question.endpoint, answer.headers.location, false)
    return Result.fail(errorOf(answer, question, reason))
  }
  const json = parseObject(answer.body)
  if (answer.status === 200 && json !== undefined && Predicate.isNotNullish(json.access_token) && !json.error) {
    return Result.mapError(parseToken(json, question), (reason) => errorOf(answer, question, reason))
  }
  return Result.fail(errorOf(answer, question, failureReason(answer, json, question)))
}

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

/** One exchange: asks, reads, decodes. No retry, no time limit. */
const exchange = Effect.fnUntraced(function* (
  options: Options & { readonly endpoint: string; readonly authentication: ClientAuthentication }
): Effect.fn.Return<AccessToken, TokenError.TokenError, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const correlationId = yield* makeCorrelationId
  const sentAt = yield* DateTime.now
  const request = encode({ ...options, correlationId })
  const question = { ...options, correlationId, sentAt, receivedAt: sentAt }
  const broken = (reason: TokenError.TokenErrorReason, status?: number) =>
    new TokenError.TokenError({
      reason,
      endpoint: options.endpoint,
      clientId: options.credentials.clientId,
      status,
      correlationId
    })
  const response = yield* client.execute(request).pipe(
    // A given client may turn statuses into failures; the answer in them is what we are after.
    Effect.catchIf(
      (error) => error.reason._tag === "StatusCodeError",
      (error) => (error.response === undefined ? Effect.fail(error) : Effect.succeed(error.response))
    ),
    Effect.mapError((error) => broken(transportReason(error.reason.cause, "other"))),
    // A defect of the given client may hold the request, and with it the secret.
    Effect.catchDefect(() => Effect.fail(broken(new TokenError.Transport({ kind: "other", code: "DEFECT" }))))
  )
  const url = response.url
  if (url !== "" && url !== options.endpoint) {
    yield* discard(response)
    return yield* errorOf(response, question, redirectReason(options.endpoint, url, true))
  }
  const body = yield* readText(response).pipe(
    Effect.mapError((error) => broken(transportReason(error.reason.cause, "reset"), response.status)),
    Effect.catchDefect(() =>
      Effect.fail(broken(new TokenError.Transport({ kind: "other", code: "DEFECT" }), response.status))
    )
  )
  if (body.isCut) {
    return yield* broken(new TokenError.ResponseTooLarge({ limit: maxBodyBytes }), response.status)
  }
  const answer = { status: response.status, headers: response.headers, body: body.text }
  return yield* Effect.fromResult(decode(answer, { ...question, receivedAt: yield* DateTime.now }))
})

/**
 * Asks IMS for a token, within the limits of `RetryPolicy`.
 *
 * **Details**
 *
 * Reads `Environment`, `RetryPolicy` and `ClientAuthentication` from the context. Redirects are refused, trace headers
 * are not propagated, and each attempt has a fresh `X-Correlation-Id`. Only failures that can pass are retried; a
 * `Retry-After` longer than the policy allows fails at once and is in the error.
 *
 * @category requests
 * @since 0.1.0
 */
export const send: (options: Options) => Effect.Effect<AccessToken, TokenError.TokenError, HttpClient.HttpClient> =
  // Not `Effect.fn` nor `withSpan`: the stacks that they keep for each call show in the time of a request.
  Effect.fnUntraced(function* (options: Options) {
    const endpoint = (yield* Environment.current).tokenEndpoint
    const authentication = yield* ClientAuthentication
    const policy = yield* RetryPolicy
    const clock = yield* Clock.Clock
    const requestInit = yield* withoutRedirects(yield* HttpClient.HttpClient)
    const attributes = {
      "http.request.method": "POST",
      "url.full": endpoint,
      "itwin.client_id": options.credentials.clientId,
      "itwin.scopes": options.scopes
    }
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const deadline = now() + Duration.toMillis(policy.totalTimeout)
    const timeLeft = () => Duration.millis(deadline - now())
    const attempt = Effect.suspend(() => {
      const left = timeLeft()
      const limit = Duration.isLessThan(left, policy.attemptTimeout) ? policy.totalTimeout : policy.attemptTimeout
      return Effect.timeoutOrElse(exchange({ ...options, endpoint, authentication }), {
        duration: Duration.min(left, policy.attemptTimeout),
        orElse: () =>
          Effect.fail(
            new TokenError.TokenError({
              reason: new TokenError.Timeout({ limit }),
              endpoint,
              clientId: options.credentials.clientId
            })
          )
      })
    })
    return yield* Effect.useSpan("TokenRequest.send", { attributes }, (span) =>
      Effect.retry(attempt, {
        times: policy.attempts - 1,
        while: (error) =>
          error.isRetryable && Duration.isLessThanOrEqualTo(error.retryAfter ?? Duration.zero, policy.maxRetryAfter),
        schedule: Schedule.exponential(policy.baseDelay).pipe(
          Schedule.jittered,
          Schedule.setInputType<TokenError.TokenError>(),
          Schedule.modifyDelay(({ duration, input }) =>
            Effect.succeed(Duration.max(duration, input.retryAfter ?? Duration.zero))
          ),
          Schedule.while(({ duration }) => Duration.isLessThan(duration, timeLeft()))
        )
      }).pipe(
        Effect.provideService(FetchHttpClient.RequestInit, requestInit),
        // Its span would end with an error that holds the request, and with it the secret. This one has all it tells.
        withoutHttpClientSpan,
        Effect.provideService(Tracer.ParentSpan, span)
      )
    )
  })
