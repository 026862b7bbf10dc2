// Compares the clock of this machine with the `Date` of a response, which has a resolution of 1 s.
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { shown } from "./shown.ts"
import type { Walk } from "./walk.ts"

export interface Exchange {
  readonly date: string | undefined
  readonly sentAt: number
  readonly receivedAt: number
}

/** Servers that verify tokens commonly accept a difference of up to 5 minutes. */
const limit = 5 * 60_000

export const clockStep = (walk: Walk, { date, receivedAt, sentAt }: Exchange) => {
  const server = Option.getOrUndefined(DateTime.make(date ?? ""))
  if (server === undefined) return walk.check("clock", "not checked, because the response has no date", undefined)
  // The response was written between these two times. The server cuts the fraction of the second.
  const earliest = sentAt - DateTime.toEpochMillis(server) - 1000
  const latest = receivedAt - DateTime.toEpochMillis(server)
  // Zero, unless both are on the same side of it.
  const ahead = Math.max(earliest, 0) + Math.min(latest, 0)
  if (ahead === 0) return walk.check("clock", "in agreement with the platform's", undefined)
  const difference = `${shown(Math.abs(ahead))} ${ahead > 0 ? "ahead of" : "behind"} the platform's`
  return walk.check(
    "clock",
    difference,
    Math.abs(ahead) <= limit
      ? undefined
      : { message: difference, advice: "Synchronize the clock of this machine, for example with NTP." }
  )
}
