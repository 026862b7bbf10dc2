// Remembers the tokens that were issued until they expire, so that memory stays bounded.
import type * as Clock from "effect/Clock"

export interface IssuedToken {
  readonly clientId: string
  /** In epoch milliseconds. */
  readonly expiresAt: number
  isRevoked: boolean
}

export interface IssuedTokens {
  readonly add: (jti: string, token: Omit<IssuedToken, "isRevoked">) => void
  readonly get: (jti: string) => IssuedToken | undefined
  readonly revoke: (jti: string) => void
  /** Revokes all tokens of the client. */
  readonly revokeAll: (clientId: string) => void
  /** Returns how many tokens are remembered. */
  readonly size: () => number
  readonly clear: () => void
}

/** Is the smallest number of tokens for which a search for expired ones is worth the time. */
const fewest = 1_000

export const makeIssuedTokens = (clock: Clock.Clock): IssuedTokens => {
  const tokens = new Map<string, IssuedToken>()
  let sweepAt = fewest

  /** Checks all tokens whenever their number has doubled, so that the cost for each token is constant. */
  const forgetExpired = () => {
    if (tokens.size < sweepAt) return
    const now = clock.currentTimeMillisUnsafe()
    for (const [jti, { expiresAt }] of tokens) if (expiresAt <= now) tokens.delete(jti)
    sweepAt = Math.max(fewest, tokens.size * 2)
  }

  return {
    add: (jti, token) => {
      forgetExpired()
      tokens.set(jti, { ...token, isRevoked: false })
    },
    get: (jti) => tokens.get(jti),
    revoke: (jti) => {
      const token = tokens.get(jti)
      if (token !== undefined) token.isRevoked = true
    },
    revokeAll: (clientId) => {
      for (const token of tokens.values()) if (token.clientId === clientId) token.isRevoked = true
    },
    size: () => tokens.size,
    clear: () => {
      tokens.clear()
      sweepAt = fewest
    }
  }
}
