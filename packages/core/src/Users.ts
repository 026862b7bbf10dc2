/**
 * Calls the Users API of the platform.
 *
 * **Example** (Asking who the app is)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, Users } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("returns the name of the app", () =>
 *   Effect.gen(function* () {
 *     const me = yield* Users.me
 *     assert.isString(me.givenName)
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
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
import { capped } from "./internal/http/unauthenticated.ts"
import { optionalField } from "./internal/optionalField.ts"
import type { TokenError } from "./TokenError.ts"

// An unreadable date does not fail the decoding. Only the id is required.
const optionalDate = optionalField(Schema.String).pipe(
  Schema.decodeTo(
    Schema.optionalKey(Schema.DateTimeUtc),
    SchemaTransformation.transformOptional<DateTime.Utc, string>({
      decode: Option.flatMap((text) => Option.map(DateTime.make(text), DateTime.toUtc)),
      encode: Option.map(DateTime.formatIso)
    })
  )
)

/**
 * Describes a user as `/users/me` returns it. For a service app, `givenName` is the name of the app, and most other
 * fields are empty or absent.
 *
 * @category models
 * @since 0.1.0
 */
export class User extends Schema.Class<User>("@effect-itwin/core/Users/User")({
  id: Schema.String,
  displayName: optionalField(Schema.String),
  givenName: optionalField(Schema.String),
  surname: optionalField(Schema.String),
  email: optionalField(Schema.String),
  alternateEmail: optionalField(Schema.String),
  phone: optionalField(Schema.String),
  organizationName: optionalField(Schema.String),
  city: optionalField(Schema.String),
  country: optionalField(Schema.String),
  language: optionalField(Schema.String),
  createdDateTime: optionalDate
}) {}

const decodeMe = ITwinApiError.schemaBodyJson(Schema.Struct({ user: User }))

/**
 * Returns the user that the token belongs to: `GET /users/me`. Needs the scope `itwin-platform` (or `users:read`, for
 * older apps). Reads at most 256 KiB of the body.
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
  return (yield* decodeMe(yield* capped(response))).user
}).pipe(Effect.withSpan("Users.me"))
