// The phase of a token's life, as a pure function of the token and the clocks.
//
// fresh  the token is returned from memory
// due    the token is returned from memory, and renewed
// late   callers wait for the new token, and get the old one if the request fails
// over   the token is not returned any more
import type * as Clock from "effect/Clock"

/** A time before expiry: a part of the life, but at most `atMost` milliseconds. */
export interface Margin {
  readonly ofLife: number
  readonly atMost: number
}

export interface Margins {
  readonly soft: Margin
  readonly hard: Margin
  /** The part of the life by which renewal may begin earlier, so that caches do not all renew at once. */
  readonly jitter: number
}

export const defaults: Margins = {
  soft: { ofLife: 0.25, atMost: 15 * 60_000 },
  hard: { ofLife: 0.1, atMost: 60_000 },
  jitter: 0.1
}

/** With a shared store: one renewal serves all replicas, so an early one costs little. */
export const softWithStore: Margin = { ofLife: 0.5, atMost: 30 * 60_000 }

export type Phase = "fresh" | "due" | "late" | "over"

/** The ages in milliseconds at which the phases begin; a tenth of the life ≤ due ≤ late ≤ over ≤ life. */
export interface Borders {
  readonly due: number
  readonly late: number
  /** 5 s before expiry, leaving time for the token to reach the API; never before `late`. */
  readonly over: number
}

const travelTime = 5_000

/** The part of the life in which a token is fresh, whatever the margins are. Otherwise each call would renew it. */
const freshPart = 0.1

/** `life` in milliseconds; `random` is in [0, 1). */
export const borders = (life: number, { soft, hard, jitter }: Margins, random: number): Borders => {
  const before = ({ atMost, ofLife }: Margin) => life - Math.min(atMost, life * ofLife)
  const earliest = freshPart * life
  const late = Math.max(earliest, before(hard))
  const due = before(soft) - random * jitter * life
  return { due: Math.min(late, Math.max(earliest, due)), late, over: Math.max(late, life - travelTime) }
}

/** Both clocks in milliseconds. The wall clock can be set; the monotonic clock may stop while a machine sleeps. */
export interface Instant {
  readonly wall: number
  readonly monotonic: number
}

/** Returns the milliseconds of the clock that is never set back. */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** When a token's life began. */
export interface Born {
  readonly issuedAt: Instant
}

/** Returns the larger of the ages on both clocks, in milliseconds. */
export const ageOf = ({ issuedAt }: Born, now: Instant): number =>
  Math.max(now.wall - issuedAt.wall, now.monotonic - issuedAt.monotonic)

export const phaseOf = (token: Born & Borders, now: Instant): Phase => {
  const age = ageOf(token, now)
  if (age >= token.over) return "over"
  // The wall clock was set back, so nothing is known about when the token expires for IMS and the API.
  if (age >= token.late || now.wall < token.issuedAt.wall) return "late"
  return age < token.due ? "fresh" : "due"
}
