// Serves the handlers as an `HttpClient` of the Azure SDK: a promise, an abort signal, errors with a code. The types have
// the structure of those in `@azure/core-rest-pipeline`, so that no dependency on it is needed.
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpMethod from "effect/http/HttpMethod"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import type { Handler } from "../engine/handler.ts"

/** Describes headers. Names are case-insensitive. */
export interface PipelineHeaders extends Iterable<[string, string]> {
  get(name: string): string | undefined
  has(name: string): boolean
  set(name: string, value: string | number | boolean): void
  delete(name: string): void
  toJSON(options?: { preserveCase?: boolean }): { [name: string]: string }
}

/** Describes the part of a request that the fake reads. */
export interface PipelineRequest {
  readonly url: string
  readonly method: string
  readonly headers: Iterable<[string, string]>
  readonly body?: unknown
  readonly timeout?: number
  readonly abortSignal?: {
    readonly aborted: boolean
    addEventListener(type: "abort", listener: () => void): void
    removeEventListener(type: "abort", listener: () => void): void
  }
}

export interface PipelineResponse<Request> {
  readonly request: Request
  readonly status: number
  readonly headers: PipelineHeaders
  readonly bodyAsText: string
}

export interface PipelineClient {
  readonly sendRequest: <Request extends PipelineRequest>(request: Request) => Promise<PipelineResponse<Request>>
}

const makeHeaders = (input: Iterable<[string, string]>): PipelineHeaders => {
  const headers = new Map(Array.from(input, ([name, value]) => [name.toLowerCase(), value]))
  return {
    get: (name) => headers.get(name.toLowerCase()),
    has: (name) => headers.has(name.toLowerCase()),
    set: (name, value) => {
      headers.set(name.toLowerCase(), String(value))
    },
    delete: (name) => {
      headers.delete(name.toLowerCase())
    },
    toJSON: () => Object.fromEntries(headers),
    [Symbol.iterator]: () => headers[Symbol.iterator]()
  }
}

/** Is what the SDK's own client rejects with. The retry policy reads name and code; `request` has the bearer token. */
class RestError extends Error {
  override readonly name = "RestError"
  readonly code: string
  constructor(code: string, message: string, request: PipelineRequest) {
    super(message)
    this.code = code
    Object.defineProperty(this, "request", { value: request, enumerable: false })
  }
}

class AbortError extends Error {
  override readonly name = "AbortError"
}

const textOf = ({ body }: HttpServerResponse.HttpServerResponse): Effect.Effect<string, unknown> => {
  switch (body._tag) {
    case "Uint8Array":
      return Effect.sync(() => new TextDecoder().decode(body.body))
    case "Stream":
      return Stream.mkString(Stream.decodeText(body.stream))
    default:
      return Effect.succeed("")
  }
}

const aborted = (request: PipelineRequest): Effect.Effect<never, AbortError> =>
  Effect.callback((resume) => {
    const abort = () => resume(Effect.fail(new AbortError("The operation was aborted.")))
    if (request.abortSignal?.aborted) return abort()
    request.abortSignal?.addEventListener("abort", abort)
    return Effect.sync(() => request.abortSignal?.removeEventListener("abort", abort))
  })

const methods: ReadonlyArray<HttpMethod.HttpMethod> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

const toServerRequest = (request: PipelineRequest, url: URL): HttpServerRequest.HttpServerRequest => {
  const headers = Object.fromEntries(request.headers)
  const method = methods.find((known) => known === request.method) ?? "GET"
  const made = HttpClientRequest.make(method)(`${url.origin}${url.pathname}${url.search}`, { headers })
  return HttpServerRequest.fromClientRequest(
    typeof request.body === "string" ? HttpClientRequest.bodyText(made, request.body, headers["content-type"]) : made
  )
}

/**
 * Sends a request for one of the origins to its handler; another host is not found. Every wait, `timeout` included, is
 * on the given clock.
 */
export const makePipelineClient = (
  handlers: ReadonlyMap<string, Handler>,
  clock: Clock.Clock,
  context: Context.Context<never>
): PipelineClient => {
  const exchange = (request: PipelineRequest) => {
    const url = new URL(request.url)
    const handler = handlers.get(url.origin)
    if (handler === undefined) {
      return Effect.fail(new RestError("ENOTFOUND", `getaddrinfo ENOTFOUND ${url.hostname}`, request))
    }
    return handler.pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, toServerRequest(request, url)),
      Effect.mapError(({ code }) => new RestError(code, `read ${code}`, request)),
      Effect.flatMap((response) =>
        Effect.mapBoth(textOf(response), {
          // The SDK reads the body after the head, and rejects with this when the body breaks off.
          onFailure: () => new RestError("PARSE_ERROR", "Error reading response as text: aborted", request),
          onSuccess: (text) => ({ response, text })
        })
      )
    )
  }
  return {
    sendRequest: (request) => {
      const timeout = request.timeout ?? 0
      const timedOut =
        timeout > 0
          ? Effect.andThen(
              clock.sleep(Duration.millis(timeout)),
              Effect.fail(new AbortError("The operation was aborted."))
            )
          : Effect.never
      return Effect.suspend(() => exchange(request)).pipe(
        Effect.raceFirst(timedOut),
        (sent) => Effect.raceFirst(aborted(request), sent),
        Effect.map(({ response, text }) => ({
          request,
          status: response.status,
          headers: makeHeaders(Object.entries(response.headers)),
          bodyAsText: text
        })),
        Effect.runPromiseWith(context)
      )
    }
  }
}
