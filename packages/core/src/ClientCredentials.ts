/**
 * The id and secret of a service application, with what its backend knows about the secret.
 *
 * **Gotchas**
 *
 * The secret sits in `Redacted` and refuses to be encoded, so printing, logging or serialising credentials shows no
 * secret. Read it with `Redacted.value`, as late as possible.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Client credentials (RFC 6749 §2.3.1), as shown once when the app is registered.
 *
 * @category models
 * @since 0.1.0
 */
export class ClientCredentials extends Schema.Class<ClientCredentials>("@effect-itwin/core/ClientCredentials")({
  /** Not a secret: it appears in errors, logs and spans. So it must not look like one, as when both are swapped. */
  clientId: Schema.String.check(
    Schema.isPattern(/^[\w.-]+$/, { expected: "a client id: letters, digits, dot, dash and underscore" })
  ),
  clientSecret: Schema.RedactedFromValue(Schema.NonEmptyString, { disallowEncode: true }),
  /** The backend's name for this version of the secret, if it has versions. */
  version: Schema.optional(Schema.String),
  /** When the backend says the secret expires. Advisory: IMS decides. */
  expiresAt: Schema.optional(Schema.DateTimeUtc)
}) {
  /**
   * The e-mail of the identity that the platform creates for the app: the one to add to an iTwin, so that the app sees
   * its data.
   *
   * @since 0.1.0
   */
  get clientEmail(): string {
    return `${this.clientId}@apps.imsoidc.bentley.com`
  }
}
