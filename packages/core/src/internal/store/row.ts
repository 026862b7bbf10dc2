// The four steps on one row of a shared store, as pure functions of the row and the store's clock. Every store does the
// same; the contract in `@effect-itwin/testing` compares it.
//
// `from` and `length` are kept, not an end. What began later than now has ended: the clock was set back, and it would
// last longer than it was meant to.
import type { Claim, Claimed, Publication, Setback } from "../../TokenStore.ts"

interface Span {
  readonly from: number
  readonly length: number
}

export interface Row {
  readonly token?: (Span & { readonly value: string; readonly version: string }) | undefined
  readonly lease?: (Span & { readonly owner: string }) | undefined
  readonly setback?: (Span & Pick<Setback, "value" | "level">) | undefined
}

/** How long a setback that has ended is remembered, so that the next one can be longer. */
const rememberedFor = 60_000

const passed = ({ from }: Span, now: number): number => now - from

const left = (span: Span, now: number): number => span.length - passed(span, now)

const holds = (span: Span | undefined, now: number, atLeast = 0): boolean =>
  span !== undefined && now >= span.from && left(span, now) > atLeast

/** Returns the row without what has ended, and `undefined` if nothing is left. */
export const current = (row: Row | undefined, now: number): Row | undefined => {
  if (row === undefined) return undefined
  const { lease, setback, token } = row
  const kept: Row = {
    token: holds(token, now) ? token : undefined,
    lease: holds(lease, now) ? lease : undefined,
    setback: holds(setback, now, -rememberedFor) ? setback : undefined
  }
  return kept.token === undefined && kept.lease === undefined && kept.setback === undefined ? undefined : kept
}

export const claim = (row: Row, now: number, options: Claim): readonly [Claimed, Row] => {
  const { forget, known, level, minLeft, owner } = options
  const { lease, setback } = row
  const token = forget === "known" && row.token?.version === known ? undefined : row.token
  const kept: Row = { token, lease, setback }
  if (token !== undefined && forget !== "any" && token.version !== known && left(token, now) >= minLeft) {
    const { value, version } = token
    return [{ _tag: "Token", value, version, age: passed(token, now), left: left(token, now) }, kept]
  }
  if (setback !== undefined && setback.level >= level && left(setback, now) > 0) {
    return [{ _tag: "Held", value: setback.value, left: left(setback, now) }, kept]
  }
  if (lease !== undefined && lease.owner !== owner) return [{ _tag: "Busy", left: left(lease, now) }, kept]
  return [
    { _tag: "Lease", previous: setback?.value },
    { token, setback, lease: { owner, from: now, length: options.lease } }
  ]
}

export const publish = (row: Row, now: number, { age, left: tokenLeft, owner, value }: Publication): Row => {
  const { lease, setback, token } = row
  const isOwner = lease?.owner === owner
  const isBetter = isOwner || token === undefined || left(token, now) < tokenLeft
  return {
    token: isBetter ? { value, version: owner, from: now - age, length: age + tokenLeft } : token,
    lease: isOwner ? undefined : lease,
    // A setback that began after the token was requested still holds.
    setback: setback === undefined || setback.from <= now - age ? undefined : setback
  }
}

const isStronger = (setback: Setback, known: Row["setback"], now: number): boolean => {
  if (known === undefined || left(known, now) <= 0) return true
  return setback.level === known.level ? setback.left > left(known, now) : setback.level > known.level
}

export const release = (row: Row, now: number, owner: string, setback: Setback | undefined): Row => ({
  token: row.token,
  lease: row.lease?.owner === owner ? undefined : row.lease,
  setback:
    setback !== undefined && isStronger(setback, row.setback, now)
      ? { value: setback.value, level: setback.level, from: now, length: setback.left }
      : row.setback
})

export const drop = (row: Row, version: string): Row =>
  row.token?.version === version ? { ...row, token: undefined } : row
