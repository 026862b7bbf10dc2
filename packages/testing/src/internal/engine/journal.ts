// Keeps what a fake received as a ring: the newest entries, and counts of all requests.
import * as Effect from "effect/Effect"
import type * as Entries from "../../Journal.ts"

/** Is an entry while its request is served. */
export type Writing = { -readonly [K in keyof Entries.Entry]: Entries.Entry[K] }

/** Names the route of a request that no route serves. */
export const noRoute = "none"

/** Describes what changed in the journal since a change that a reader has seen. */
export interface Changes {
  /** The number of the newest change. */
  readonly last: number
  /** Whether the journal was cleared since then. The entries are then all that it keeps. */
  readonly isCleared: boolean
  /** Copies of the entries that arrived or changed since then, oldest change first. */
  readonly entries: ReadonlyArray<Entries.Entry>
}

interface Kept {
  readonly entry: Writing
  /** The number of its newest change. */
  change: number
}

interface Waiter {
  readonly route: string
  readonly n: number
  readonly resume: (entry: Effect.Effect<Entries.Entry>) => void
}

export interface Journal {
  /** Adds the entry, numbers it, and resumes those who wait for it. */
  readonly add: (entry: Omit<Writing, "number">) => Writing
  /** Returns copies of the entries that are kept, oldest first. */
  readonly entries: () => ReadonlyArray<Entries.Entry>
  /** Returns how many requests the route received, dropped ones included. */
  readonly count: (route: string) => number
  /** Returns how many entries were dropped. */
  readonly dropped: () => number
  /** Returns the n-th request (from 1) to the route as soon as it arrives; a defect if its entry was dropped. */
  readonly arrival: (route: string, n: number) => Effect.Effect<Entries.Entry>
  /** Returns how many callers wait for a request. */
  readonly waiting: () => number
  readonly clear: () => void
  /** Notes that the entry changed after it was added. */
  readonly changed: (entry: Writing) => void
  /** Returns what changed since the change of this number. 0 is before all of them; clearing is a change too. */
  readonly changesSince: (change: number) => Changes
  /** Returns as soon as there is a change after the one of this number. */
  readonly nextChange: (change: number) => Effect.Effect<void>
}

export const makeJournal = (limit: number): Journal => {
  let total = 0
  let kept: Array<Kept> = []
  let byEntry = new WeakMap<Writing, Kept>()
  let change = 0
  let clearedAt = 0
  const counts = new Map<string, number>()
  const waiting = new Set<Waiter>()
  const watching = new Set<() => void>()

  /** Returns the n-th entry of the route, if it is kept. */
  const find = (route: string, n: number): Writing | undefined => {
    const same = kept.filter(({ entry }) => entry.route === route)
    return same[n - 1 - ((counts.get(route) ?? 0) - same.length)]?.entry
  }

  const nextNumber = (): number => {
    for (const resume of watching) resume()
    watching.clear()
    return ++change
  }

  return {
    add: (unnumbered) => {
      const entry: Writing = { ...unnumbered, number: ++total }
      const added = { entry, change: nextNumber() }
      kept.push(added)
      byEntry.set(entry, added)
      if (kept.length > limit) kept.shift()
      const n = (counts.get(entry.route) ?? 0) + 1
      counts.set(entry.route, n)
      for (const waiter of waiting) {
        if (waiter.route !== entry.route || waiter.n !== n) continue
        waiting.delete(waiter)
        waiter.resume(Effect.succeed(entry))
      }
      return entry
    },
    entries: () => kept.map(({ entry }) => ({ ...entry })),
    count: (route) => counts.get(route) ?? 0,
    dropped: () => total - kept.length,
    arrival: (route, n) =>
      Effect.callback((resume) => {
        if (n <= (counts.get(route) ?? 0)) {
          const entry = find(route, n)
          return resume(
            entry === undefined
              ? Effect.die(new RangeError(`Request ${n} to ${route} is no longer in the journal. Raise journalLimit.`))
              : Effect.succeed(entry)
          )
        }
        const waiter = { route, n, resume }
        waiting.add(waiter)
        return Effect.sync(() => waiting.delete(waiter))
      }),
    waiting: () => waiting.size,
    clear: () => {
      total = 0
      kept = []
      byEntry = new WeakMap()
      counts.clear()
      clearedAt = nextNumber()
    },
    changed: (entry) => {
      const found = byEntry.get(entry)
      if (found !== undefined) found.change = nextNumber()
    },
    changesSince: (seen) => {
      const entries = kept.filter((entry) => entry.change > seen).sort((a, b) => a.change - b.change)
      return { last: change, isCleared: seen < clearedAt, entries: entries.map(({ entry }) => ({ ...entry })) }
    },
    nextChange: (seen) =>
      Effect.callback((resume) => {
        if (change > seen) return resume(Effect.void)
        const wake = () => resume(Effect.void)
        watching.add(wake)
        return Effect.sync(() => watching.delete(wake))
      })
  }
}
