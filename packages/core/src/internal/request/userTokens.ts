// What a response holds in addition to the access token when a user signed in.
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as TokenError from "../../TokenError.ts"
import type { Granted, Response } from "../../TokenRequest.ts"
import { decodeAccessToken, decodeResponse, invalid, type Received } from "./decode.ts"

const maxLength = 32 * 1024

const token = (name: string, pattern: RegExp, expected: string) => {
  const message = `${name} is not ${expected} of at most ${maxLength} characters`
  return Schema.optionalKey(
    Schema.NullOr(Schema.String)
      .annotate({ message })
      .check(
        Schema.makeFilter((value) => value === null || (value.length <= maxLength && pattern.test(value)), {
          message
        })
      )
  )
}

/** `null` counts as absent. */
const decodeUserTokens = Schema.decodeUnknownResult(
  Schema.Struct({
    // 1*VSCHAR, RFC 6749 appendix A.17
    refresh_token: token("refresh_token", /^[\x20-\x7E]+$/, "a text"),
    // The compact form of a JWS, RFC 7515 §3.1
    id_token: token("id_token", /^[\w-]+\.[\w-]+\.[\w-]*$/, "a signed JWT")
  })
)

const redacted = (token: string | null | undefined): Redacted.Redacted | undefined =>
  Predicate.isNullish(token) ? undefined : Redacted.make(token)

const decodeBody = (json: unknown, context: Received): Result.Result<Granted, TokenError.InvalidResponse> =>
  Result.flatMap(decodeAccessToken(json, context), (accessToken) =>
    context.form.grant_type === "client_credentials"
      ? Result.succeed({ accessToken, refreshToken: undefined, idToken: undefined })
      : Result.map(Result.mapError(decodeUserTokens(json), invalid), ({ id_token, refresh_token }) => ({
          accessToken,
          refreshToken: redacted(refresh_token),
          idToken: redacted(id_token)
        }))
  )

/** Decodes a response to all its tokens. */
export const decodeTokens = (response: Response, context: Received): Result.Result<Granted, TokenError.TokenError> =>
  decodeResponse(decodeBody)(response, context)
