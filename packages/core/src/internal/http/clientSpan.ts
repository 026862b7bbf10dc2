// The span of an API call. It replaces the span of `HttpClient`, which would end with a response or an error that
// contains the request with the token. The settings are the same. The attributes are those of OpenTelemetry for HTTP
// clients.
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constTrue } from "effect/Function"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

/** Runs an exchange without the span of `HttpClient`. */
export const withoutHttpClientSpan: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> =
  Effect.provideService(HttpClient.TracerDisabledWhen, constTrue)

interface Failure {
  readonly reason: { readonly _tag: string }
}

type Outcome<E> = Exit.Exit<HttpClientResponse.HttpClientResponse, E>

/** Returns the value of `error.type`: the status, or the tag of the failure's reason. */
const errorTypeOf = (outcome: Outcome<Failure>): string | undefined =>
  Exit.isSuccess(outcome)
    ? outcome.value.status < 400
      ? undefined
      : String(outcome.value.status)
    : Option.getOrUndefined(Exit.findErrorOption(outcome))?.reason._tag

/**
 * Gives the exchange a client span, and trace headers if propagation is on. The exit of the span contains only the
 * value of `error.type`, neither the response nor the error. If the tracer throws before the exchange, the exchange
 * fails with `onDefect`. If the tracer throws later, the outcome stays the same.
 */
export const withClientSpan = <A extends HttpClientResponse.HttpClientResponse, E extends Failure>(
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  exchange: (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<A, E>,
  onDefect: (cause: Cause.Cause<unknown>) => Effect.Effect<never, E>
): Effect.Effect<A, E> => {
  const spanned = (record: (outcome: Exit.Exit<A, E>) => void) =>
    Effect.withFiber((fiber) => {
      const attributes = {
        "http.request.method": request.method,
        "url.full": UrlParams.redactUrl(url.href),
        "server.address": url.hostname
      }
      const name = fiber.getRef(HttpClient.SpanNameGenerator)(request)
      return Effect.useSpan(name, { kind: "client", attributes }, (span) => {
        const traced = fiber.getRef(HttpClient.TracerPropagationEnabled)
          ? HttpClientRequest.setHeaders(request, HttpTraceContext.toHeaders(span))
          : request
        return Effect.flatMap(Effect.exit(withoutHttpClientSpan(exchange(traced))), (outcome) => {
          record(outcome)
          if (Exit.isSuccess(outcome)) span.attribute("http.response.status_code", outcome.value.status)
          const errorType = errorTypeOf(outcome)
          if (errorType === undefined) return Effect.void
          span.attribute("error.type", errorType)
          return Effect.fail(errorType)
        })
      })
    })
  return Effect.withFiber((fiber) => {
    if (fiber.getRef(Tracer.DisablePropagation) || fiber.getRef(HttpClient.TracerDisabledWhen)(request)) {
      return withoutHttpClientSpan(exchange(request))
    }
    let conclude: (cause: Cause.Cause<unknown>) => Effect.Effect<A, E> = onDefect
    const record = (outcome: Exit.Exit<A, E>) => {
      conclude = () => outcome
    }
    return Effect.matchCauseEffect(spanned(record), {
      onFailure: (cause) => conclude(cause),
      onSuccess: () => conclude(Cause.empty)
    })
  })
}
