// The tokens at hand: one for each scope set, at most so many, the least recently used going first.
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { AccessToken } from "../../AccessToken.ts"
import type { Scopes } from "../../Scopes.ts"
import { type Margins, type Thresholds, thresholds } from "./phase.ts"

/** The effect is made once, so that a hit allocates nothing but the fiber's step. */
export interface Entry extends Thresholds {
  readonly token: AccessToken
  readonly succeed: Effect.Effect<AccessToken>
  /** A clock that stands before this can't tell the token's age. */
  readonly issuedAt: number
  readonly expiry: number
  lastUsed: number
  /** An API refused it, and another one is on its way. */
  isRefused: boolean
}

export interface TokenStore {
  readonly get: (key: Scopes) => Entry | undefined
  readonly put: (key: Scopes, entry: Entry) => void
  /** Forgets this entry and no other. */
  readonly drop: (key: Scopes, entry: Entry) => void
  readonly clear: () => void
  readonly keys: () => Iterable<Scopes>
}

export const makeEntry = (token: AccessToken, margins: Margins, random: number, now: number): Entry => {
  const issuedAt = token.issuedAt.epochMilliseconds
  const expiry = token.expiresAt.epochMilliseconds
  return {
    token,
    succeed: Effect.succeed(token),
    issuedAt,
    expiry,
    lastUsed: now,
    isRefused: false,
    ...thresholds(issuedAt, expiry, margins, random)
  }
}

/** Whether both are the same token: by value, since a caller may hold a copy. */
export const isSame = (self: AccessToken, that: AccessToken): boolean =>
  Redacted.value(self.value) === Redacted.value(that.value)

export const makeTokenStore = (capacity: number): TokenStore => {
  const entries = new Map<Scopes, Entry>()
  const evict = () => {
    let oldest: Scopes | undefined
    let lastUsed = Number.POSITIVE_INFINITY
    for (const [key, entry] of entries) {
      if (entry.lastUsed < lastUsed) {
        oldest = key
        lastUsed = entry.lastUsed
      }
    }
    if (oldest !== undefined) entries.delete(oldest)
  }
  return {
    get: (key) => entries.get(key),
    put: (key, entry) => {
      entries.set(key, entry)
      if (entries.size > capacity) evict()
    },
    drop: (key, entry) => {
      if (entries.get(key) === entry) entries.delete(key)
    },
    clear: () => entries.clear(),
    keys: () => entries.keys()
  }
}
