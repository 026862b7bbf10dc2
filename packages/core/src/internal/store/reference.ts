// What the cache knows of a shared store, alone in a module: a program without a store carries nothing else of it.
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { AccessToken } from "../../AccessToken.ts"
import type { Scopes } from "../../Scopes.ts"
import type { TokenError } from "../../TokenError.ts"
import type { Shared } from "../../TokenStore.ts"
import type { Ask } from "../life/acquireToken.ts"

/** Requests a token with these credentials. */
export type AskForScopes = Ask<Scopes>

/** The cache that uses the store. */
export interface Cache {
  readonly endpoint: string
  readonly clock: Clock.Clock
  readonly replayFailures: boolean
}

/** The store as one cache sees it. */
export interface Sharing {
  /** Asks the store first, and shares the token that is requested otherwise. */
  readonly ask: (send: AskForScopes) => AskForScopes
  /** Makes the next request remove this token from the store: an API rejected it. */
  readonly reject: (token: AccessToken) => void
  /** Does the same, and removes the token now if the store can be reached. */
  readonly drop: (token: AccessToken) => Effect.Effect<void>
  /** Runs it once more if it joined a request that got its token from the store. */
  readonly fromIms: (refresh: Effect.Effect<AccessToken, TokenError>) => Effect.Effect<AccessToken, TokenError>
}

export const TokenStore: Context.Reference<Shared | undefined> = Context.Reference<Shared | undefined>(
  "@effect-itwin/core/TokenStore",
  { defaultValue: () => undefined }
)
