/**
 * Holds what a verified access token says, and the token itself as `Redacted`.
 *
 * **Gotchas**
 *
 * Only a verifier and tests should build one, because handlers rely on the checks of `AccessTokenVerifier`.
 *
 * **Example** (Reading the token of a request)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { VerifiedToken } from "@effect-itwin/verify"
 * import { DateTime, Effect, Redacted } from "effect"
 *
 * const greet = Effect.map(VerifiedToken.CurrentToken, ({ clientId, kind }) => `${kind} ${clientId}`)
 *
 * const token = new VerifiedToken.VerifiedToken({
 *   value: Redacted.make("fake-token"),
 *   clientId: "service-Ab12",
 *   kind: "service",
 *   scopes: ["itwin-platform"],
 *   expiresAt: DateTime.makeUnsafe("2026-01-01T01:00:00Z")
 * })
 *
 * it.effect("gives the handler the token of its request", () =>
 *   Effect.gen(function* () {
 *     assert.strictEqual(yield* greet, "service service-Ab12")
 *     assert.notInclude(JSON.stringify(token), "fake-token")
 *   }).pipe(Effect.provideService(VerifiedToken.CurrentToken, token))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as DateTime from "effect/DateTime"
import type * as Redacted from "effect/Redacted"

/**
 * Holds the token with its client id, its subject, its scopes and its expiry. Not a schema, so that nothing can decode
 * one from outside.
 *
 * @category models
 * @since 0.1.0
 */
export class VerifiedToken extends Data.Class<{
  readonly value: Redacted.Redacted
  /** The app for which IMS issued the token: the claim `client_id`. */
  readonly clientId: string
  /** The claim `sub`: the user, or the service app itself. */
  readonly subject?: string | undefined
  /**
   * `service` if the token has no subject, if the subject is the app, or if the client id starts with `service-`, as
   * those of service apps do; otherwise `user`.
   */
  readonly kind: "user" | "service"
  /** The granted scopes, as the token lists them. */
  readonly scopes: ReadonlyArray<string>
  readonly expiresAt: DateTime.Utc
}> {
  /**
   * Returns whether the token has the scope.
   *
   * @since 0.1.0
   */
  hasScope(scope: string): boolean {
    return this.scopes.includes(scope)
  }
}

/**
 * Gives a handler the verified token of its request. `BearerMiddleware` and `BearerSecurity` provide it.
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentToken extends Context.Service<CurrentToken, VerifiedToken>()(
  "@effect-itwin/verify/VerifiedToken/CurrentToken"
) {}
