/**
 * Runs each case in fresh processes, prints one table, and writes it to docs/performance.md: the median of the runs, next
 * to a comparison of the same run, as a ratio. `pnpm bench` builds the packages first.
 *
 * `--runs` (5) of each case; `--no-write` only prints.
 */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { defaultRuns, writeReport } from "./report.ts"
import { printTable } from "./table.ts"

const { values } = parseArgs({
  allowNegative: true,
  options: { runs: { type: "string", default: String(defaultRuns) }, write: { type: "boolean", default: true } }
})
const runs = Number(values.runs)

type Measured = Readonly<Record<string, number>>

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

const measure = (name: string, runs: number): Measured => {
  const results = Array.from(
    { length: runs },
    () =>
      JSON.parse(
        execFileSync(process.execPath, ["--expose-gc", join(import.meta.dirname, "cases", `${name}.ts`)], {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "inherit"]
        })
      ) as Measured
  )
  const series = Object.keys(results[0] ?? {})
  return Object.fromEntries(series.map((key) => [key, median(results.map((result) => result[key] ?? Number.NaN))]))
}

const ratio = (a: number | undefined, b: number | undefined) => (a ?? Number.NaN) / (b ?? Number.NaN)
const times = (value: number) => `${value.toFixed(2)} ×`
const verdict = (holds: boolean) => (holds ? "yes" : "NO")

const cached = measure("cachedGet", runs)
const request = measure("tokenRequest", runs)
const imported = measure("importTime", 3 * runs)
const stampede = measure("stampede", 1)
const heap = measure("heap", Math.min(runs, 3))
const verified = measure("verify", runs)

const getRatio = ratio(cached.ours, cached.yardstick)
const requestRatio = ratio(request.ours, request.yardstick)
const verifyRatio = ratio(verified.ours, verified.jose)
const grown = (value: number | undefined) => `${(value ?? Number.NaN).toFixed(0)} KiB`
const isAtMost = (value: number | undefined, most: number) => verdict((value ?? Number.NaN) <= most)

// A row without a limit is for information.
const rows = [
  ["what", "this library", "for comparison", "ratio", "limit", "holds"],
  [
    "cached get, in a fiber",
    `${cached.ours?.toFixed(0)} ns`,
    `${cached.yardstick?.toFixed(0)} ns, Effect.sync`,
    times(getRatio),
    "≤ 1.50 ×",
    isAtMost(getRatio, 1.5)
  ],
  [
    "warm token request, p50",
    `${request.ours?.toFixed(0)} µs`,
    `${request.yardstick?.toFixed(0)} µs, Effect's HttpClient`,
    times(requestRatio),
    "≤ 1.15 ×",
    isAtMost(requestRatio, 1.15)
  ],
  ...["plain fetch", "openid-client"].map((peer) => [
    `the same by ${peer}`,
    "",
    `${request[peer]?.toFixed(0)} µs`,
    times(ratio(request[peer], request.yardstick)),
    "",
    ""
  ]),
  [
    "token requests of first gets at once",
    `${stampede.ours} of 10,000 gets`,
    `${stampede["service-authorization"]} of 100 gets, @itwin/service-authorization`,
    "",
    "1",
    verdict(stampede.ours === 1)
  ],
  ["heap grown by a million gets", grown(heap.gets), "", "", "≤ 256 KiB", isAtMost(heap.gets, 256)],
  [
    "heap grown by 95,000 more scope sets",
    grown(heap["scope sets"]),
    "",
    "",
    "≤ 2 MiB",
    isAtMost(heap["scope sets"], 2048)
  ],
  [
    "verification of a token, p50",
    `${verified.ours?.toFixed(0)} µs`,
    `${verified.jose?.toFixed(0)} µs, jose`,
    times(verifyRatio),
    "≤ 1.15 ×",
    isAtMost(verifyRatio, 1.15)
  ],
  ...["aws-jwt-verify", "service-authorization"].map((peer) => [
    `the same by ${peer === "service-authorization" ? "@itwin/service-authorization" : peer}`,
    "",
    `${verified[peer]?.toFixed(0)} µs`,
    times(ratio(verified[peer], verified.jose)),
    "",
    ""
  ]),
  [
    "verification of a token that was verified before",
    `${verified.hit?.toFixed(1)} µs`,
    "",
    "",
    "≤ 5 µs",
    isAtMost(verified.hit, 5)
  ],
  [
    "import of core, on top of Effect",
    `${imported.ours?.toFixed(1)} ms`,
    `${imported["effect modules"]?.toFixed(0)} ms, the Effect modules`,
    "",
    "",
    ""
  ]
]

printTable(rows)
if (values.write) writeReport(rows, runs)
