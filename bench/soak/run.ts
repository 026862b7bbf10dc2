/**
 * Soaks the cache: many fibers call it on real sockets, while the token endpoint misbehaves at random. Exits with 1 if
 * a call hangs, two requests of one key overlap, an expired token is returned, a rejection is not handled, or the heap
 * grows.
 *
 * `--seconds` (60), `--fibers` (2,000), `--seed` (1).
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createHistogram } from "node:perf_hooks"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import {
  type AccessToken,
  ClientCredentials,
  Environment,
  Scopes,
  SecretProvider,
  TokenCache
} from "@effect-itwin/core"
import { Effect, Exit, Fiber, Layer, Logger, ManagedRuntime, Random, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { printTable } from "../table.ts"
import type { Report } from "./server.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    fibers: { type: "string", default: "2000" },
    seed: { type: "string", default: "1" }
  }
})
const seconds = Number(values.seconds)
const fibers = Number(values.fibers)

/** The total timeout, and 2 s. */
const mostMillis = 17_000
const mostHeapGrowth = 4 * 1024 * 1024
/** The longest pause of a fiber between two calls. */
const restMillis = 1000

/** The keys, each with its own token. */
const scopes = Array.from({ length: 12 }, (_, index) => Scopes.make(`itwin-platform area-${index}`))

const server = fork(join(import.meta.dirname, "server.ts"), [values.seed])
const [url] = (await once(server, "message")) as [string]

let rejections = 0
for (const event of ["unhandledRejection", "uncaughtException"] as const) {
  process.on(event, (error) => {
    rejections++
    console.error(error)
  })
}

const runtime = ManagedRuntime.make(
  TokenCache.layer.pipe(
    Layer.provide([
      FetchHttpClient.layer,
      Environment.layer(Environment.custom({ tokenEndpoint: `${url}/connect/token`, apiBaseUrl: url })),
      SecretProvider.layerStatic(
        new ClientCredentials.ClientCredentials({
          clientId: "service-soak",
          clientSecret: Redacted.make("fake-secret-a+b/c=")
        })
      )
    ]),
    Layer.provideMerge(Logger.layer([]))
  )
)

const latency = createHistogram()
const failures: Record<string, number> = {}
/** When the current call of a fiber began, or 0. */
const since = new Float64Array(fibers)
let gets = 0
let failed = 0
let expired = 0
let slowest = 0
let isOver = false

const check = (token: AccessToken.AccessToken) => {
  // The server writes the expiry into the token.
  if (Date.now() >= Number(Redacted.value(token.value).split(".")[1])) expired++
}

const program = Effect.gen(function* () {
  const cache = yield* TokenCache.TokenCache

  const get = (key: Scopes.Scopes) =>
    Effect.suspend(() => {
      const started = performance.now()
      return Effect.onExit(cache.get(key), (exit) =>
        Effect.sync(() => {
          if (Exit.hasInterrupts(exit)) return
          gets++
          latency.record(Math.max(1, Math.round((performance.now() - started) * 1e6)))
          if (Exit.isFailure(exit)) failed++
          else check(exit.value)
        })
      )
    })

  /** One of the cache's calls: nearly always `get`. */
  const call = (key: Scopes.Scopes, one: number, held: AccessToken.AccessToken | undefined) => {
    const chance = one * 4000
    if (chance < 1) return cache.refresh(key)
    if (chance < 2 && held !== undefined) return Effect.as(cache.replace(held), held)
    if (chance < 3 && held !== undefined) return Effect.as(cache.invalidate(held), undefined)
    if (chance < 43)
      return Effect.timeoutOrElse(get(key), { duration: "10 millis", orElse: () => Effect.succeed(held) })
    return get(key)
  }

  const live = (index: number) =>
    Effect.gen(function* () {
      const key = scopes[index % scopes.length] as Scopes.Scopes
      let held: AccessToken.AccessToken | undefined
      while (!isOver) {
        yield* Effect.sleep((yield* Random.next) * restMillis)
        since[index] = performance.now()
        const exit = yield* Effect.exit(call(key, yield* Random.next, held))
        slowest = Math.max(slowest, performance.now() - (since[index] ?? 0))
        since[index] = 0
        if (Exit.isSuccess(exit)) {
          held = exit.value
        } else {
          const error = Exit.findErrorOption(exit)
          const name = error._tag === "Some" ? error.value.reason._tag : "a defect"
          failures[name] = (failures[name] ?? 0) + 1
        }
      }
    })

  const running = yield* Effect.forEach(
    Array.from({ length: fibers }, (_, index) => index),
    (index) => Effect.forkChild(live(index))
  )
  yield* Effect.sleep(seconds * 1000)
  isOver = true
  // Do not wait for calls that hang.
  yield* Effect.timeoutOption(Fiber.awaitAll(running), restMillis + mostMillis)
  const now = performance.now()
  return since.filter((started) => started > 0 && now - started > mostMillis).length
})

const heap = () => {
  for (let i = 0; i < 4; i++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`

const finished = runtime.runPromise(program)
// The heap after warm-up, with all fibers.
await sleep(Math.min(10, seconds / 3) * 1000)
const first = heap()
await sleep((seconds - Math.min(10, seconds / 3)) * 1000 - 500)
const last = heap()
const hanging = await finished
const slow = slowest > mostMillis ? 1 : 0

server.send("report")
const [report] = (await once(server, "message")) as [Report]
server.disconnect()
await runtime.dispose()

const duration = (nanos: number) => (nanos < 1e6 ? `${(nanos / 1e3).toFixed(1)} µs` : `${(nanos / 1e6).toFixed(0)} ms`)
const rows: ReadonlyArray<readonly [what: string, measured: string, mark?: string, holds?: boolean]> = [
  ["seconds, fibers, seed", `${seconds}, ${fibers}, ${values.seed}`],
  ["gets", String(gets), "some succeed", gets > failed],
  ["share of failed gets", `${((failed / gets) * 100).toFixed(2)} %`],
  ["get, p50 and p99", `${duration(latency.percentile(50))}, ${duration(latency.percentile(99))}`],
  ["token requests", String(report.requests), "> 0", report.requests > 0],
  [
    "calls that took too long, the slowest",
    `${hanging + slow}, ${(slowest / 1000).toFixed(1)} s`,
    "0",
    hanging + slow === 0
  ],
  ["requests of one key that overlapped", String(report.overlaps), "0", report.overlaps === 0],
  ["expired tokens handed out", String(expired), "0", expired === 0],
  ["rejections not handled", String(rejections), "0", rejections === 0],
  [
    "heap, at first and at last",
    `${mib(first)}, ${mib(last)}`,
    `+ ${mib(mostHeapGrowth)}`,
    last - first < mostHeapGrowth
  ]
]
printTable([
  ["what", "measured", "mark", "holds"],
  ...rows.map(([what, measured, mark = "", holds]) => [
    what,
    measured,
    mark,
    holds === undefined ? "" : holds ? "yes" : "NO"
  ])
])
console.log("responses:", report.behaviors)
console.log("failed calls:", failures)
process.exit(rows.every(([, , , holds]) => holds !== false) ? 0 : 1)
