// The span of an API call. HttpClient's own would end with an error that holds the authenticated request, so it is
// switched off and this one, around the caller's request, takes its place, under the same settings. Its attributes are
// OpenTelemetry's for HTTP clients.
import * as Effect from "effect/Effect"
import { constTrue } from "effect/Function"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as UrlParams from "effect/http/UrlParams"
import * as Tracer from "effect/Tracer"

/** Runs an exchange without the span that `HttpClient` makes. */
export const withoutHttpClientSpan: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> =
  Effect.provideService(HttpClient.TracerDisabledWhen, constTrue)

/** Gives the exchange a client span, and its trace headers where propagation is on. */
export const withClientSpan = <E>(
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  exchange: (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<HttpClientResponse.HttpClientResponse, E>
): Effect.Effect<HttpClientResponse.HttpClientResponse, E> =>
  Effect.withFiber((fiber) => {
    if (fiber.getRef(Tracer.DisablePropagation) || fiber.getRef(HttpClient.TracerDisabledWhen)(request)) {
      return withoutHttpClientSpan(exchange(request))
    }
    const attributes = {
      "http.request.method": request.method,
      "url.full": UrlParams.redactUrl(url.href),
      "server.address": url.hostname
    }
    return Effect.useSpan(
      fiber.getRef(HttpClient.SpanNameGenerator)(request),
      { kind: "client", attributes },
      (span) => {
        const traced = fiber.getRef(HttpClient.TracerPropagationEnabled)
          ? HttpClientRequest.setHeaders(request, HttpTraceContext.toHeaders(span))
          : request
        return Effect.tap(withoutHttpClientSpan(exchange(traced)), (response) =>
          Effect.sync(() => {
            span.attribute("http.response.status_code", response.status)
            if (response.status >= 400) span.attribute("error.type", String(response.status))
          })
        )
      }
    )
  })
