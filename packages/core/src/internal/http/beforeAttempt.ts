// What the token cache does before each attempt of a token request: during a pause between two attempts, IMS may have
// asked another request of the same cache to wait.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { TokenError } from "../../TokenError.ts"

/** Run before each attempt. A failure with `nextAttemptIn` ends the request: it is not retried. */
export const BeforeAttempt: Context.Reference<Effect.Effect<void, TokenError>> = Context.Reference(
  "@effect-itwin/core/internal/BeforeAttempt",
  { defaultValue: (): Effect.Effect<void, TokenError> => Effect.void }
)
