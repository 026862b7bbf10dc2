/**
 * Keeps users signed in: gives a valid access token for a session, and renews it with the refresh token.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { AccessToken } from "./AccessToken.ts"
import type { ClientCredentials } from "./ClientCredentials.ts"
import type { Environment } from "./Environment.ts"
import type { Scopes } from "./Scopes.ts"
import type { SecretProviderError } from "./SecretProviderError.ts"
import type { Session, SessionId } from "./SessionStore.ts"
import type { TokenCache } from "./TokenCache.ts"
import type { TokenError } from "./TokenError.ts"

/**
 * Describes a user who has just signed in.
 *
 * @category models
 * @since 0.1.0
 */
export interface SignedIn {
  readonly accessToken: AccessToken
  readonly refreshToken?: Redacted.Redacted | undefined
  readonly idToken?: Redacted.Redacted | undefined
  readonly claims?: Session["user"]
}

/**
 * Describes a session without its tokens.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionInfo {
  /** Names the session in logs and spans. Not its id. */
  readonly key: string
  readonly clientId: string
  readonly scopes: Scopes
  readonly user: Session["user"]
  readonly signedInAt: DateTime.Utc
  /** When the user must sign in again. */
  readonly expiresAt: DateTime.Utc
}

/**
 * Provides the access tokens of users by the ids of their sessions.
 *
 * @category services
 * @since 0.1.0
 */
export class UserTokens extends Context.Service<
  UserTokens,
  {
    /** Begins a session, under a new id. */
    readonly open: (signedIn: SignedIn) => Effect.Effect<SessionId, TokenError>
    /** Returns what is known of the session, from the store. */
    readonly session: (id: SessionId) => Effect.Effect<SessionInfo, TokenError>
    /** Returns a valid access token for the scopes of the session. */
    readonly get: (id: SessionId) => Effect.Effect<AccessToken, TokenError>
    /** Returns a token cache for one session, on which `ITwinHttpClient` can be built. */
    readonly cacheOf: (id: SessionId) => TokenCache["Service"]
    /** Ends the session: removes it from the store, then revokes its refresh token at IMS. */
    readonly close: (id: SessionId) => Effect.Effect<{ readonly idToken: Redacted.Redacted | undefined }, TokenError>
    /** Reads the credentials of the app. */
    readonly credentials: Effect.Effect<ClientCredentials, SecretProviderError>
    /** The environment with which the layer was built. */
    readonly environment: Environment
  }
>()("@effect-itwin/core/UserTokens") {}
