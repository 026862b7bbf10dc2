/**
 * The Users API of the platform.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as ITwinApiError from "./ITwinApiError.ts"
import { ITwinHttpClient } from "./ITwinHttpClient.ts"
import type { TokenError } from "./TokenError.ts"

// The platform writes null where it has nothing; here the field is absent then.
const optional = <S extends Schema.Constraint>(schema: S) =>
  Schema.optionalKey(Schema.NullOr(schema)).pipe(
    Schema.decodeTo(
      Schema.optionalKey(Schema.toType(schema)),
      SchemaTransformation.transformOptional<S["Type"], S["Type"] | null>({
        decode: Option.filter((value): value is S["Type"] => value !== null),
        encode: (value) => value
      })
    )
  )

// A date that can't be read is no reason to fail: only the id is certain.
const optionalDate = optional(Schema.String).pipe(
  Schema.decodeTo(
    Schema.optionalKey(Schema.DateTimeUtc),
    SchemaTransformation.transformOptional<DateTime.Utc, string>({
      decode: Option.flatMap((text) => Option.map(DateTime.make(text), DateTime.toUtc)),
      encode: Option.map(DateTime.formatIso)
    })
  )
)

/**
 * A user as `/users/me` shows it. For a service app it is a made-up person: `givenName` is the app's name, and much is
 * empty or absent.
 *
 * @category models
 * @since 0.1.0
 */
export class User extends Schema.Class<User>("@effect-itwin/core/Users/User")({
  id: Schema.String,
  displayName: optional(Schema.String),
  givenName: optional(Schema.String),
  surname: optional(Schema.String),
  email: optional(Schema.String),
  alternateEmail: optional(Schema.String),
  phone: optional(Schema.String),
  organizationName: optional(Schema.String),
  city: optional(Schema.String),
  country: optional(Schema.String),
  language: optional(Schema.String),
  createdDateTime: optionalDate
}) {}

const decodeMe = ITwinApiError.schemaBodyJson(Schema.Struct({ user: User }))

/**
 * Who the token belongs to: `GET /users/me`. Needs the scope `itwin-platform` (or `users:read`, for older apps).
 *
 * @category requests
 * @since 0.1.0
 */
export const me: Effect.Effect<
  User,
  ITwinApiError.ITwinApiError | TokenError | HttpClientError.HttpClientError,
  ITwinHttpClient
> = Effect.gen(function* () {
  const client = yield* ITwinHttpClient
  const response = yield* client.execute(
    HttpClientRequest.get("/users/me", { accept: "application/vnd.bentley.itwin-platform.v1+json" })
  )
  return (yield* decodeMe(response)).user
}).pipe(Effect.withSpan("Users.me"))
