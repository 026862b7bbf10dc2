// Plays the script of one route: decides which fault is applied to a request.
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { type Fault, Step } from "../../Fault.ts"
import { type Entropy, fromSeed } from "./entropy.ts"
import { explain } from "./explain.ts"

interface Playing {
  readonly step: Step
  /** Chooses for `Chaos`, the same in each run. */
  readonly entropy: Entropy | undefined
  passed: number
  applied: number
  since: number | undefined
}

export interface Script {
  /** Adds steps. Throws a `RangeError` if one is not valid. */
  readonly add: (steps: ReadonlyArray<Step>) => void
  readonly clear: () => void
  /** Returns the fault for the request that arrives now. */
  readonly next: () => Fault | undefined
  /** Returns the steps that were not applied yet. */
  readonly unused: () => ReadonlyArray<Step>
}

const decodeStep = Schema.decodeUnknownResult(Schema.toType(Step), { errors: "all" })

const checked = (step: Step): Step => {
  const decoded = decodeStep(step)
  if (decoded._tag === "Success") return decoded.success
  throw new RangeError(`A step of the script is not valid. ${explain(decoded.failure)}`)
}

const choose = ({ weights }: Extract<Fault, { _tag: "Chaos" }>, entropy: Entropy): Fault | undefined => {
  const total = weights.reduce((sum, { weight }) => sum + weight, 0)
  let left = (entropy.bytes(4).readUInt32BE() / 2 ** 32) * total
  for (const { fault, weight } of weights) {
    left -= weight
    if (left < 0) return fault
  }
  return undefined
}

export const makeScript = (clock: Clock.Clock): Script => {
  let steps: Array<Playing> = []

  const hasEnded = ({ step, applied, since }: Playing): boolean =>
    (step.times !== undefined && applied >= step.times) ||
    (step.forDuration !== undefined &&
      since !== undefined &&
      clock.currentTimeMillisUnsafe() >= since + Duration.toMillis(step.forDuration))

  return {
    add: (added) => {
      for (const step of added.map(checked)) {
        const entropy = step.fault._tag === "Chaos" ? fromSeed(step.fault.seed) : undefined
        steps.push({ step, entropy, passed: 0, applied: 0, since: undefined })
      }
    },
    clear: () => {
      steps = []
    },
    next: () => {
      for (let head = steps[0]; head !== undefined; head = steps[0]) {
        if (hasEnded(head)) {
          steps.shift()
          continue
        }
        if (head.passed < (head.step.after ?? 0)) {
          head.passed++
          return undefined
        }
        head.applied++
        head.since ??= clock.currentTimeMillisUnsafe()
        const { fault } = head.step
        return fault._tag === "Chaos" && head.entropy !== undefined ? choose(fault, head.entropy) : fault
      }
      return undefined
    },
    unused: () => steps.filter(({ applied }) => applied === 0).map(({ step }) => step)
  }
}
