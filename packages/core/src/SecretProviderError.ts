/**
 * Tells why the credentials of the app could not be read from their backend.
 *
 * There is one error, `SecretProviderError`. Its `reason` tells the cases apart:
 * `Effect.catchReason("SecretProviderError", "NotFound", …)`. Each reason names the provider and the *name* of the
 * secret, and says what to do. None contains a value.
 *
 * **Gotchas**
 *
 * Never attach the error of a backend's SDK: it may contain secrets and bearer tokens.
 *
 * **Example** (Failing in your own provider)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { SecretProviderError } from "@effect-itwin/core"
 *
 * it("names the provider and the secret in the message", () => {
 *   const reason = new SecretProviderError.NotFound({ provider: "MyVault", secretName: "itwin" })
 *   const error = new SecretProviderError.SecretProviderError({ reason })
 *   assert.include(error.message, "itwin")
 *   assert.isTrue(SecretProviderError.isSecretProviderError(error))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { defectFields, defectOf, describeDefect } from "./internal/shown/defect.ts"
import { formatDuration } from "./internal/shown/formatDuration.ts"

const fields = {
  /** The name of the provider, for example `EnvSecretProvider`. */
  provider: Schema.String,
  /** The name of what was read: a variable, a path, a secret. */
  secretName: Schema.String,
  /** What the provider knows in addition to the reason, and what to do. */
  advice: Schema.optional(Schema.String)
}

const checkBackend = "Check its status, and the network path to it: firewall, proxy, DNS."

const describe = (
  reason: { readonly provider: string; readonly secretName: string; readonly advice?: string | undefined },
  what: string,
  advice: string
) => `${reason.provider}: ${reason.secretName} ${what}. ${reason.advice ?? advice}`

/**
 * Says that the backend does not have the secret.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotFound extends Schema.Error<NotFound>("@effect-itwin/core/SecretProviderError/NotFound")({
  _tag: Schema.tag("NotFound"),
  ...fields,
  /** What is missing, as a sentence without its full stop; that `secretName` was not found, unless given. */
  problem: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return this.problem === undefined
      ? describe(this, "was not found", "Create it, or correct the name.")
      : `${this.provider}: ${this.problem}.${this.advice === undefined ? "" : ` ${this.advice}`}`
  }
}

/**
 * Says that the backend knows this identity, and denies it the secret.
 *
 * @category reasons
 * @since 0.1.0
 */
export class AccessDenied extends Schema.Error<AccessDenied>("@effect-itwin/core/SecretProviderError/AccessDenied")({
  _tag: Schema.tag("AccessDenied"),
  ...fields
}) {
  override get message(): string {
    return describe(this, "may not be read by this process", "Grant its identity read access to the secret.")
  }
}

/**
 * Says that the secret exists, but is disabled. This is a kill switch: no other backend is read instead.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Disabled extends Schema.Error<Disabled>("@effect-itwin/core/SecretProviderError/Disabled")({
  _tag: Schema.tag("Disabled"),
  ...fields
}) {
  override get message(): string {
    return describe(this, "is disabled", "Enable it, or store a new version.")
  }
}

/**
 * Says that this process has neither an identity nor a login at the backend.
 *
 * @category reasons
 * @since 0.1.0
 */
export class CredentialUnavailable extends Schema.Error<CredentialUnavailable>(
  "@effect-itwin/core/SecretProviderError/CredentialUnavailable"
)({
  _tag: Schema.tag("CredentialUnavailable"),
  ...fields
}) {
  override get message(): string {
    return describe(
      this,
      "could not be read because this process has no identity at the backend",
      "Assign one, for example a managed identity."
    )
  }
}

/**
 * Says that the backend limits the rate of reads.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Throttled extends Schema.Error<Throttled>("@effect-itwin/core/SecretProviderError/Throttled")({
  _tag: Schema.tag("Throttled"),
  ...fields,
  retryAfter: Schema.optional(Schema.Duration)
}) {
  override get message(): string {
    const wait = this.retryAfter === undefined ? "" : ` and asked to wait ${formatDuration(this.retryAfter)}`
    return describe(
      this,
      `could not be read because the backend limits the rate of reads${wait}`,
      "Read the secret less often."
    )
  }
}

/**
 * Says that the backend is unreachable or failed.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unavailable extends Schema.Error<Unavailable>("@effect-itwin/core/SecretProviderError/Unavailable")({
  _tag: Schema.tag("Unavailable"),
  ...fields
}) {
  override get message(): string {
    return describe(this, "could not be read because the backend is unreachable or failed", checkBackend)
  }
}

/**
 * Says that the secret exists, but its value is not usable: blank, or not in the expected form.
 *
 * @category reasons
 * @since 0.1.0
 */
export class InvalidSecret extends Schema.Error<InvalidSecret>("@effect-itwin/core/SecretProviderError/InvalidSecret")({
  _tag: Schema.tag("InvalidSecret"),
  ...fields
}) {
  override get message(): string {
    return describe(this, "has no usable value", "Store the value exactly as shown under My Apps.")
  }
}

/**
 * Says that the settings of the provider are wrong.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Misconfigured extends Schema.Error<Misconfigured>("@effect-itwin/core/SecretProviderError/Misconfigured")({
  _tag: Schema.tag("Misconfigured"),
  ...fields
}) {
  override get message(): string {
    return describe(this, "is misconfigured", "Correct the settings of the provider.")
  }
}

/**
 * Says that the code of the provider threw, or its effect died. This is a bug in the program, not an outage.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Defect extends Schema.Error<Defect>("@effect-itwin/core/SecretProviderError/Defect")({
  _tag: Schema.tag("Defect"),
  ...fields,
  ...defectFields
}) {
  override get message(): string {
    return `${this.provider}: reading ${this.secretName} ${describeDefect(this)}`
  }
}

/**
 * Lists the reasons of a `SecretProviderError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export const SecretProviderErrorReason = Schema.Union([
  NotFound,
  AccessDenied,
  Disabled,
  CredentialUnavailable,
  Throttled,
  Unavailable,
  InvalidSecret,
  Misconfigured,
  Defect
])

/**
 * Names the reasons of a `SecretProviderError`.
 *
 * @category reasons
 * @since 0.1.0
 */
export type SecretProviderErrorReason = typeof SecretProviderErrorReason.Type

/**
 * Tells that the credentials could not be read; `reason` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export class SecretProviderError extends Schema.Error<SecretProviderError>("@effect-itwin/core/SecretProviderError")({
  _tag: Schema.tag("SecretProviderError"),
  reason: SecretProviderErrorReason
}) {
  /**
   * Tells whether the same read may succeed later without a change.
   *
   * @since 0.1.0
   */
  get isRetryable(): boolean {
    return this.reason._tag === "Throttled" || this.reason._tag === "Unavailable"
  }

  /**
   * Returns how long the backend asked to wait, if it did.
   *
   * @since 0.1.0
   */
  get retryAfter(): Duration.Duration | undefined {
    return "retryAfter" in this.reason ? this.reason.retryAfter : undefined
  }

  override get message(): string {
    return `${this.reason.message} See docs/errors.md#secret-${this.reason._tag.toLowerCase()}`
  }
}

/**
 * Builds the error for an exception of a provider: a {@link Defect} with the class and the stack frames of `thrown`,
 * but without its message, which may contain a secret.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromDefect = (
  about: { readonly provider: string; readonly secretName: string },
  thrown: unknown
): SecretProviderError => new SecretProviderError({ reason: new Defect({ ...about, ...defectOf(Cause.die(thrown)) }) })

/**
 * Returns whether the value is a `SecretProviderError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isSecretProviderError: (value: unknown) => value is SecretProviderError = Schema.is(SecretProviderError)
