/**
 * Decodes the two JSON objects that a token endpoint returns: a token (RFC 6749 §5.1) and an error (§5.2).
 *
 * The message of each check becomes `InvalidResponse.detail`. No message contains a part of the response.
 *
 * **Gotchas**
 *
 * `access_token` decodes to a `Redacted` value that can't be encoded.
 *
 * **Example** (Decoding a response)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { TokenResponse } from "@effect-itwin/core"
 * import { Effect, Redacted, Schema } from "effect"
 *
 * it.effect("counts 300 s when the response states no life", () =>
 *   Effect.gen(function* () {
 *     const json = { access_token: "opaque-token", token_type: "bearer" }
 *     const response = yield* Schema.decodeUnknownEffect(TokenResponse.TokenResponse)(json)
 *     assert.strictEqual(response.expires_in, 300)
 *     assert.strictEqual(Redacted.value(response.access_token), "opaque-token")
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Scopes from "./Scopes.ts"

const maxTokenLength = 32 * 1024
const maxScopeLength = 4 * 1024
const defaultLife = 300
const maxLife = 24 * 60 * 60

const AccessToken = Schema.String.annotate({ message: "access_token is not a string" }).check(
  Schema.isMaxLength(maxTokenLength, { message: `access_token is longer than ${maxTokenLength} characters` }),
  // b64token, RFC 6750 §2.1
  Schema.isPattern(/^[A-Za-z0-9\-._~+/]+=*$/, { message: "access_token is empty or has a forbidden character" }),
  // A faulty server may write an absent value as text.
  Schema.isPattern(/^(?!(null|undefined)$)/, { message: "access_token is the text null or undefined" })
)

const notBearer = "token_type is not Bearer"

const TokenType = Schema.String.annotate({ message: notBearer })
  .check(Schema.isPattern(/^bearer$/i, { message: notBearer }))
  .pipe(
    Schema.decodeTo(
      Schema.Literal("Bearer"),
      SchemaTransformation.transform({
        decode: (_: string): "Bearer" => "Bearer",
        encode: (type): string => type
      })
    ),
    Schema.annotateKey({ messageMissingKey: notBearer })
  )

const notSeconds = "expires_in is not a number of seconds with at most 10 digits"

const isSeconds = (value: number | string | null): boolean =>
  value === null || (typeof value === "number" ? value >= 0 && value < 1e10 : /^\d{1,10}(\.\d+)?$/.test(value))

/** `null` counts as absent. */
const ExpiresIn = Schema.Union([Schema.Number, Schema.String, Schema.Null])
  .annotate({ message: notSeconds })
  .check(Schema.makeFilter(isSeconds, { message: notSeconds }))
  .pipe(
    Schema.decodeTo(
      Schema.Number,
      SchemaTransformation.transform({
        decode: (value) => (value === null ? defaultLife : Math.min(Math.floor(Number(value)), maxLife)),
        encode: (seconds: number): number | string | null => seconds
      })
    ),
    Schema.withDecodingDefaultKey(Effect.succeed(null))
  )

const notScopes = "scope is not a list of scope tokens"

/** `null` and the empty text count as absent. */
const Scope = Schema.NullOr(Schema.String)
  .annotate({ message: notScopes })
  .check(
    Schema.makeFilter((value) => value === null || value.length <= maxScopeLength, {
      message: `scope is longer than ${maxScopeLength} characters`
    }),
    Schema.makeFilter((value) => value === null || value === "" || Result.isSuccess(Scopes.parse(value)), {
      message: notScopes
    })
  )

/**
 * Decodes a response that grants a token (RFC 6749 §5.1).
 *
 * - `access_token`: at most 32 KiB, of the characters of a `b64token` (RFC 6750 §2.1), and not the text `null` or
 *   `undefined`.
 * - `token_type`: `Bearer` in any case.
 * - `expires_in`: seconds, at most 10 digits before the point, as a number or as text. A fraction is rounded down, and
 *   more than 24 h counts as 24 h. An absent value and `null` count as 300 s.
 * - `scope`: scope tokens, at most 4 KiB; may be absent, `null` or empty.
 * - `error`: absent or `null`. A response with both a token and an error is rejected.
 *
 * @category schemas
 * @since 0.1.0
 */
export const TokenResponse = Schema.Struct({
  error: Schema.optionalKey(Schema.Null.annotate({ message: "the response also contains an error" })),
  access_token: Schema.RedactedFromValue(AccessToken, { disallowEncode: true }).pipe(
    Schema.annotateKey({ messageMissingKey: "access_token is missing" })
  ),
  token_type: TokenType,
  expires_in: ExpiresIn,
  scope: Schema.optionalKey(Scope)
}).annotate({ message: "not a JSON object" })

/**
 * Describes a decoded response that grants a token.
 *
 * @category models
 * @since 0.1.0
 */
export type TokenResponse = typeof TokenResponse.Type

/**
 * Decodes an error response (RFC 6749 §5.2): a code that is not empty, and a description. A description that is not a
 * string is left out.
 *
 * **Gotchas**
 *
 * Code and description are text of the server, which may repeat the secret that it was sent.
 *
 * @category schemas
 * @since 0.1.0
 */
export const OAuthErrorResponse = Schema.Struct({
  error: Schema.NonEmptyString,
  error_description: Schema.optionalKey(Schema.String.pipe(Schema.catchDecoding(() => Effect.succeed(Option.none()))))
})

/**
 * Describes a decoded error response.
 *
 * @category models
 * @since 0.1.0
 */
export type OAuthErrorResponse = typeof OAuthErrorResponse.Type
