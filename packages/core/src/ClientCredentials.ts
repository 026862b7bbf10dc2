/**
 * Represents the client id and the client secret of a service application.
 *
 * Every provider uses the rules of this module: {@link clientIdFromText} and {@link clientSecretFromText} turn the text
 * that a backend holds into a value, or say what is wrong with the text.
 *
 * **Gotchas**
 *
 * The secret is `Redacted` and can't be encoded, so printing, logging or serializing credentials does not show it. Read
 * it with `Redacted.value`, as late as possible.
 *
 * **Example** (Text from a file)
 *
 * ```ts
 * import { ClientCredentials } from "@effect-itwin/core"
 * import { Redacted, Result } from "effect"
 *
 * const secret = ClientCredentials.clientSecretFromText(Redacted.make("fake-secret-a+b/c=\n"))
 * console.log(Result.isSuccess(secret)) // true
 * console.log(Result.getFailure(ClientCredentials.clientIdFromText("fake-secret-a+b/c=")))
 * ```
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/**
 * Accepts a client id: letters, digits, dot, dash and underscore.
 *
 * A client id appears in errors, logs and spans. These few characters keep a secret out of them if the two are swapped.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ClientId = Schema.String.check(
  Schema.isPattern(/^[\w.-]+$/, { message: "The value is not a client id. Are the id and the secret swapped?" })
)

const maxLength = 1024

/** Looks for NUL characters and for a byte order mark, also one that was decoded as UTF-8. */
const isUtf16 = (text: string): boolean => /\0|^[\uFEFF\uFFFE\uFFFD]/.test(text)

const utf16 = "The value is UTF-16 text, or begins with a byte order mark. Save it as UTF-8 without a byte order mark."

/** Returns what is wrong with the text, and never quotes it. */
const secretProblem = (text: string): string | undefined => {
  if (text === "") return "The value is empty. Store the value shown under My Apps."
  if (isUtf16(text)) return utf16
  if (text.length > maxLength) {
    return "The value has more than 1,024 characters. Store only the client secret."
  }
  return /^[\x20-\x7E]+$/.test(text)
    ? undefined
    : "The value contains a line break or another character that a client secret cannot have. Store it exactly as shown under My Apps."
}

/**
 * Accepts a client secret: 1 to 1,024 printable ASCII characters (VSCHAR, RFC 6749 appendix A.2). Does not encode it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ClientSecret = Schema.RedactedFromValue(Schema.String.check(Schema.makeFilter(secretProblem)), {
  disallowEncode: true
})

/**
 * Holds client credentials (RFC 6749 §2.3.1). The platform shows them once, when the app is registered.
 *
 * @category models
 * @since 0.1.0
 */
export class ClientCredentials extends Schema.Class<ClientCredentials>("@effect-itwin/core/ClientCredentials")({
  /** Not a secret: errors, logs and spans show it. */
  clientId: ClientId,
  clientSecret: ClientSecret,
  /** The backend's name for this version of the secret, if it has versions. */
  version: Schema.optional(Schema.String),
  /** When the secret expires, as the backend says. IMS decides whether it is still valid. */
  expiresAt: Schema.optional(Schema.DateTimeUtc)
}) {
  /**
   * Returns the e-mail of the app's identity on the platform. Invite this e-mail to an iTwin so that the app sees its
   * data.
   *
   * @since 0.1.0
   */
  get clientEmail(): string {
    return `${this.clientId}@apps.imsoidc.bentley.com`
  }
}

/**
 * Holds the client id of a public client (RFC 6749 §2.1): a native or a single-page app, which can't keep a secret.
 *
 * @category models
 * @since 0.1.0
 */
export class PublicClient extends Schema.Class<PublicClient>("@effect-itwin/core/PublicClient")({
  /** Not a secret: errors, logs and spans show it. */
  clientId: ClientId
}) {}

/** Files and `echo` add one newline. Other white space is a mistake, which the owner must see. */
const lineOf = (text: string): Result.Result<string, string> => {
  if (isUtf16(text)) return Result.fail(utf16)
  const line = text.replace(/\r?\n$/, "")
  if (line.trim() === "") return Result.fail("The value is blank. Store the value shown under My Apps.")
  return line === line.trim()
    ? Result.succeed(line)
    : Result.fail("The value begins or ends with white space. Store it without that white space.")
}

const messageOf = ({ message }: Schema.SchemaError): string => message

const decodeId = Schema.decodeResult(ClientId)
const decodeSecret = Schema.decodeResult(ClientSecret)

/**
 * Returns the client id that a backend's text holds, without one trailing newline, or advice on what is wrong with it.
 *
 * Fails for text that is blank, padded with white space, UTF-16, or not a {@link ClientId}. The advice never quotes the
 * text.
 *
 * @category conversions
 * @since 0.1.0
 */
export const clientIdFromText = (text: string): Result.Result<string, string> =>
  Result.flatMap(lineOf(text), (line) => Result.mapError(decodeId(line), messageOf))

/**
 * Returns the client secret that a backend's text holds, without one trailing newline, or advice on what is wrong with
 * it.
 *
 * Fails for text that is blank, padded with white space, UTF-16, or not a {@link ClientSecret}. The advice never quotes
 * the text.
 *
 * @category conversions
 * @since 0.1.0
 */
export const clientSecretFromText = (text: Redacted.Redacted): Result.Result<Redacted.Redacted, string> =>
  Result.flatMap(lineOf(Redacted.value(text)), (line) => Result.mapError(decodeSecret(line), messageOf))
