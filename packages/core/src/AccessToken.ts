/**
 * Represents an access token as IMS granted it.
 *
 * A client does not read the token itself (RFC 9068 §6). Scopes and times come from the token response.
 *
 * **Gotchas**
 *
 * The value is `Redacted` and can't be encoded. {@link AccessToken.authorizationHeader} is `Redacted` too.
 *
 * **Example** (Reading a token)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, TokenCache } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("prints a token without its value", () =>
 *   Effect.gen(function* () {
 *     const cache = yield* TokenCache.TokenCache
 *     const token = yield* cache.get()
 *     assert.strictEqual(token.scopes, "itwin-platform")
 *     assert.strictEqual(String(token.value), "<redacted>")
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scopes from "./Scopes.ts"

/**
 * Holds the token with its scopes, its client id and its times.
 *
 * @category models
 * @since 0.1.0
 */
export class AccessToken extends Schema.Class<AccessToken>("@effect-itwin/core/AccessToken")({
  value: Schema.RedactedFromValue(Schema.NonEmptyString, { disallowEncode: true }),
  tokenType: Schema.Literal("Bearer"),
  /** The granted scopes. They equal `requestedScopes` if the response names none (RFC 6749 §5.1). */
  scopes: Scopes.Scopes,
  requestedScopes: Scopes.Scopes,
  clientId: Schema.String,
  /** True if a user signed in for this token. Otherwise it belongs to the app itself. */
  ofUser: Schema.optionalKey(Schema.Boolean),
  /** The time just before the request was sent. The token's life is counted from here. */
  issuedAt: Schema.DateTimeUtc,
  expiresAt: Schema.DateTimeUtc
}) {
  /**
   * Returns the value of the `Authorization` header: `Bearer …` (RFC 6750 §2.1).
   *
   * @since 0.1.0
   */
  get authorizationHeader(): Redacted.Redacted {
    return Redacted.make(`Bearer ${Redacted.value(this.value)}`)
  }

  /**
   * Returns the time from `issuedAt` to `expiresAt`.
   *
   * @since 0.1.0
   */
  get life(): Duration.Duration {
    return DateTime.distance(this.issuedAt, this.expiresAt)
  }
}
