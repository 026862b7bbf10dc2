// The text of a session before it is sealed.
import * as DateTime from "effect/DateTime"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { AccessToken } from "../../AccessToken.ts"
import { IdToken } from "../../AuthorizationCode.ts"
import { Scopes } from "../../Scopes.ts"
import { Session } from "../../SessionStore.ts"

const Millis = Schema.Finite

const SessionText = Schema.fromJsonString(
  Schema.toCodecJson(
    Schema.Struct({
      /** Another form of the text gets another number, and is not read as this one. */
      form: Schema.Literal(1),
      key: Schema.NonEmptyString,
      clientId: Schema.NonEmptyString,
      scopes: Scopes,
      token: Schema.NonEmptyString,
      granted: Scopes,
      issuedAt: Millis,
      tokenExpiresAt: Millis,
      refresh: Schema.optional(Schema.NonEmptyString),
      isRenewalLost: Schema.optional(Schema.Boolean),
      idToken: Schema.optional(Schema.NonEmptyString),
      user: Schema.optional(IdToken),
      signedInAt: Millis,
      expiresAt: Millis
    })
  )
)
const encode = Schema.encodeSync(SessionText)
const decode = Schema.decodeResult(SessionText)

const textOf = (secret: Redacted.Redacted | undefined): string | undefined => secret && Redacted.value(secret)
const redacted = (text: string | undefined): Redacted.Redacted | undefined =>
  text === undefined ? undefined : Redacted.make(text)

export const textOfSession = ({ accessToken, idToken, refreshToken, ...session }: Session): string =>
  encode({
    form: 1,
    key: session.key,
    clientId: session.clientId,
    scopes: session.scopes,
    token: Redacted.value(accessToken.value),
    granted: accessToken.scopes,
    issuedAt: accessToken.issuedAt.epochMilliseconds,
    tokenExpiresAt: accessToken.expiresAt.epochMilliseconds,
    refresh: textOf(refreshToken),
    isRenewalLost: session.isRenewalLost,
    idToken: textOf(idToken),
    user: session.user,
    signedInAt: session.signedInAt.epochMilliseconds,
    expiresAt: session.expiresAt.epochMilliseconds
  })

/** Returns undefined if the text is not one of a session. */
export const sessionOfText = (text: string): Session | undefined => {
  const read = Result.getOrUndefined(decode(text))
  if (read === undefined) return undefined
  const { clientId, key, scopes, user } = read
  return new Session({
    key,
    clientId,
    scopes,
    accessToken: new AccessToken({
      value: Redacted.make(read.token),
      tokenType: "Bearer",
      scopes: read.granted,
      requestedScopes: scopes,
      clientId,
      ofUser: true,
      issuedAt: DateTime.makeUnsafe(read.issuedAt),
      expiresAt: DateTime.makeUnsafe(read.tokenExpiresAt)
    }),
    refreshToken: redacted(read.refresh),
    isRenewalLost: read.isRenewalLost,
    idToken: redacted(read.idToken),
    user,
    signedInAt: DateTime.makeUnsafe(read.signedInAt),
    expiresAt: DateTime.makeUnsafe(read.expiresAt)
  })
}
