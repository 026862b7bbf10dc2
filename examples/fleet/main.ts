/**
 * Prints the figures of docs/life-of-a-token.md: `node examples/fleet/main.ts`, or with fewer replicas
 * `node examples/fleet/main.ts 100`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import { peak, requestsIn, simulate, troubles } from "./simulation.ts"
import { table } from "./table.ts"

const hour = 3600
const minute = 60
const hours = 24
const every = 60

const main = Effect.gen(function* () {
  const replicas = Number(process.argv[2] ?? 1000)
  const fleet = { replicas, hours, every } as const
  yield* Console.log(`${replicas} replicas, ${hours} hours, each calls its cache every ${every} s.\n`)

  const rows: Array<ReadonlyArray<string | number>> = []
  for (const phase of ["own", "same"] as const) {
    for (const jitter of [0, 0.1]) {
      const figures = yield* simulate({ ...fleet, phase, jitter })
      rows.push([
        phase === "own" ? "each at its own second" : "all in the same second",
        jitter === 0 ? "none" : "10 %, the default",
        figures.calls,
        figures.requests / hours,
        peak(figures, 0),
        peak(figures, 2 * minute),
        figures.failed.reduce((sum, n) => sum + n, 0)
      ])
    }
  }
  yield* Console.log(
    table([
      ["replicas ask", "jitter", "calls", "requests/h", "peak/s at start", "peak/s afterwards", "failed calls"],
      ...rows
    ])
  )

  const figures = yield* simulate({ ...fleet, phase: "own", troubles })
  yield* Console.log(
    table([
      ["what happens", "requests in it", "peak/s in it", "peak/s in the 5 min after", "failed calls"],
      ...troubles.map(({ kind, from, seconds }, index) => [
        `${kind} for ${seconds / minute} min from ${Math.floor(from / hour)}:${String((from % hour) / minute).padStart(2, "0")}`,
        requestsIn(figures, from, seconds),
        Math.max(...figures.perSecond.subarray(from, from + seconds)),
        Math.max(...figures.perSecond.subarray(from + seconds, from + seconds + 5 * minute)),
        figures.failed[index] ?? 0
      ]),
      ["nothing", "", "", "", figures.failed.at(-1) ?? 0]
    ])
  )
})

if (import.meta.main) NodeRuntime.runMain(main)
