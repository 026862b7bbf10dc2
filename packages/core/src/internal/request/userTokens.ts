// What a response holds in addition to the access token when a user signed in.
import * as Schema from "effect/Schema"

const maxLength = 32 * 1024

const isPresent = (value: string | null): value is string => value !== null

const token = (name: string, pattern: RegExp, expected: string) => {
  const message = `${name} is not ${expected} of at most ${maxLength} characters`
  return Schema.optionalKey(
    Schema.NullOr(Schema.String)
      .annotate({ message })
      .check(
        Schema.makeFilter((value) => !isPresent(value) || (value.length <= maxLength && pattern.test(value)), {
          message
        })
      )
  )
}

/** `null` counts as absent. */
export const decodeUserTokens = Schema.decodeUnknownResult(
  Schema.Struct({
    // 1*VSCHAR, RFC 6749 appendix A.17
    refresh_token: token("refresh_token", /^[\x20-\x7E]+$/, "a text"),
    // The compact form of a JWS, RFC 7515 §3.1
    id_token: token("id_token", /^[\w-]+\.[\w-]+\.[\w-]*$/, "a signed JWT")
  })
)
