/**
 * Runs each case in fresh processes, prints one table, and writes it to docs/performance.md: the median of the runs, next
 * to a comparison of the same run, as a ratio. `pnpm bench` builds the packages first.
 *
 * `--runs` (5) of each case; `--no-write` only prints.
 */
import { execFileSync, spawnSync } from "node:child_process"
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
const header = measure("cachedHeader", runs)
const request = measure("tokenRequest", runs)
const started = measure("processStart", Math.min(runs, 3))
const imported = measure("importTime", 3 * runs)
const stampede = measure("stampede", 1)
const heap = measure("heap", Math.min(runs, 3))
const hasRedis = spawnSync("redis-server", ["--version"]).status === 0
const storeHit = hasRedis ? measure("storeHit", runs) : {}
const coldStart = measure("coldStart", 1)
const fresh = measure("freshFakes", Math.min(runs, 3))
const verified = measure("verify", runs)

const getRatio = ratio(cached.ours, cached.yardstick)
const startRatio = ratio(coldStart.ours, coldStart["oauth2-mock-server"])
const freshRatio = ratio(fresh.ours, fresh["oauth2-mock-server"])
const headerRatio = ratio(header.ours, header.yardstick)
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
    "cached getAccessToken, awaited",
    `${header.ours?.toFixed(0)} ns`,
    `${header.yardstick?.toFixed(0)} ns, @itwin/service-authorization`,
    times(headerRatio),
    "≤ 1.10 ×",
    isAtMost(headerRatio, 1.1)
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
  hasRedis
    ? [
        "first get, token in a store on Redis, p50",
        `${((storeHit.ours ?? Number.NaN) / 1000).toFixed(2)} ms`,
        `${storeHit.yardstick?.toFixed(0)} µs, a PING of the same Redis`,
        "",
        "≤ 3 ms",
        isAtMost(storeHit.ours, 3000)
      ]
    : ["first get, token in a store on Redis, p50", "redis-server is not installed", "", "", "≤ 3 ms", ""],
  ["heap grown by a million gets", grown(heap.gets), "", "", "≤ 256 KiB", isAtMost(heap.gets, 256)],
  [
    "heap grown by 95,000 more scope sets",
    grown(heap["scope sets"]),
    "",
    "",
    "≤ 2 MiB",
    isAtMost(heap["scope sets"], 2048)
  ],
  ...(
    [
      ["plain fetch", "a script with plain fetch", "≤ 1.75 ×", 1.75],
      ["service-authorization", "@itwin/service-authorization", "< 1.00 ×", 0.995]
    ] as const
  ).map(([peer, name, limit, most]) => [
    "process start to the token, itwin-auth",
    `${started.ours?.toFixed(0)} ms`,
    `${started[peer]?.toFixed(0)} ms, ${name}`,
    times(ratio(started.ours, started[peer])),
    limit,
    isAtMost(ratio(started.ours, started[peer]), most)
  ]),
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
  ],
  [
    "`fake-ims`: start to first token",
    `${coldStart.ours?.toFixed(0)} ms`,
    `${coldStart["oauth2-mock-server"]?.toFixed(0)} ms, oauth2-mock-server`,
    times(startRatio),
    "≤ 1.00 ×",
    isAtMost(startRatio, 1)
  ],
  [
    "200 test cases, each with a fresh fake",
    `${fresh.ours?.toFixed(0)} ms`,
    `${fresh["oauth2-mock-server"]?.toFixed(0)} ms, oauth2-mock-server`,
    times(freshRatio),
    "≤ 1.00 ×",
    isAtMost(freshRatio, 1)
  ]
]

printTable(rows)
if (values.write) writeReport(rows, runs)
