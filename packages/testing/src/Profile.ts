/**
 * Describes how the fake behaves where the platform's behavior is not documented.
 *
 * The values were seen in public clients and support threads, or follow from the RFCs. Each can be switched, so that a
 * program can be tested against both.
 *
 * **Example** (The errors of a server of the IdentityServer family)
 *
 * ```ts
 * import { FakeIms, Profile } from "@effect-itwin/testing"
 * import { Layer } from "effect"
 *
 * const layer = FakeIms.layerTest({ profile: Profile.identityServer })
 * console.log(Layer.isLayer(layer)) // true
 * ```
 *
 * @since 0.1.0
 */

/**
 * Describes how the fake behaves where the platform's behavior is not documented.
 *
 * @category models
 * @since 0.1.0
 */
export interface Profile {
  /**
   * The status of `invalid_client` when the client did not use `Authorization`: RFC 6749 §5.2 allows both. Inferred.
   */
  readonly invalidClientStatus: 400 | 401
  /**
   * Whether `invalid_client` has status 401 and a challenge when the client used `Authorization`, as RFC 6749 §5.2
   * demands. Without it the answer is the same as for other clients. Inferred.
   */
  readonly basicChallenge: boolean
  /** Whether IMS accepts HTTP Basic in addition to the form. Seen: Bentley's client uses it. */
  readonly clientSecretBasic: boolean
  /**
   * How IMS reads id and secret in HTTP Basic: form-decoded (RFC 6749 §2.3.1), raw (as some servers do), or either.
   * Inferred.
   */
  readonly basicEncoding: "form" | "raw" | "either"
  /** The token's `scope` claim: a JSON array (seen), or one string (RFC 9068 §2.2.3). */
  readonly scopeClaim: "array" | "string"
  /** Whether the token response names the granted scope. It is optional if it equals the requested one. */
  readonly scopeInResponse: boolean
  /** Scopes that no service app may request. Seen. */
  readonly refusedScopes: ReadonlyArray<string>
  /** The life of tokens in seconds: 3600 or 3599 (both were seen). */
  readonly tokenLifeSeconds: number
  /** The life of authorization codes in seconds. Inferred: RFC 6749 §4.1.2 allows at most 10 minutes. */
  readonly codeLifeSeconds: number
  /** The life of refresh tokens in seconds. Inferred. */
  readonly refreshTokenLifeSeconds: number
  /** Whether each refresh returns a new refresh token and replaces the one that was sent. Inferred. */
  readonly refreshTokenRotation: boolean
  /**
   * For how many seconds a replaced refresh token still works, so that a client that lost the answer can repeat the
   * request. After that it ends the sign-in, because it may be stolen (RFC 9700 §4.14.2). Inferred.
   */
  readonly refreshTokenGraceSeconds: number
  /**
   * How users sign in. `page`: by a person, or by `signIn` of the fake. `auto`: at once and without a page, as the user
   * that `login_hint` names, else as the user of the browser's session, else as the first user.
   */
  readonly signIn: "page" | "auto"
}

/**
 * Describes what is most likely true of the platform.
 *
 * @category profiles
 * @since 0.1.0
 */
export const platform: Profile = {
  invalidClientStatus: 401,
  basicChallenge: true,
  clientSecretBasic: true,
  basicEncoding: "form",
  scopeClaim: "array",
  scopeInResponse: false,
  refusedScopes: ["openid", "email", "profile", "organization", "offline_access"],
  tokenLifeSeconds: 3600,
  codeLifeSeconds: 300,
  refreshTokenLifeSeconds: 2_592_000,
  refreshTokenRotation: true,
  refreshTokenGraceSeconds: 0,
  signIn: "page"
}

/**
 * Describes servers of the IdentityServer family: each `invalid_client` has status 400 and no challenge, and the token
 * response names the scope.
 *
 * @category profiles
 * @since 0.1.0
 */
export const identityServer: Profile = {
  ...platform,
  invalidClientStatus: 400,
  basicChallenge: false,
  scopeInResponse: true
}
