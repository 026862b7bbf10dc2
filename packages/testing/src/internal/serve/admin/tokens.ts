// Tokens that are issued without a request, and the keys that sign tokens.
import { AccessToken } from "@effect-itwin/core/AccessToken"
import * as Scopes from "@effect-itwin/core/Scopes"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as inputs from "../inputs.ts"
import type { Admin } from "./admin.ts"
import { asDone, Done, group } from "./declare.ts"
import { NotFound, orNotFound } from "./errors.ts"

const Token = Schema.Struct({
  token: Schema.String,
  clientId: Schema.String,
  scopes: Schema.Array(Schema.String),
  issuedAt: Schema.DateTimeUtcFromString,
  expiresAt: Schema.DateTimeUtcFromString
}).annotate({ identifier: "Token" })

export const tokens = group(
  "tokens",
  "/__admin",
  "Tokens that are issued without a request, and the keys that sign tokens.",
  HttpApiEndpoint.post("issueToken", "/tokens", {
    payload: Schema.Struct({
      clientId: Schema.optionalKey(Schema.String.annotate({ description: "The first app by default." })),
      scopes: Schema.optionalKey(Schema.Array(inputs.Scope).annotate({ description: "Those of the app by default." })),
      claims: Schema.optionalKey(
        inputs.Claims.annotate({ description: "Claims in addition to the usual ones, or instead of them." })
      ),
      expiresIn: Schema.optionalKey(inputs.Seconds.annotate({ description: "In seconds; the app's by default." }))
    }),
    success: Token.pipe(HttpApiSchema.status(201)),
    error: NotFound
  }).annotate(
    OpenApi.Summary,
    "Issues a token with the given `clientId`, `scopes`, `claims` and `expiresIn` (seconds)"
  ),
  HttpApiEndpoint.post("revokeToken", "/tokens/revoke", {
    payload: Schema.Struct({ token: Schema.NonEmptyString }),
    success: Done
  }).annotate(OpenApi.Summary, "Rejects a token from now on"),
  HttpApiEndpoint.post("rotateKeys", "/keys/rotate", { success: Done }).annotate(
    OpenApi.Summary,
    "Signs with a new key from now on; JWKS lists the old ones too"
  )
)

/** A token that is only known by its value. */
const tokenOf = (value: string) =>
  new AccessToken({
    value: Redacted.make(value),
    tokenType: "Bearer",
    scopes: Scopes.itwinPlatform,
    requestedScopes: Scopes.itwinPlatform,
    clientId: "unknown",
    issuedAt: DateTime.makeUnsafe(0),
    expiresAt: DateTime.makeUnsafe(0)
  })

export const layer = ({ ims }: Admin) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(tokens), "tokens", (handlers) =>
    handlers.handleAll({
      issueToken: ({ payload: { expiresIn, ...options } }) =>
        ims
          .issueToken({ ...options, expiresIn: expiresIn === undefined ? undefined : Duration.seconds(expiresIn) })
          .pipe(
            orNotFound,
            Effect.map(({ clientId, expiresAt, issuedAt, scopes, value }) => ({
              token: Redacted.value(value),
              clientId,
              scopes: scopes.split(" ").filter((scope) => scope !== ""),
              issuedAt,
              expiresAt
            }))
          ),
      revokeToken: ({ payload }) => asDone(ims.revokeToken(tokenOf(payload.token))),
      rotateKeys: () => asDone(ims.rotateKeys)
    })
  )
