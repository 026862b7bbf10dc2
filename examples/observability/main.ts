/**
 * Prints the spans, metrics and log lines of a token cache: for a first request that two callers share, a token from
 * memory, a renewal that fails while IMS is down, and the recovery.
 *
 * `node examples/observability/main.ts` runs it against the fake in process, in virtual time: an hour passes at once.
 * Your program installs an exporter instead of the collector, for example `effect/observability/Otlp`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { ITwin, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Console, Effect, Fiber, Layer, Logger, Metric, Option, Random, References, Tracer } from "effect"
import { TestClock } from "effect/testing"

const spans: Array<Tracer.NativeSpan> = []
const logs: Array<string> = []

const clock = (millis: number) => new Date(millis).toISOString().slice(11, 21)

const Collector = Layer.mergeAll(
  Layer.succeed(
    Tracer.Tracer,
    Tracer.make({
      span(options) {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
  ),
  Logger.layer([
    Logger.make(({ date, logLevel, message }) => {
      logs.push(
        `${clock(date.getTime())}  ${logLevel.padEnd(5)}  ${Array.isArray(message) ? message.join(" ") : message}`
      )
    })
  ]),
  Layer.succeed(References.MinimumLogLevel, "Debug")
)

const scenario = Effect.gen(function* () {
  const cache = yield* TokenCache.TokenCache
  const fake = yield* FakeIms.FakeIms
  const call = (name: string) => Effect.withSpan(cache.get(), name)

  // There is no token: both callers wait for one request.
  yield* fake.script("POST /connect/token", Fault.once(Fault.delay("120 millis")))
  const callers = yield* Effect.forEach(["invoice 1", "invoice 2"], (name) => Effect.forkChild(call(name)))
  yield* TestClock.adjust("120 millis")
  yield* Fiber.joinAll(callers)
  // From memory: no request, and no span of the cache.
  yield* call("invoice 3")

  // IMS is down when the token is due. The caller gets the old one; a renewal fails in the background.
  yield* TestClock.adjust("50 minutes")
  yield* fake.script("POST /connect/token", Fault.forDuration(Fault.html(503, "Maintenance"), "1 minute"))
  yield* call("invoice 4")
  yield* TestClock.adjust("2 minutes")
  // IMS has recovered: the caller gets the old token at once, and the next caller gets the new one.
  yield* call("invoice 5")
  yield* TestClock.adjust("1 second")
  yield* call("invoice 6")
})

// The router of the in-process fake adds this to the span of the client. A real IMS does not.
const isOurs = ([key]: readonly [string, unknown]) => key !== "http.route"

const nameOf = (span: Tracer.AnySpan) => (span._tag === "Span" ? span.name : "a span of another process")

const printSpans = Effect.forEach(spans, (span) => {
  const { startTime, status } = span
  const took = status._tag === "Ended" ? `${(Number(status.endTime - startTime) / 1e6).toFixed(0)} ms` : "open"
  const parent = Option.isSome(span.parent) ? `, in ${nameOf(span.parent.value)}` : ""
  const links =
    span.links.length === 0 ? "" : `, linked to ${span.links.map((link) => nameOf(link.span)).join(" and ")}`
  const failed = status._tag === "Ended" && status.exit._tag === "Failure" ? ", failed" : ""
  const attributes = [...span.attributes]
    .filter(isOurs)
    .map(([key, value]) => `\n                 ${key} = ${String(value)}`)
    .join("")
  return Console.log(
    `  ${clock(Number(startTime / 1_000_000n))}  ${span.name}: ${took}${parent}${links}${failed}${attributes}`
  )
})

const printMetrics = Effect.flatMap(Metric.snapshot, (snapshots) =>
  Effect.forEach(
    snapshots.filter(({ id }) => id.startsWith("itwin.")).sort((a, b) => a.id.localeCompare(b.id)),
    (metric) => {
      const { unit, ...attributes } = metric.attributes ?? {}
      const of = Object.entries(attributes).map(([key, value]) => `${key}=${value}`)
      const value =
        metric.type === "Histogram"
          ? `${metric.state.count} values, ${metric.state.sum.toFixed(3)} in all`
          : metric.type === "Counter"
            ? metric.state.count
            : metric.type === "Gauge"
              ? metric.state.value
              : metric.type
      return Console.log(`  ${metric.id} [${of.join(", ")}]: ${value} ${unit}`)
    }
  )
)

const main = Effect.gen(function* () {
  yield* scenario
  yield* Console.log("Spans\n")
  yield* Effect.suspend(() => printSpans)
  yield* Console.log("\nMetrics\n")
  yield* printMetrics
  yield* Console.log("\nLogs\n")
  yield* Effect.forEach(logs, (line) => Console.log(`  ${line}`))
}).pipe(
  Effect.provide(ITwin.layerWith({ name: "billing" }).pipe(Layer.provideMerge(FakeIms.layerTest()))),
  Random.withSeed("observability"),
  Effect.provide(Collector),
  Effect.provide(TestClock.layer())
)

NodeRuntime.runMain(main)
