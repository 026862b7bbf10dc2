/**
 * Prints the tables of docs/fleets.md: `node examples/fleet/shared.ts` for 100 replicas, and
 * `node examples/fleet/shared.ts 10000` what a fleet of that size makes with a store.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import { type Figures, requestsIn, simulate, type Trouble } from "./simulation.ts"
import { table } from "./table.ts"

const hour = 3600
const minute = 60
const hours = 24
const every = 60

/** One after the other, with time to recover. */
const troubles: ReadonlyArray<Trouble> = [
  { kind: "down", from: 2 * hour, seconds: 29 * minute },
  { kind: "silent", from: 5 * hour, seconds: 29 * minute },
  { kind: "limited", from: 8 * hour, seconds: 29 * minute },
  { kind: "revoked", from: 11 * hour, seconds: hour },
  { kind: "rejected", from: 14 * hour, seconds: hour },
  { kind: "store down", from: 17 * hour, seconds: hour },
  { kind: "store silent", from: 20 * hour, seconds: hour }
]

const words: Record<Trouble["kind"], string> = {
  down: "IMS returns 503",
  silent: "IMS does not answer",
  limited: "IMS returns 429, `Retry-After: 60`",
  revoked: "IMS rejects the secret",
  rejected: "an API rejects every token",
  "store down": "the store refuses connections",
  "store silent": "the store does not answer"
}

const total = (numbers: ArrayLike<number>) => Array.from(numbers).reduce((sum, n) => sum + n, 0)

const oneDigit = (n: number) => n.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 })

const twoDigits = (n: number) => n.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })

const most = (numbers: Uint32Array) => numbers.reduce((max, n) => Math.max(max, n), 0)

const figuresOf = (what: string, { failed, perSecond, requests, steps }: Figures) => [
  what,
  oneDigit(requests / hours),
  most(perSecond),
  twoDigits(total(steps) / hours / hour),
  most(steps),
  total(failed)
]

const heads = ["requests/h", "peak/s", "store steps/s", "peak/s", "failed calls"]

const fleetOf = (replicas: number) => ({ replicas, hours, every, phase: "own" }) as const

/** Nothing fails: requests and steps of the store. */
const quiet = Effect.fnUntraced(function* (replicas: number) {
  const fleet = fleetOf(replicas)
  return table([
    [`${replicas.toLocaleString("en")} replicas`, ...heads],
    figuresOf("without a store", yield* simulate(fleet)),
    figuresOf("with a store", yield* simulate({ ...fleet, store: true })),
    figuresOf("with a store, `soft` at 25 %", yield* simulate({ ...fleet, store: true, soft: 0.25 }))
  ])
})

/** What a fleet of this size makes with a store, if nothing fails. */
const sized = (replicas: number) =>
  Effect.map(simulate({ ...fleetOf(replicas), store: true }), (figures) =>
    table([["replicas, with a store", ...heads], figuresOf(replicas.toLocaleString("en"), figures)])
  )

/** Everything fails, one after the other. */
const troubled = Effect.fnUntraced(function* (replicas: number) {
  const fleet = { ...fleetOf(replicas), troubles }
  const without = yield* simulate(fleet)
  const shared = yield* simulate({ ...fleet, store: true })
  return table([
    [
      `${replicas.toLocaleString("en")} replicas`,
      "minutes",
      "requests without",
      "with a store",
      "failed calls without",
      "with a store",
      "store steps, peak/s"
    ],
    ...troubles.map(({ from, kind, seconds }, i) => [
      words[kind],
      seconds / minute,
      requestsIn(without, from, seconds),
      requestsIn(shared, from, seconds),
      without.failed[i] ?? 0,
      shared.failed[i] ?? 0,
      most(shared.steps.subarray(from, from + seconds))
    ]),
    ["nothing of this", "", "", "", without.failed.at(-1) ?? 0, shared.failed.at(-1) ?? 0, ""]
  ])
})

/** The tables of docs/fleets.md. */
export const tables = (replicas: number) =>
  Effect.map(Effect.all([quiet(replicas), troubled(replicas)]), (printed) => printed.join("\n").trim())

const main = Effect.gen(function* () {
  const [, , replicas] = process.argv
  yield* Console.log(yield* replicas === undefined ? tables(100) : sized(Number(replicas)))
})

if (import.meta.main) NodeRuntime.runMain(main)
