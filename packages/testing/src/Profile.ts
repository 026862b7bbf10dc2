/**
 * How the fake behaves where the platform's behaviour is not documented, but was seen in public clients and support
 * threads or follows from the RFCs. Each fact can be switched, so that a program can be tested against both.
 *
 * @since 0.1.0
 */

/**
 * @category models
 * @since 0.1.0
 */
export interface Profile {
  /** The status of `invalid_client`: 401 as RFC 6749 §5.2 allows, or 400. Inferred. */
  readonly invalidClientStatus: 400 | 401
  /** Whether HTTP Basic is accepted at IMS beside the form. Seen: Bentley's own client uses it. */
  readonly clientSecretBasic: boolean
  /** The token's `scope` claim: a JSON array (seen), or one string (RFC 9068 §2.2.3). */
  readonly scopeClaim: "array" | "string"
  /** Whether the token response names the granted scope. It may, and need not. */
  readonly scopeInResponse: boolean
  /** Scopes that no service app may ask for. Seen. */
  readonly refusedScopes: ReadonlyArray<string>
  /** The life of tokens in seconds: 3600 or 3599 (both were seen). */
  readonly tokenLifeSeconds: number
}

/**
 * What is most likely true of the platform.
 *
 * @category profiles
 * @since 0.1.0
 */
export const platform: Profile = {
  invalidClientStatus: 401,
  clientSecretBasic: true,
  scopeClaim: "array",
  scopeInResponse: false,
  refusedScopes: ["openid", "email", "profile", "organization", "offline_access"],
  tokenLifeSeconds: 3600
}
