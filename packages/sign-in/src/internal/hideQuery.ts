// Keeps `code` and `state` out of the spans of the server.
//
// Effect's server tracer writes the URL into its span after the handler has ended, and looks up the names to redact in
// the context of the server, which a layer of routes can't change. So the span itself leaves out what it must not hold.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServerError from "effect/http/HttpServerError"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

/** Attributes without a value of use: a query, or the address of another page, whose query holds the same. */
const left = new Set(["url.query", "http.response.header.location", "http.request.header.referer"])

/** Spans that are guarded already. */
const guarded = new WeakSet<Tracer.Span>()

const guard = (span: Tracer.Span): void => {
  if (guarded.has(span)) return
  guarded.add(span)
  const attribute = span.attribute.bind(span)
  const end = span.end.bind(span)
  Object.assign(span, {
    attribute: (key: string, value: unknown) => {
      if (left.has(key)) return
      attribute(key, key === "url.full" && typeof value === "string" ? value.replace(/[?#].*$/s, "") : value)
    },
    // The exit holds the response with its `Location`, or the error of a 5xx response, which holds the request.
    end: (endTime: bigint, exit: Exit.Exit<unknown, unknown>) =>
      end(
        endTime,
        Exit.asVoid(Exit.mapError(exit, (error) => (HttpServerError.isHttpServerError(error) ? error.message : error)))
      )
  } satisfies Pick<Tracer.Span, "attribute" | "end">)
}

/** Returns the server span of the request, and the spans between it and the handler. */
const spansOf = (context: Context.Context<never>): ReadonlyArray<Tracer.Span> => {
  const spans: Array<Tracer.Span> = []
  let span = Context.getOption(context, Tracer.ParentSpan)
  while (Option.isSome(span) && span.value._tag === "Span") {
    spans.push(span.value)
    if (span.value.kind === "server") return spans
    span = span.value.parent
  }
  // Without one, the query is in no span of the tracer.
  return []
}

/** Runs a handler whose query and redirects are in no span of the server. */
export const hideQuery = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.contextWith((context: Context.Context<never>) => {
    spansOf(context).forEach(guard)
    return self
  })
