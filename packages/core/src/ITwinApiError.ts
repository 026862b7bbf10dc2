/**
 * What an iTwin Platform API answers instead of what was asked for.
 *
 * One error, `ITwinApiError`, whose `reason` is chosen by the **status**: the platform's codes vary in casing and
 * between APIs. The code, message and details of the answer are kept for people.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { readText } from "./internal/http/readText.ts"
import { parseRetryAfter } from "./internal/http/retryAfter.ts"
import { secretsOf } from "./internal/http/unauthenticated.ts"
import { scrubCorrelationId, scrubText } from "./internal/shown/scrub.ts"

/**
 * One entry of the envelope's `details`.
 *
 * @category models
 * @since 0.1.0
 */
export const Detail = Schema.Struct({
  code: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  target: Schema.optionalKey(Schema.NullOr(Schema.String))
})

const fields = {
  /** The platform's code, such as `InsufficientPermissions`, if the answer had one. */
  code: Schema.optional(Schema.String),
  /** The platform's own words. */
  detail: Schema.optional(Schema.String),
  details: Schema.optional(Schema.Array(Detail))
}

type Fields = {
  readonly code?: string | undefined
  readonly detail?: string | undefined
  readonly details?: ReadonlyArray<typeof Detail.Type> | undefined
}

const sayings = ({ code, message }: { readonly code?: string | undefined; readonly message?: string | undefined }) =>
  [code, message].filter((part) => part !== undefined).join(": ")

/** The first details are in the message; all are in `details`. */
const describe = (what: string, { code, detail, details = [] }: Fields, advice: string): string => {
  const said = [sayings({ code, message: detail }), ...details.slice(0, 3).map(sayings)].filter((part) => part !== "")
  return `${what}${said.length === 0 ? "" : ` (${said.join("; ")})`}. ${advice}`
}

/**
 * 401: the token was missing, expired, or of an app that the API does not know.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unauthorized extends Schema.Error<Unauthorized>("@effect-itwin/core/ITwinApiError/Unauthorized")({
  _tag: Schema.tag("Unauthorized"),
  ...fields
}) {
  override get message(): string {
    return describe("The API does not accept the token", this, "Check that token and API are of one environment.")
  }
}

/**
 * 403: the token is good and the app has no role that permits this.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Forbidden extends Schema.Error<Forbidden>("@effect-itwin/core/ITwinApiError/Forbidden")({
  _tag: Schema.tag("Forbidden"),
  ...fields
}) {
  override get message(): string {
    return describe("The app may not do this", this, "Add the app's e-mail to the iTwin, with a role that permits it.")
  }
}

/**
 * 404: there is no such thing, or the app may not know of it.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotFound extends Schema.Error<NotFound>("@effect-itwin/core/ITwinApiError/NotFound")({
  _tag: Schema.tag("NotFound"),
  ...fields
}) {
  override get message(): string {
    return describe("The API found nothing", this, "Check the id, and that the app was added to the iTwin.")
  }
}

/**
 * 422: the request was understood and its content is not valid; `details` names the fields.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unprocessable extends Schema.Error<Unprocessable>("@effect-itwin/core/ITwinApiError/Unprocessable")({
  _tag: Schema.tag("Unprocessable"),
  ...fields
}) {
  override get message(): string {
    return describe("The API does not accept the content of the request", this, "See details for the fields.")
  }
}

/**
 * 429: too many calls for the app's tier.
 *
 * @category reasons
 * @since 0.1.0
 */
export class RateLimited extends Schema.Error<RateLimited>("@effect-itwin/core/ITwinApiError/RateLimited")({
  _tag: Schema.tag("RateLimited"),
  ...fields,
  retryAfter: Schema.optional(Schema.Duration)
}) {
  override get message(): string {
    const when = this.retryAfter === undefined ? "Wait" : `Wait ${Duration.format(this.retryAfter)}`
    return describe("The API limits the rate of calls", this, `${when} before the next one.`)
  }
}

/**
 * 5xx.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unavailable extends Schema.Error<Unavailable>("@effect-itwin/core/ITwinApiError/Unavailable")({
  _tag: Schema.tag("Unavailable"),
  ...fields,
  retryAfter: Schema.optional(Schema.Duration)
}) {
  override get message(): string {
    return describe("The API failed", this, "Try again later.")
  }
}

/**
 * Any other status, or a success whose body is not what the API documents.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unexpected extends Schema.Error<Unexpected>("@effect-itwin/core/ITwinApiError/Unexpected")({
  _tag: Schema.tag("Unexpected"),
  ...fields
}) {
  override get message(): string {
    return describe("The API's answer is not one it documents", this, "Quote the correlation id to support.")
  }
}

/**
 * @category reasons
 * @since 0.1.0
 */
export const ITwinApiErrorReason = Schema.Union([
  Unauthorized,
  Forbidden,
  NotFound,
  Unprocessable,
  RateLimited,
  Unavailable,
  Unexpected
])

/**
 * @category reasons
 * @since 0.1.0
 */
export type ITwinApiErrorReason = typeof ITwinApiErrorReason.Type

/**
 * An API did not do what was asked; `reason` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export class ITwinApiError extends Schema.Error<ITwinApiError>("@effect-itwin/core/ITwinApiError")({
  _tag: Schema.tag("ITwinApiError"),
  reason: ITwinApiErrorReason,
  method: Schema.String,
  /** Without query. */
  url: Schema.String,
  status: Schema.Int,
  /** The answer's `X-Correlation-Id`; support asks for it. */
  correlationId: Schema.optional(Schema.String)
}) {
  override get message(): string {
    const id = this.correlationId === undefined ? "" : `, correlation id ${this.correlationId}`
    return `${this.reason.message} (${this.method} ${this.url}, status ${this.status}${id})`
  }
}

// {"error":{"code","message","details"}} of the APIs, and {"statusCode","message"} of the gateway before them.
const Envelope = Schema.Struct({
  error: Schema.Struct({
    code: Schema.optionalKey(Schema.String),
    message: Schema.optionalKey(Schema.String),
    details: Schema.optionalKey(Schema.NullOr(Schema.Array(Detail)))
  })
})
const GatewayEnvelope = Schema.Struct({ message: Schema.String })

const decodeEnvelope = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Union([Envelope, GatewayEnvelope])))

/** What the envelope says, without the token, which a gateway may quote. */
const fieldsOf = (body: string, secrets: ReadonlyArray<string>) => {
  const envelope = decodeEnvelope(body)
  if (Result.isFailure(envelope)) return {}
  const clean = (text: string | undefined, limit: number) =>
    text === undefined ? undefined : scrubText(text, secrets, limit)
  if (!("error" in envelope.success)) return { detail: clean(envelope.success.message, 512) }
  const { code, message, details } = envelope.success.error
  return {
    code: clean(code, 64),
    detail: clean(message, 512),
    details: details?.slice(0, 20).map((detail) => ({
      ...(detail.code === undefined ? {} : { code: scrubText(detail.code, secrets, 64) }),
      ...(detail.message === undefined ? {} : { message: scrubText(detail.message, secrets, 512) }),
      ...(detail.target === undefined || detail.target === null
        ? {}
        : { target: scrubText(detail.target, secrets, 128) })
    }))
  }
}

const reasonOf = (
  { status }: HttpClientResponse.HttpClientResponse,
  fields: ReturnType<typeof fieldsOf>,
  retryAfter: Duration.Duration | undefined
): ITwinApiErrorReason => {
  if (status === 401) return new Unauthorized(fields)
  if (status === 403) return new Forbidden(fields)
  if (status === 404) return new NotFound(fields)
  if (status === 422) return new Unprocessable(fields)
  if (status === 429) return new RateLimited({ ...fields, retryAfter })
  if (status >= 500) return new Unavailable({ ...fields, retryAfter })
  return new Unexpected(fields)
}

const make = (response: HttpClientResponse.HttpClientResponse, reason: ITwinApiErrorReason): ITwinApiError =>
  new ITwinApiError({
    reason,
    method: response.request.method,
    url: response.url.split("?")[0] ?? "",
    status: response.status,
    correlationId: scrubCorrelationId(response.headers["x-correlation-id"], secretsOf(response))
  })

/** Up to the limit; a body that was read before fails, or is empty, when it is read so again: its text is still there. */
const bodyOf = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.flatMap(Effect.exit(readText(response)), (exit) =>
    Exit.isSuccess(exit) && exit.value.text !== ""
      ? Effect.succeed(exit.value.text)
      : Effect.catchCause(response.text, () => Effect.map(exit, ({ text }) => text))
  )

/**
 * Fails with the error that an unsuccessful response stands for.
 *
 * **Details**
 *
 * Reads no more than 256 KiB of the body. What is no envelope then is not quoted: the error tells the status alone.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromResponse: (
  response: HttpClientResponse.HttpClientResponse
) => Effect.Effect<never, ITwinApiError | HttpClientError.HttpClientError> = Effect.fnUntraced(function* (response) {
  const body = yield* bodyOf(response)
  const retryAfter = parseRetryAfter(response.headers, yield* DateTime.now)
  return yield* make(response, reasonOf(response, fieldsOf(body, secretsOf(response)), retryAfter))
})

/**
 * Decodes the JSON body of a 2xx; any other answer, and a body that does not fit, becomes an `ITwinApiError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const schemaBodyJson = <S extends Schema.Constraint>(schema: S) => {
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.toCodecJson(schema)))
  return (
    response: HttpClientResponse.HttpClientResponse
  ): Effect.Effect<S["Type"], ITwinApiError | HttpClientError.HttpClientError, S["DecodingServices"]> =>
    response.status >= 200 && response.status < 300
      ? Effect.flatMap(response.text, (body) =>
          Effect.mapError(decode(body), (error) => make(response, new Unexpected({ detail: error.message })))
        )
      : fromResponse(response)
}
