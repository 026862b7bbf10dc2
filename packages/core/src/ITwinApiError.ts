/**
 * Tells why an iTwin Platform API did not do what a request asked for.
 *
 * One error, `ITwinApiError`, whose `reason` is chosen by the **status**: the platform's codes vary in casing and
 * between APIs. The code, message and details of the response are kept for people.
 *
 * **Example** (Decoding the body of a response)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, ITwinApiError, ITwinHttpClient } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer, Schema } from "effect"
 *
 * const decode = ITwinApiError.schemaBodyJson(Schema.Struct({ iTwins: Schema.Array(Schema.Json) }))
 *
 * it.effect("returns nothing when the API does not know the path", () =>
 *   Effect.gen(function* () {
 *     const api = yield* ITwinHttpClient.ITwinHttpClient
 *     const found = yield* api.get("/unknown").pipe(
 *       Effect.flatMap(decode),
 *       Effect.catchReason("ITwinApiError", "NotFound", () => Effect.succeed({ iTwins: [] }))
 *     )
 *     assert.deepStrictEqual(found.iTwins, [])
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
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
import * as SchemaIssue from "effect/SchemaIssue"
import { readText } from "./internal/http/readText.ts"
import { parseRetryAfter } from "./internal/http/retryAfter.ts"
import { clientEmailOf, secretsOf } from "./internal/http/unauthenticated.ts"
import { makeServerText, type ServerText } from "./internal/shown/serverText.ts"

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
  /** The platform's code, such as `InsufficientPermissions`, if the response had one. */
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

/** The client's e-mail, which a person invites to an iTwin; known for a response of `ITwinHttpClient`. */
const clientEmail = Schema.optional(Schema.String)

const maxDetails = 3

/** Without the full stop: an advice follows. */
const said = (...parts: ReadonlyArray<string | null | undefined>): string =>
  parts
    .filter((part) => part !== undefined && part !== null && part !== "")
    .join(": ")
    .replace(/\.$/, "")

/** Three details at most are in the message; all are in `details`. */
const describe = (what: string, { code, detail, details = [] }: Fields, advice: string): string => {
  const all = details.map(({ code, message, target }) => said(target, message ?? code)).filter((text) => text !== "")
  const rest = all.length - maxDetails
  const parts = [said(code, detail), ...all.slice(0, maxDetails), rest > 0 ? `and ${rest} more` : ""]
  const text = parts.filter((part) => part !== "").join("; ")
  return `${what}${text === "" ? "" : ` (${text})`}. ${advice}`.trimEnd()
}

const waitAdvice = (retryAfter: Duration.Duration | undefined): string =>
  retryAfter === undefined
    ? "Retry the call with growing pauses."
    : `The API asked to wait ${Duration.toSeconds(retryAfter)} s; retry the call then.`

/**
 * 401: the token was missing, has expired, was revoked, or belongs to an app that the API does not know.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unauthorized extends Schema.Error<Unauthorized>("@effect-itwin/core/ITwinApiError/Unauthorized")({
  _tag: Schema.tag("Unauthorized"),
  ...fields
}) {
  override get message(): string {
    return describe(
      "The API rejected the token",
      this,
      "Check that the token and the API belong to the same environment."
    )
  }
}

/**
 * 403: the token is valid, but the app has no role with the permission.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Forbidden extends Schema.Error<Forbidden>("@effect-itwin/core/ITwinApiError/Forbidden")({
  _tag: Schema.tag("Forbidden"),
  ...fields,
  clientEmail
}) {
  override get message(): string {
    const who = this.clientEmail ?? "the app's e-mail"
    return describe(
      "The app lacks a permission",
      this,
      `Invite ${who} to the iTwin with a role that has this permission.`
    )
  }
}

/**
 * 404: the resource does not exist, or is hidden from the app.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotFound extends Schema.Error<NotFound>("@effect-itwin/core/ITwinApiError/NotFound")({
  _tag: Schema.tag("NotFound"),
  ...fields,
  clientEmail
}) {
  override get message(): string {
    const who = this.clientEmail ?? "the app's e-mail"
    return describe(
      "The API did not find the resource",
      this,
      `Check the id, and that ${who} was invited to the iTwin.`
    )
  }
}

/**
 * 422: the content of the request is not valid; `details` names the fields.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unprocessable extends Schema.Error<Unprocessable>("@effect-itwin/core/ITwinApiError/Unprocessable")({
  _tag: Schema.tag("Unprocessable"),
  ...fields
}) {
  override get message(): string {
    return describe("The API rejected the content of the request", this, "Correct these fields.")
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
    return describe("The app exceeded the rate limit of the API", this, waitAdvice(this.retryAfter))
  }
}

/**
 * 5xx: the API failed or is unavailable.
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
    return describe("The API failed", this, waitAdvice(this.retryAfter))
  }
}

/**
 * Any other status, or a 2xx whose body is not what the API documents.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unexpected extends Schema.Error<Unexpected>("@effect-itwin/core/ITwinApiError/Unexpected")({
  _tag: Schema.tag("Unexpected"),
  ...fields
}) {
  override get message(): string {
    return describe("The API returned an undocumented response", this, "")
  }
}

/**
 * Decodes and encodes any reason of an {@link ITwinApiError}.
 *
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
 * Any reason of an {@link ITwinApiError}; `_tag` tells them apart.
 *
 * @category reasons
 * @since 0.1.0
 */
export type ITwinApiErrorReason = typeof ITwinApiErrorReason.Type

/**
 * Tells that an API did not do what was asked; `reason` says why.
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
  /** The response's `X-Correlation-Id`; support asks for it. */
  correlationId: Schema.optional(Schema.String)
}) {
  /**
   * Whether the same request can succeed later without a change by anybody: 429 and 5xx.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason._tag === "RateLimited" || this.reason._tag === "Unavailable"
  }

  /**
   * How long the API asked to wait (`Retry-After`, RFC 9110 §10.2.3) on a 429 or 5xx; at most a day.
   *
   * @since 0.1.0
   */
  get retryAfter(): Duration.Duration | undefined {
    return "retryAfter" in this.reason ? this.reason.retryAfter : undefined
  }

  override get message(): string {
    const hasId = this.correlationId !== undefined
    const support =
      hasId && this.reason._tag === "Unexpected" ? " Include the correlation id if you contact support." : ""
    const id = hasId ? `, correlation id ${this.correlationId}` : ""
    return `${this.reason.message}${support} (${this.method} ${this.url}, status ${this.status}${id})`
  }
}

/**
 * Returns whether the value is an `ITwinApiError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isITwinApiError: (value: unknown) => value is ITwinApiError = Schema.is(ITwinApiError)

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

const serverTextOf = (response: HttpClientResponse.HttpClientResponse): ServerText =>
  makeServerText(secretsOf(response))

/** The text under a key, if there is any; otherwise no key. */
const shownAs = <K extends string>(
  key: K,
  text: string | null | undefined,
  show: (text: string) => string | undefined
) => {
  const shown = text === null || text === undefined ? undefined : show(text)
  return shown === undefined ? {} : { [key]: shown }
}

/** What the envelope says, as far as it may be shown: a gateway may quote the token. */
const fieldsOf = (body: string, serverText: ServerText): Fields => {
  const envelope = decodeEnvelope(body)
  if (Result.isFailure(envelope)) return {}
  const { show, showCode } = serverText
  if (!("error" in envelope.success)) return shownAs("detail", envelope.success.message, show)
  const { code, message, details } = envelope.success.error
  return {
    ...shownAs("code", code, showCode),
    ...shownAs("detail", message, show),
    ...(details === undefined || details === null
      ? {}
      : {
          details: details.slice(0, 20).map((detail) => ({
            ...shownAs("code", detail.code, showCode),
            ...shownAs("message", detail.message, show),
            ...shownAs("target", detail.target, show)
          }))
        })
  }
}

const reasonOf = (
  response: HttpClientResponse.HttpClientResponse,
  fields: Fields,
  retryAfter: Duration.Duration | undefined
): ITwinApiErrorReason => {
  const { status } = response
  if (status === 401) return new Unauthorized(fields)
  if (status === 403) return new Forbidden({ ...fields, clientEmail: clientEmailOf(response) })
  if (status === 404) return new NotFound({ ...fields, clientEmail: clientEmailOf(response) })
  if (status === 422) return new Unprocessable(fields)
  if (status === 429) return new RateLimited({ ...fields, retryAfter })
  if (status >= 500) return new Unavailable({ ...fields, retryAfter })
  return new Unexpected(fields)
}

const make = (response: HttpClientResponse.HttpClientResponse, reason: ITwinApiErrorReason): ITwinApiError =>
  new ITwinApiError({
    reason,
    method: response.request.method,
    // The caller's: a redirect's target is a server's text.
    url: response.request.url.split("?")[0] ?? "",
    status: response.status,
    correlationId: serverTextOf(response).showCorrelationId(response.headers["x-correlation-id"])
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
 * Reads at most 256 KiB of the body. A body that is not an envelope is not quoted: the error tells the status alone.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromResponse: (
  response: HttpClientResponse.HttpClientResponse
) => Effect.Effect<never, ITwinApiError | HttpClientError.HttpClientError> = Effect.fnUntraced(function* (response) {
  const body = yield* bodyOf(response)
  const retryAfter = parseRetryAfter(response.headers, yield* DateTime.now)
  return yield* make(response, reasonOf(response, fieldsOf(body, serverTextOf(response)), retryAfter))
})

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** What did not match, and where. A key is a server's text, and a message may quote some: JSON's parser does. */
const problemOf = ({ issue }: Schema.SchemaError, { show, showCode }: ServerText): string =>
  formatIssue(issue)
    .issues.slice(0, 3)
    .map(({ message, path = [] }) => {
      const keys = path.map((key) => `["${showCode(String(typeof key === "object" ? key.key : key))}"]`)
      return `${show(message) ?? "Unexpected value"}${keys.length === 0 ? "" : ` at ${keys.join("")}`}`
    })
    .join("; ")

/**
 * Decodes the JSON body of a 2xx. Any other response, and a body that does not fit, becomes an `ITwinApiError`.
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
          Effect.mapError(decode(body), (error) =>
            make(response, new Unexpected({ detail: problemOf(error, serverTextOf(response)) }))
          )
        )
      : fromResponse(response)
}
