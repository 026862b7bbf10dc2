// Remembers values until they expire, so that memory stays bounded.
import type * as Clock from "effect/Clock"

export interface ExpiringMap<A> {
  /** Remembers the value until this time, in epoch milliseconds. */
  readonly add: (key: string, value: A, expiresAt: number) => void
  /** Returns the value, if it has not expired. */
  readonly get: (key: string) => A | undefined
  readonly delete: (key: string) => void
  readonly values: () => ReadonlyArray<A>
  /** Returns how many values are remembered. */
  readonly size: () => number
  readonly clear: () => void
}

/** Is the smallest number of values for which a search for expired ones is worth the time. */
const fewest = 1_000

export const makeExpiringMap = <A>(clock: Clock.Clock): ExpiringMap<A> => {
  const entries = new Map<string, { readonly value: A; readonly expiresAt: number }>()
  let sweepAt = fewest

  /** Checks all values whenever their number has doubled, so that the cost for each value is constant. */
  const forgetExpired = () => {
    if (entries.size < sweepAt) return
    const now = clock.currentTimeMillisUnsafe()
    for (const [key, { expiresAt }] of entries) if (expiresAt <= now) entries.delete(key)
    sweepAt = Math.max(fewest, entries.size * 2)
  }

  return {
    add: (key, value, expiresAt) => {
      forgetExpired()
      entries.set(key, { value, expiresAt })
    },
    get: (key) => {
      const entry = entries.get(key)
      return entry === undefined || entry.expiresAt <= clock.currentTimeMillisUnsafe() ? undefined : entry.value
    },
    delete: (key) => void entries.delete(key),
    values: () => Array.from(entries.values(), ({ value }) => value),
    size: () => entries.size,
    clear: () => {
      entries.clear()
      sweepAt = fewest
    }
  }
}
