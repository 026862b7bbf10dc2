// Sessions and locks in memory, on the monotonic clock of the program.
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Backend } from "../../SessionStore.ts"
import { monotonicMillis } from "../life/phase.ts"

interface Ending {
  readonly until: number
}

/** How often what has ended is removed, in milliseconds. */
const sweepEvery = 60_000

export const makeMemoryBackend: Effect.Effect<Backend> = Effect.map(Clock.Clock, (clock) => {
  const rows = new Map<string, Ending & { readonly text: string }>()
  const locks = new Map<string, Ending & { readonly owner: string }>()
  let sweptAt = Number.NEGATIVE_INFINITY

  const step = <A>(run: (now: number) => A) =>
    Effect.sync(() => {
      const now = monotonicMillis(clock)
      if (now >= sweptAt + sweepEvery) {
        sweptAt = now
        for (const map of [rows, locks]) for (const [name, { until }] of map) if (until <= now) map.delete(name)
      }
      return run(now)
    })
  const current = <V extends Ending>(map: Map<string, V>, name: string, now: number): V | undefined => {
    const value = map.get(name)
    return value !== undefined && now < value.until ? value : undefined
  }

  return {
    name: "memory",
    isPrivate: true,
    timeout: Duration.seconds(1),
    get: (name) => step((now) => current(rows, name, now)?.text),
    set: (name, text, { life, onlyIfPresent }) =>
      step((now) => {
        if (onlyIfPresent && current(rows, name, now) === undefined) return false
        rows.set(name, { text, until: now + life })
        return true
      }),
    remove: (name) => step(() => void rows.delete(name)),
    tryLock: (name, owner, life) =>
      step((now) => {
        const held = current(locks, name, now)
        if (held !== undefined && held.owner !== owner) return false
        locks.set(name, { owner, until: now + life })
        return true
      }),
    unlock: (name, owner) =>
      step(() => {
        if (locks.get(name)?.owner === owner) locks.delete(name)
      })
  }
})
