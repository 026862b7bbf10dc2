// Issues the tokens of the vault, and decides which of them the vault accepts.
import type { Entropy } from "../engine/entropy.ts"
import { uuid } from "../engine/entropy.ts"
import { type Claims, publicJwk, type SigningKey, signJwt, verifyJwt } from "../engine/jwt.ts"

/** In seconds, as Entra ID states it. */
export const tokenLife = 3599

export const issuerOf = (tenantId: string): string => `https://sts.windows.net/${tenantId}/`

export interface Tokens {
  readonly issue: (options: {
    readonly audience: string
    readonly tenantId: string
    readonly clientId: string
    /** In seconds. */
    readonly now: number
    /** Claims in addition to the usual ones, or instead of them. */
    readonly claims?: Claims | undefined
  }) => string
  /** Returns the claims of a token that the key of this fake signed, and whether the token was revoked. */
  readonly read: (jwt: string) => { readonly claims: Claims; readonly revoked: boolean } | undefined
  /** Revokes all tokens that were issued or accepted so far. */
  readonly revokeAll: () => void
  readonly jwks: () => { readonly keys: ReadonlyArray<Claims> }
  readonly reset: () => void
}

/**
 * Tokens carry a generation, so that no list of them is kept. A token of a newer generation can come from another fake
 * with the same seed, because MSAL keeps tokens in the process.
 *
 * The age of a token is never checked: clients count it by the clock of the machine, and this fake's may be a
 * `TestClock`.
 */
export const makeTokens = (key: SigningKey, entropy: Entropy): Tokens => {
  let newest = 1
  let revoked = 0
  return {
    issue: ({ audience, tenantId, clientId, now, claims }) =>
      signJwt([key], {
        aud: audience,
        iss: issuerOf(tenantId),
        tid: tenantId,
        appid: clientId,
        iat: now,
        nbf: now,
        exp: now + tokenLife,
        jti: uuid(entropy),
        ...claims,
        fake_generation: newest
      }),
    read: (jwt) => {
      const claims = verifyJwt([key], jwt)
      if (claims === undefined) return undefined
      const generation = Number(claims.fake_generation)
      newest = Math.max(newest, generation)
      return { claims, revoked: generation <= revoked }
    },
    revokeAll: () => {
      revoked = newest++
    },
    jwks: () => ({ keys: [publicJwk(key)] }),
    reset: () => {
      newest = 1
      revoked = 0
    }
  }
}
