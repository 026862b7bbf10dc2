/**
 * Tells why an iTwin Platform API did not do what a request asked for.
 *
 * There is one error, `ITwinApiError`. The **status** decides its `reason`, because the platform's codes differ in
 * casing and between APIs. The error keeps the code, message and details of the response for people to read.
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
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as envelope from "./internal/http/envelope.ts"
import { readText } from "./internal/http/readText.ts"
import { parseRetryAfter } from "./internal/http/retryAfter.ts"
import { secretsOf, senderOf } from "./internal/http/unauthenticated.ts"
import { formatDuration } from "./internal/shown/formatDuration.ts"
import { makeServerText, type ServerText } from "./internal/shown/serverText.ts"

/**
 * Describes one entry of `details`, for example one invalid field.
 *
 * @category models
 * @since 0.1.0
 */
export const Detail = envelope.Detail

const fields = {
  /** The platform's code, for example `InsufficientPermissions`, if the response had one. */
  code: Schema.optional(Schema.String),
  /** The platform's message. */
  detail: Schema.optional(Schema.String),
  details: Schema.optional(Schema.Array(Detail))
}

/** Who sent the request. Known if the response came from `ITwinHttpClient`. */
const sender = {
  /** The client's e-mail, to invite to an iTwin. Absent if the token is a user's: the roles of the user count then. */
  clientEmail: Schema.optional(Schema.String),
  /** The scopes of the token, separated by spaces. */
  scopes: Schema.optional(Schema.String)
}

type Sender = { readonly clientEmail?: string | undefined; readonly scopes?: string | undefined }

const maxDetails = 3

/** Drops the full stop, because advice follows. */
const said = (...parts: ReadonlyArray<string | null | undefined>): string =>
  parts
    .filter((part) => part !== undefined && part !== null && part !== "")
    .join(": ")
    .replace(/\.$/, "")

/** Shows at most three details. */
const describe = (what: string, { code, detail, details = [] }: envelope.Fields, advice: string): string => {
  const all = details.map(({ code, message, target }) => said(target, message ?? code)).filter((text) => text !== "")
  const rest = all.length - maxDetails
  const parts = [said(code, detail), ...all.slice(0, maxDetails), rest > 0 ? `and ${rest} more` : ""]
  const text = parts.filter((part) => part !== "").join("; ")
  return `${what}${text === "" ? "" : ` (${text})`}. ${advice}`.trimEnd()
}

/** Returns whether the response says so in a code or in a text. */
const says = ({ code = "", detail = "", details = [] }: envelope.Fields, pattern: RegExp): boolean =>
  [code, detail, ...details.flatMap(({ code = "", message = "" }) => [code, message])].some((text) =>
    pattern.test(text)
  )

const lackingScope = /\bscopes?\b|insufficient_?scope/i

const nameOf = ({ clientEmail }: Sender): string => clientEmail ?? "the owner of the token"

/** A call needs a scope of the token and a role of the app, and the platform has one code for both. */
const scopeAdvice = ({ scopes }: Sender): string =>
  `Add the scope that the operation needs under My Apps, and request it with the option \`scopes\`.${
    scopes === undefined ? "" : ` The token has "${scopes}".`
  }`

const correctAdvice = ({ details = [] }: envelope.Fields): string =>
  details.length > 0 ? "Correct these fields." : "Compare it with the documentation of the API."

const waitAdvice = (retryAfter: Duration.Duration | undefined): string =>
  retryAfter === undefined
    ? "Retry the call with increasing pauses."
    : `The API asked to wait ${formatDuration(retryAfter)}. Retry the call then.`

/**
 * Says that the request is malformed, for example a parameter of its URL: 400.
 *
 * @category reasons
 * @since 0.1.0
 */
export class BadRequest extends Schema.Error<BadRequest>("@effect-itwin/core/ITwinApiError/BadRequest")({
  _tag: Schema.tag("BadRequest"),
  ...fields
}) {
  override get message(): string {
    return describe("The API rejected the request as malformed", this, correctAdvice(this))
  }
}

/**
 * Says that the token is missing, has expired, was revoked, or belongs to an app that the API does not know: 401.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unauthorized extends Schema.Error<Unauthorized>("@effect-itwin/core/ITwinApiError/Unauthorized")({
  _tag: Schema.tag("Unauthorized"),
  ...fields,
  ...sender
}) {
  override get message(): string {
    const sameEnvironment = "the token and the API belong to the same environment"
    if (says(this, /UnknownClient/i)) {
      const app = this.clientEmail === undefined ? "" : ` of ${this.clientEmail}`
      const advice = `Check under My Apps that the app is registered and enabled, and that ${sameEnvironment}.`
      return describe(`The API does not know the app${app}`, this, advice)
    }
    if (says(this, /HeaderNotFound/i)) {
      const advice = "Check the proxies in front of the API: one of them removes the header Authorization."
      return describe("The request arrived at the API without a token", this, advice)
    }
    if (says(this, /audience/i)) {
      const advice = `${scopeAdvice(this)} Check that ${sameEnvironment}.`
      return describe("The token is for another audience than this API", this, advice)
    }
    return says(this, lackingScope)
      ? describe("The token lacks a scope", this, scopeAdvice(this))
      : describe("The API rejected the token", this, `Check that ${sameEnvironment}.`)
  }
}

/**
 * Says that the token is valid, but the app has no role with the permission, or the token lacks the scope: 403.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Forbidden extends Schema.Error<Forbidden>("@effect-itwin/core/ITwinApiError/Forbidden")({
  _tag: Schema.tag("Forbidden"),
  ...fields,
  ...sender
}) {
  override get message(): string {
    if (says(this, lackingScope)) {
      const whose = this.clientEmail === undefined ? "The token" : `The token of ${this.clientEmail}`
      return describe(`${whose} lacks a scope`, this, scopeAdvice(this))
    }
    return describe(
      "The owner of the token lacks a permission",
      this,
      `Invite ${nameOf(this)} to the iTwin with a role that has this permission.`
    )
  }
}

/**
 * Says that the resource does not exist, or is hidden from the app: 404.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotFound extends Schema.Error<NotFound>("@effect-itwin/core/ITwinApiError/NotFound")({
  _tag: Schema.tag("NotFound"),
  ...fields,
  ...sender
}) {
  override get message(): string {
    return says(this, /UserNotFound/i)
      ? describe(
          "The platform did not find the user",
          this,
          `If the app is new, wait: its identity ${this.clientEmail === undefined ? "" : `${this.clientEmail} `}takes ` +
            "minutes to appear after the registration. Otherwise check the id."
        )
      : describe(
          "The API did not find the resource",
          this,
          `Check the id, and that ${nameOf(this)} was invited to the iTwin.`
        )
  }
}

/**
 * Says that the request contradicts the current state of the resource, for example because that exists already: 409.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Conflict extends Schema.Error<Conflict>("@effect-itwin/core/ITwinApiError/Conflict")({
  _tag: Schema.tag("Conflict"),
  ...fields
}) {
  override get message(): string {
    const advice = "Check whether the resource exists already, or was changed by another request."
    return describe("The request conflicts with the state of the resource", this, advice)
  }
}

/**
 * Says that the body of the request is larger than the API accepts: 413.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ContentTooLarge extends Schema.Error<ContentTooLarge>("@effect-itwin/core/ITwinApiError/ContentTooLarge")({
  _tag: Schema.tag("ContentTooLarge"),
  ...fields
}) {
  override get message(): string {
    return describe("The body of the request is too large for the API", this, "Send less in one request.")
  }
}

/**
 * Says that the content of the request is invalid: 422. `details` names the fields.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unprocessable extends Schema.Error<Unprocessable>("@effect-itwin/core/ITwinApiError/Unprocessable")({
  _tag: Schema.tag("Unprocessable"),
  ...fields
}) {
  override get message(): string {
    return describe("The API rejected the content of the request", this, correctAdvice(this))
  }
}

/**
 * Says that the app made too many calls for its tier: 429.
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
 * Says that the API failed or is unavailable: 5xx.
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
 * Says that the API returned another status, or a 2xx with a body that it does not document.
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
 * Lists the reasons of an `ITwinApiError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export const ITwinApiErrorReason = Schema.Union([
  BadRequest,
  Unauthorized,
  Forbidden,
  NotFound,
  Conflict,
  ContentTooLarge,
  Unprocessable,
  RateLimited,
  Unavailable,
  Unexpected
])

/**
 * Names the reasons of an `ITwinApiError`.
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
  /** The URL of the request, without its query. */
  url: Schema.String,
  status: Schema.Int,
  /** The response's `X-Correlation-Id`; support asks for it. */
  correlationId: Schema.optional(Schema.String)
}) {
  /**
   * Tells whether the same request may succeed later without a change: for 429 and 5xx.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason._tag === "RateLimited" || this.reason._tag === "Unavailable"
  }

  /**
   * Returns how long the API asked to wait with a 429 or 5xx (`Retry-After`, RFC 9110 §10.2.3); at most a day.
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
    const facts = `${this.method} ${this.url}, status ${this.status}${id}`
    // `TokenError` and `SecretProviderError` have reasons of the same names.
    return `${this.reason.message}${support} (${facts}) See docs/errors.md#api-${this.reason._tag.toLowerCase()}`
  }
}

/**
 * Returns whether the value is an `ITwinApiError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isITwinApiError: (value: unknown) => value is ITwinApiError = Schema.is(ITwinApiError)

const serverTextOf = (response: HttpClientResponse.HttpClientResponse): ServerText =>
  makeServerText(secretsOf(response))

const reasonOf = (
  response: HttpClientResponse.HttpClientResponse,
  fields: envelope.Fields,
  retryAfter: Duration.Duration | undefined
): ITwinApiErrorReason => {
  const { status } = response
  if (status === 400) return new BadRequest(fields)
  if (status === 401) return new Unauthorized({ ...fields, ...senderOf(response) })
  if (status === 403) return new Forbidden({ ...fields, ...senderOf(response) })
  if (status === 404) return new NotFound({ ...fields, ...senderOf(response) })
  if (status === 409) return new Conflict(fields)
  if (status === 413) return new ContentTooLarge(fields)
  if (status === 422) return new Unprocessable(fields)
  if (status === 429) return new RateLimited({ ...fields, retryAfter })
  if (status >= 500) return new Unavailable({ ...fields, retryAfter })
  return new Unexpected(fields)
}

const make = (response: HttpClientResponse.HttpClientResponse, reason: ITwinApiErrorReason): ITwinApiError =>
  new ITwinApiError({
    reason,
    method: response.request.method,
    // The caller's URL. The target of a redirect is text of a server.
    url: response.request.url.split("?")[0] ?? "",
    status: response.status,
    correlationId: serverTextOf(response).showCorrelationId(response.headers["x-correlation-id"])
  })

/** Returns the body up to the limit. A stream that was read before fails or is empty, but its text is still known. */
const bodyOf = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.flatMap(Effect.exit(readText(response)), (exit) =>
    Exit.isSuccess(exit) && exit.value.text !== ""
      ? Effect.succeed(exit.value.text)
      : Effect.catchCause(response.text, () => Effect.map(exit, ({ text }) => text))
  )

/**
 * Fails with the error for an unsuccessful response.
 *
 * **Details**
 *
 * Reads at most 256 KiB of the body. A body that is not in the platform's error format is not quoted.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromResponse: (
  response: HttpClientResponse.HttpClientResponse
) => Effect.Effect<never, ITwinApiError | HttpClientError.HttpClientError> = Effect.fnUntraced(function* (response) {
  const body = yield* bodyOf(response)
  const retryAfter = parseRetryAfter(response.headers, yield* DateTime.now)
  return yield* make(response, reasonOf(response, envelope.fieldsOf(body, serverTextOf(response)), retryAfter))
})

const isOk = ({ status }: HttpClientResponse.HttpClientResponse): boolean => status >= 200 && status < 300

/**
 * Returns a client that fails with an `ITwinApiError` for any response other than a 2xx, for example for
 * `HttpApiClient.makeWith`.
 *
 * **Example** (Handling a reason of a call)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, ITwinApiError, ITwinHttpClient } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("fails with the reason of the status", () =>
 *   Effect.gen(function* () {
 *     const api = ITwinApiError.filterStatusOk(yield* ITwinHttpClient.ITwinHttpClient)
 *     const outcome = yield* api.get("/unknown").pipe(
 *       Effect.as("found"),
 *       Effect.catchReason("ITwinApiError", "NotFound", () => Effect.succeed("not found"))
 *     )
 *     assert.strictEqual(outcome, "not found")
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const filterStatusOk = <E, R>(
  self: HttpClient.HttpClient.With<E, R>
): HttpClient.HttpClient.With<E | ITwinApiError | HttpClientError.HttpClientError, R> =>
  HttpClient.transformResponse(
    self,
    Effect.flatMap((response) => (isOk(response) ? Effect.succeed(response) : fromResponse(response)))
  )

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/**
 * Says what did not match, and where. Keys come from the server, and the message of a JSON parser may quote the body.
 */
const problemOf = ({ issue }: Schema.SchemaError, { show, showCode }: ServerText): string =>
  formatIssue(issue)
    .issues.slice(0, 3)
    .map(({ message, path = [] }) => {
      const keys = path.map((key) => `["${showCode(String(typeof key === "object" ? key.key : key))}"]`)
      return `${show(message) ?? "Unexpected value"}${keys.length === 0 ? "" : ` at ${keys.join("")}`}`
    })
    .join("; ")

/**
 * Decodes the JSON body of a 2xx response. Fails with an `ITwinApiError` for any other response or body.
 *
 * @category decoding
 * @since 0.1.0
 */
export const schemaBodyJson = <S extends Schema.Constraint>(schema: S) => {
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.toCodecJson(schema)))
  return (
    response: HttpClientResponse.HttpClientResponse
  ): Effect.Effect<S["Type"], ITwinApiError | HttpClientError.HttpClientError, S["DecodingServices"]> =>
    isOk(response)
      ? Effect.flatMap(response.text, (body) =>
          Effect.mapError(decode(body), (error) =>
            make(response, new Unexpected({ detail: problemOf(error, serverTextOf(response)) }))
          )
        )
      : fromResponse(response)
}
