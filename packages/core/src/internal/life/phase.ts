// When a token is renewed, and when it stops being handed out. Pure, so that it can be tested over all lives.

/** How long before expiry: this part of the life, and at most so many milliseconds. */
export interface Margin {
  readonly ofLife: number
  readonly atMost: number
}

export interface Margins {
  readonly soft: Margin
  readonly hard: Margin
  /** Part of the life by which soft may come earlier, so that many caches do not ask at the same moment. */
  readonly jitter: number
}

export const defaults: Margins = {
  soft: { ofLife: 0.25, atMost: 15 * 60_000 },
  hard: { ofLife: 0.1, atMost: 60_000 },
  jitter: 0.1
}

/** Epoch milliseconds; issuedAt ≤ soft ≤ hard ≤ expiry. */
export interface Thresholds {
  /** From here on the token is served from memory while it is renewed. */
  readonly soft: number
  /** From here on callers wait for the new one. */
  readonly hard: number
  /** Up to here it serves if there is no new one: 5 s before expiry, for the way to the API, and never before hard. */
  readonly last: number
}

const travelTime = 5_000

const before = (expiry: number, life: number, { ofLife, atMost }: Margin) => expiry - Math.min(atMost, life * ofLife)

/** `random` is in [0, 1). */
export const thresholds = (issuedAt: number, expiry: number, margins: Margins, random: number): Thresholds => {
  const life = expiry - issuedAt
  const hard = Math.max(issuedAt, before(expiry, life, margins.hard))
  const soft = before(expiry, life, margins.soft) - random * margins.jitter * life
  return { soft: Math.min(hard, Math.max(issuedAt, soft)), hard, last: Math.max(hard, expiry - travelTime) }
}
