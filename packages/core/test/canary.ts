// Collects every string that a user could print: of values, logs, spans and metrics, as they are and as an OTLP
// exporter sends them.
import { inspect } from "node:util"
import { Cause, Effect, type Exit, Layer, Logger, References, Tracer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Otlp } from "effect/observability"

/** Returns every text as which a value can be printed. */
export const strings = (thing: unknown): ReadonlyArray<string> => [
  inspect(thing, { showHidden: true, depth: 30 }),
  inspect(thing, { customInspect: false, showHidden: true, depth: 30 }),
  String(thing),
  JSON.stringify(thing, (_key, value) => (typeof value === "bigint" ? String(value) : value)) ?? "",
  ...(thing instanceof Error ? [thing.message, thing.stack ?? "", Cause.pretty(Cause.fail(thing))] : [])
]

export interface Observed<A, E> {
  readonly exit: Exit.Exit<A, E>
  /** The log lines and spans. */
  readonly seen: ReadonlyArray<unknown>
  /** The bodies that the exporter sent, of `traces`, `logs` and `metrics`. */
  readonly exported: Readonly<Record<string, string>>
}

/** Runs the effect within a span, logs its failure, and returns what telemetry shows of it. */
export const observe = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<Observed<A, E>> => {
  const seen: Array<unknown> = []
  const exported: Record<string, string> = {}
  const collector = HttpClient.make((request, url) =>
    Effect.sync(() => {
      const name = url.pathname.split("/").pop() ?? ""
      const body =
        request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : inspect(request.body)
      exported[name] = (exported[name] ?? "") + body
      return HttpClientResponse.fromWeb(request, new Response(null))
    })
  )
  const logger = Logger.make((options) => {
    seen.push(options.message, Cause.pretty(options.cause), options.cause)
  })
  const tracer = Layer.effect(
    Tracer.Tracer,
    Effect.map(Tracer.Tracer, (otlp) =>
      Tracer.make({
        span(options) {
          const span = otlp.span(options)
          seen.push(span)
          return span
        }
      })
    )
  )
  const layer = Layer.mergeAll(
    tracer,
    Logger.layer([logger], { mergeWithExisting: true }),
    Layer.succeed(References.MinimumLogLevel, "All"),
    Layer.succeed(HttpClient.TracerHeaderFilter, () => true)
  ).pipe(
    Layer.provideMerge(
      Otlp.layerJson({ baseUrl: "http://collector.example", resource: { serviceName: "canary" } }).pipe(
        Layer.provide(Layer.succeed(HttpClient.HttpClient, collector))
      )
    )
  )
  return effect.pipe(
    Effect.tapCause((cause) => Effect.logError("failed", cause)),
    Effect.withSpan("caller"),
    Effect.exit,
    Effect.provide(layer),
    Effect.map((exit) => ({ exit, seen, exported }))
  )
}
