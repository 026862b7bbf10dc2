/**
 * Tells why a user is not signed in.
 *
 * There is one error, `SignInError`. Its `reason` tells the cases apart:
 * `Effect.catchReason("SignInError", "Denied", …)`. The message says what to do. A failure of the token request that
 * follows is a `TokenError`.
 *
 * **Gotchas**
 *
 * Anyone can call the redirect URI of an app. A callback whose `state` does not fit is `UnknownState`, and nothing of it
 * is shown. Text of other callbacks (`code`, `description`) is shown only as far as it does not look like a secret.
 *
 * **Example** (Handling one reason)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { SignInError } from "@effect-itwin/core"
 * import { Effect } from "effect"
 *
 * it.effect("tells a user who declined from a failure", () =>
 *   Effect.gen(function* () {
 *     const reason = new SignInError.Denied({})
 *     const failed = Effect.fail(new SignInError.SignInError({ reason, issuer: "https://ims.bentley.com", clientId: "web-Ab12" }))
 *     const outcome = yield* Effect.catchReason(failed, "SignInError", "Denied", () => Effect.succeed("declined"))
 *     assert.strictEqual(outcome, "declined")
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { formatDuration } from "./internal/shown/formatDuration.ts"

const server = {
  /** `error_description`, as far as it does not look like a secret. */
  description: Schema.optional(Schema.String)
}

const quote = (description: string | undefined): string => (description ? ` ("${description}")` : "")

/**
 * Says that the user, or an administrator, declined: `access_denied` (RFC 6749 §4.1.2.1).
 *
 * @category reasons
 * @since 0.1.0
 */
export class Denied extends Schema.Error<Denied>("@effect-itwin/core/SignInError/Denied")({
  _tag: Schema.tag("Denied"),
  ...server
}) {
  override get message(): string {
    return `The user did not sign in or did not consent${quote(this.description)}. Offer to sign in again.`
  }
}

const advice: Readonly<Record<string, string>> = {
  invalid_scope: "Request only scopes that the app has under My Apps.",
  unauthorized_client: "Check the type of the app and its redirect URIs under My Apps.",
  login_required: 'Start the sign-in again without the prompt "none".',
  consent_required: 'Start the sign-in again without the prompt "none".',
  interaction_required: 'Start the sign-in again without the prompt "none".',
  account_selection_required: 'Start the sign-in again without the prompt "none".',
  server_error: "Check whether IMS is down for maintenance.",
  temporarily_unavailable: "Check whether IMS is down for maintenance."
}

/**
 * Says that IMS returned an error instead of a code (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
 *
 * @category reasons
 * @since 0.1.0
 */
export class Refused extends Schema.Error<Refused>("@effect-itwin/core/SignInError/Refused")({
  _tag: Schema.tag("Refused"),
  /** The code; `unknown` if it may be a secret. */
  code: Schema.String,
  ...server
}) {
  override get message(): string {
    const next = Object.hasOwn(advice, this.code) ? advice[this.code] : "Contact Bentley support and quote the code."
    return `IMS refused the sign-in with the code "${this.code}"${quote(this.description)}. ${next}`
  }
}

/**
 * Says that a callback does not belong to the sign-in: its `state` is missing or is another one (RFC 9700 §4.7).
 *
 * @category reasons
 * @since 0.1.0
 */
export class UnknownState extends Schema.Error<UnknownState>("@effect-itwin/core/SignInError/UnknownState")({
  _tag: Schema.tag("UnknownState")
}) {
  override get message(): string {
    return "The callback does not belong to a sign-in of this browser or program: its state is missing or unknown. Start the sign-in again, at the host of the redirect URI."
  }
}

/**
 * Says that a callback or an id token is not what a sign-in returns.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidAnswer extends Schema.Error<InvalidAnswer>("@effect-itwin/core/SignInError/InvalidAnswer")({
  _tag: Schema.tag("InvalidAnswer"),
  /** The check that failed. Contains no part of the callback or of the id token. */
  detail: Schema.String
}) {
  override get message(): string {
    return `The answer to the sign-in is not valid: ${this.detail}. Start the sign-in again. If this repeats, check the environment and the clock of this machine.`
  }
}

/**
 * Says that the user did not come back in time.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NoAnswer extends Schema.Error<NoAnswer>("@effect-itwin/core/SignInError/NoAnswer")({
  _tag: Schema.tag("NoAnswer"),
  /** How long a sign-in may take. */
  limit: Schema.Duration
}) {
  override get message(): string {
    return `The sign-in was not completed within ${formatDuration(this.limit)}. Start the sign-in again. If IMS showed an error page, compare the client id and the redirect URI with My Apps.`
  }
}

/**
 * Lists the reasons of a `SignInError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export const SignInErrorReason = Schema.Union([Denied, Refused, UnknownState, InvalidAnswer, NoAnswer])

/**
 * Names the reasons of a `SignInError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export type SignInErrorReason = typeof SignInErrorReason.Type

/**
 * Tells that a user is not signed in; `reason` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export class SignInError extends Schema.Error<SignInError>("@effect-itwin/core/SignInError")({
  _tag: Schema.tag("SignInError"),
  reason: SignInErrorReason,
  /** The issuer at which the sign-in was started. */
  issuer: Schema.String,
  clientId: Schema.String
}) {
  /**
   * Tells whether a new sign-in may succeed later without a change.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    const { reason } = this
    return (
      reason._tag === "NoAnswer" ||
      (reason._tag === "Refused" && (reason.code === "server_error" || reason.code === "temporarily_unavailable"))
    )
  }

  override get message(): string {
    const { clientId, issuer, reason } = this
    return `${reason.message} (issuer ${issuer}, client id ${clientId}) See docs/errors.md#sign-in-${reason._tag.toLowerCase()}`
  }
}

/**
 * Returns whether the value is a `SignInError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isSignInError: (value: unknown) => value is SignInError = Schema.is(SignInError)
