// The tokens in memory: one for each key, up to a capacity. The least recently used token is dropped first.
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { AccessToken } from "../../AccessToken.ts"
import { type Borders, type Born, borders, type Instant, type Margins, type Phase, phaseOf } from "./phase.ts"

export interface Entry extends Born, Borders {
  readonly token: AccessToken
  /** Built once, so that a hit allocates nothing. */
  readonly succeed: Effect.Effect<AccessToken>
  /** The number of the last use of this token. */
  lastUse: number
  /** Between these times of the wall clock the token is known to be fresh, so the monotonic clock is not read. */
  freshFrom: number
  freshUntil: number
}

/** How long a reading of both clocks is used. A wall clock that was set back is noticed within this time. */
const lookMillis = 1_000

/** `bornAt`: when the token's life began on the monotonic clock. `random` is in [0, 1). */
export const makeEntry = (token: AccessToken, bornAt: number, margins: Margins, random: number): Entry => {
  const wall = token.issuedAt.epochMilliseconds
  return {
    token,
    succeed: Effect.succeed(token),
    issuedAt: { wall, monotonic: bornAt },
    ...borders(token.expiresAt.epochMilliseconds - wall, margins, random),
    lastUse: 0,
    freshFrom: wall,
    freshUntil: wall
  }
}

/** Returns the phase. Remembers it for a second if it is `fresh`. */
export const look = (entry: Entry, now: Instant): Phase => {
  const phase = phaseOf(entry, now)
  if (phase === "fresh") {
    entry.freshFrom = now.wall
    entry.freshUntil = Math.min(now.wall + lookMillis, entry.issuedAt.wall + entry.due)
  }
  return phase
}

/** Compares two tokens by value, because a caller may hold a copy. */
export const isSame = (self: AccessToken, that: AccessToken): boolean =>
  Redacted.value(self.value) === Redacted.value(that.value)

export interface Tokens<K> {
  readonly get: (key: K) => Entry | undefined
  readonly put: (key: K, entry: Entry) => void
  /** Records a use of the token. */
  readonly use: (entry: Entry) => void
  readonly drop: (key: K) => void
  readonly clear: () => void
  readonly keys: () => Iterable<K>
}

export const makeTokens = <K>(capacity: number): Tokens<K> => {
  const entries = new Map<K, Entry>()
  // Counts uses, because a clock can be set back.
  let uses = 0
  const use = (entry: Entry) => {
    entry.lastUse = ++uses
  }
  const evict = () => {
    let oldest: K | undefined
    let firstUse = Number.POSITIVE_INFINITY
    for (const [key, entry] of entries) {
      if (entry.lastUse < firstUse) {
        oldest = key
        firstUse = entry.lastUse
      }
    }
    if (oldest !== undefined) entries.delete(oldest)
  }
  return {
    get: (key) => entries.get(key),
    use,
    put: (key, entry) => {
      use(entry)
      entries.set(key, entry)
      if (entries.size > capacity) evict()
    },
    drop: (key) => entries.delete(key),
    clear: () => entries.clear(),
    keys: () => entries.keys()
  }
}
