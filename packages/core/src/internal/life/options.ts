// The options that every module with a token's life has.
import * as Duration from "effect/Duration"
import { checkDuration, checkOption } from "../checkOption.ts"
import * as phase from "./phase.ts"

interface Margin {
  readonly ofLife: number
  readonly atMost: Duration.Input
}

export interface Options {
  readonly soft?: Margin | undefined
  readonly hard?: Margin | undefined
  readonly jitter?: number | undefined
}

const millisOf = (name: string, input: Duration.Input): number => Duration.toMillis(checkDuration(name, input))

const marginOf = (name: string, { atMost, ofLife }: Margin): phase.Margin => {
  checkOption(`${name}.ofLife`, ofLife, ofLife >= 0 && ofLife <= 1, "from 0 to 1")
  return { ofLife, atMost: millisOf(`${name}.atMost`, atMost) }
}

/** Throws a `RangeError` if an option is invalid. */
export const marginsOf = (
  module: string,
  { hard = phase.defaults.hard, jitter = phase.defaults.jitter, soft }: Options,
  softDefault: phase.Margin
): phase.Margins => {
  checkOption(`${module}: jitter`, jitter, jitter >= 0 && jitter <= 1, "from 0 to 1")
  return { soft: marginOf(`${module}: soft`, soft ?? softDefault), hard: marginOf(`${module}: hard`, hard), jitter }
}

/** In milliseconds; 24 h by default. */
export const lastKnownGoodOf = (module: string, input: Duration.Input | undefined): number =>
  millisOf(`${module}: lastKnownGood`, input ?? "24 hours")
