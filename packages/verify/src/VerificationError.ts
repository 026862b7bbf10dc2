/**
 * Tells why an access token was not accepted.
 *
 * There is one error, `VerificationError`. Its `reason` tells the cases apart:
 * `Effect.catchReason("VerificationError", "Expired", …)`.
 *
 * **Gotchas**
 *
 * No message and no field contains text of the token, not even a claim. So `WrongClient` does not name the client id
 * that the token has.
 *
 * **Example** (Handling one reason)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { AccessTokenVerifier } from "@effect-itwin/verify"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const Verifier = AccessTokenVerifier.layer({ clientIds: ["service-Ab12"] }).pipe(Layer.provide(FakeIms.layerTest()))
 *
 * it.effect("fails with Malformed when the text is not a JWT", () =>
 *   Effect.gen(function* () {
 *     const verifier = yield* AccessTokenVerifier.AccessTokenVerifier
 *     const outcome = yield* verifier.verify(Redacted.make("fake-token")).pipe(
 *       Effect.as("accepted"),
 *       Effect.catchReason("VerificationError", "Malformed", () => Effect.succeed("malformed"))
 *     )
 *     assert.strictEqual(outcome, "malformed")
 *   }).pipe(Effect.provide(Verifier))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

const id = (name: string): string => `@effect-itwin/verify/VerificationError/${name}`

const seconds = (duration: Duration.Duration): string => {
  const total = Math.max(0, Math.round(Duration.toSeconds(duration)))
  return total < 120 ? `${total} s` : `${Math.round(total / 60)} min`
}

/**
 * Says that the request has no token.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Missing extends Schema.Error<Missing>(id("Missing"))({ _tag: Schema.tag("Missing") }) {
  override get message(): string {
    return "The request has no access token. Send it in the header `Authorization: Bearer …`."
  }
}

/**
 * Says that the text is not an access token that this service can read.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Malformed extends Schema.Error<Malformed>(id("Malformed"))({
  _tag: Schema.tag("Malformed"),
  /** The check that failed. Contains no part of the token. */
  detail: Schema.String
}) {
  override get message(): string {
    return `The access token is malformed: ${this.detail}. Send the token exactly as IMS returned it.`
  }
}

/**
 * Says that the token has expired.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Expired extends Schema.Error<Expired>(id("Expired"))({
  _tag: Schema.tag("Expired"),
  /** The time since the expiry. */
  since: Schema.Duration
}) {
  override get message(): string {
    return `The access token expired ${seconds(this.since)} ago. The caller has to request a new one. If it is new, compare the clock of this machine.`
  }
}

/**
 * Says that the token is not valid yet (`nbf`).
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotYetValid extends Schema.Error<NotYetValid>(id("NotYetValid"))({
  _tag: Schema.tag("NotYetValid"),
  /** The time until the token becomes valid. */
  until: Schema.Duration
}) {
  override get message(): string {
    return `The access token becomes valid in ${seconds(this.until)}. Compare the clock of this machine, or raise clockTolerance.`
  }
}

/**
 * Says that another authorization server issued the token.
 *
 * @category reasons
 * @since 0.1.0
 */
export class WrongIssuer extends Schema.Error<WrongIssuer>(id("WrongIssuer"))({
  _tag: Schema.tag("WrongIssuer"),
  expected: Schema.String
}) {
  override get message(): string {
    return `The access token was not issued by ${this.expected}. Check that the caller and this service use the same environment.`
  }
}

/**
 * Says that the token is for other services.
 *
 * @category reasons
 * @since 0.1.0
 */
export class WrongAudience extends Schema.Error<WrongAudience>(id("WrongAudience"))({
  _tag: Schema.tag("WrongAudience"),
  expected: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The access token is not for ${this.expected.join(" or ")}. Check the option audiences.`
  }
}

/**
 * Says that the token belongs to an app that this service does not accept.
 *
 * @category reasons
 * @since 0.1.0
 */
export class WrongClient extends Schema.Error<WrongClient>(id("WrongClient"))({ _tag: Schema.tag("WrongClient") }) {
  override get message(): string {
    return "The access token belongs to an app whose client id is not listed. If the app may call this service, add its client id to the option clientIds."
  }
}

/**
 * Says that the token lacks scopes.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InsufficientScope extends Schema.Error<InsufficientScope>(id("InsufficientScope"))({
  _tag: Schema.tag("InsufficientScope"),
  /** All scopes that are required, not only those that the token lacks. */
  required: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The access token lacks a scope. Required: ${this.required.join(" ")}. The caller has to request a token with these scopes.`
  }
}

/**
 * Says that no key of IMS made the signature.
 *
 * @category reasons
 * @since 0.1.0
 */
export class BadSignature extends Schema.Error<BadSignature>(id("BadSignature"))({
  _tag: Schema.tag("BadSignature"),
  /** The check that failed. Contains no part of the token. */
  detail: Schema.String
}) {
  override get message(): string {
    return `The signature of the access token is not valid: ${this.detail}. Check that the caller and this service use the same environment.`
  }
}

/**
 * Says that IMS does not accept the token any longer: it was revoked, has expired, or was never issued. Only
 * introspection returns this reason (RFC 7662 §2.2).
 *
 * @category reasons
 * @since 0.1.0
 */
export class Inactive extends Schema.Error<Inactive>(id("Inactive"))({ _tag: Schema.tag("Inactive") }) {
  override get message(): string {
    return "IMS does not accept the access token: it was revoked, has expired, or was issued elsewhere. The caller has to request a new one."
  }
}

const unavailable = {
  endpoint: Schema.String,
  /** What happened, as the end of a sentence whose subject is the endpoint. */
  detail: Schema.String,
  /** The time until the next attempt. */
  retryAfter: Schema.Duration
}

/**
 * Says that the keys of IMS could not be read, so that it is unknown whether the token is valid.
 *
 * @category reasons
 * @since 0.1.0
 */
export class KeysUnavailable extends Schema.Error<KeysUnavailable>(id("KeysUnavailable"))({
  _tag: Schema.tag("KeysUnavailable"),
  ...unavailable
}) {
  override get message(): string {
    return `The keys of IMS could not be read, because their endpoint ${this.detail}. Check the network path to it: firewall, proxy, DNS. (key set ${this.endpoint}, next attempt in ${seconds(this.retryAfter)})`
  }
}

/**
 * Says that IMS could not be asked about the token, so that it is unknown whether the token is valid.
 *
 * @category reasons
 * @since 0.1.0
 */
export class IntrospectionUnavailable extends Schema.Error<IntrospectionUnavailable>(id("IntrospectionUnavailable"))({
  _tag: Schema.tag("IntrospectionUnavailable"),
  ...unavailable
}) {
  override get message(): string {
    return `IMS could not be asked about the access token, because the endpoint ${this.detail}. Check the credentials of this service, and the network path to the endpoint. (introspection endpoint ${this.endpoint})`
  }
}

/**
 * Lists the reasons of a `VerificationError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export const VerificationErrorReason = Schema.Union([
  Missing,
  Malformed,
  Expired,
  NotYetValid,
  WrongIssuer,
  WrongAudience,
  WrongClient,
  InsufficientScope,
  BadSignature,
  Inactive,
  KeysUnavailable,
  IntrospectionUnavailable
])

/**
 * Names the reasons of a `VerificationError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export type VerificationErrorReason = typeof VerificationErrorReason.Type

/**
 * Tells that an access token was not accepted; `reason` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export class VerificationError extends Schema.Error<VerificationError>("@effect-itwin/verify/VerificationError")({
  _tag: Schema.tag("VerificationError"),
  reason: VerificationErrorReason
}) {
  /**
   * Tells whether the same token may be accepted later without a change.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    const { _tag } = this.reason
    return _tag === "KeysUnavailable" || _tag === "IntrospectionUnavailable" || _tag === "NotYetValid"
  }

  /**
   * Returns the time until another attempt can succeed, if it is known.
   *
   * @since 0.1.0
   */
  get retryAfter(): Duration.Duration | undefined {
    const { reason } = this
    return reason._tag === "NotYetValid" ? reason.until : "retryAfter" in reason ? reason.retryAfter : undefined
  }

  override get message(): string {
    return `${this.reason.message} See docs/errors.md#verification-${this.reason._tag.toLowerCase()}`
  }
}

/**
 * Returns whether the value is a `VerificationError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isVerificationError: (value: unknown) => value is VerificationError = Schema.is(VerificationError)
