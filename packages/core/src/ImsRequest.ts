/**
 * Sends a request to an endpoint of IMS and returns the complete response, within limits. Other packages build on it,
 * for example to read the keys of IMS, or to introspect a token.
 *
 * The body is read up to 256 KiB after decompression. The complete exchange has a time limit. Redirects are rejected,
 * and trace headers are not sent.
 *
 * **Gotchas**
 *
 * Every status except a redirect is a response. The failure contains no part of the request, because that may hold a
 * secret or a token.
 *
 * **Example** (Reading the keys of IMS)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ImsRequest } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect } from "effect"
 * import { HttpClientRequest } from "effect/http"
 *
 * it.effect("returns the status and the complete body", () =>
 *   Effect.gen(function* () {
 *     const send = yield* ImsRequest.make
 *     const keys = HttpClientRequest.get("https://ims.bentley.com/.well-known/openid-configuration/jwks")
 *     const response = yield* send(keys, "5 seconds")
 *     assert.strictEqual(response.status, 200)
 *     assert.include(response.body, `"keys"`)
 *   }).pipe(Effect.provide(FakeIms.layerTest()))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { withoutHttpClientSpan } from "./internal/http/clientSpan.ts"
import { checkCredentialUrl } from "./internal/http/credentialUrl.ts"
import { exchange, isRedirect, type Problem } from "./internal/http/exchange.ts"
import { pinTransport } from "./internal/http/pinTransport.ts"
import { maxBodyBytes } from "./internal/http/readText.ts"
import { parseRetryAfter } from "./internal/http/retryAfter.ts"
import { transportOf } from "./internal/http/transport.ts"
import { defectOf, describeDefect } from "./internal/shown/defect.ts"
import { formatDuration } from "./internal/shown/formatDuration.ts"
import * as strictJson from "./internal/strictJson.ts"
import { version } from "./internal/version.ts"
import type { TransportKind } from "./TokenError.ts"

/**
 * Says why there is no complete response.
 *
 * @category errors
 * @since 0.1.0
 */
export class ImsRequestError extends Schema.Error<ImsRequestError>("@effect-itwin/core/ImsRequestError")({
  _tag: Schema.tag("ImsRequestError"),
  /**
   * Where the request failed: in the transport, by the time limit, a redirect, the size, or in code of the program. A
   * request that needs a success also fails by the status.
   */
  kind: Schema.Literals(["transport", "timeout", "redirect", "size", "status", "defect"]),
  /** What happened, as the end of a sentence whose subject is the endpoint. */
  detail: Schema.String
}) {
  override get message(): string {
    return `The endpoint ${this.detail}.`
  }
}

/**
 * Describes a response with its complete body.
 *
 * @category models
 * @since 0.1.0
 */
export interface Response {
  readonly status: number
  readonly headers: Headers.Headers
  readonly body: string
  /** How long the server asked to wait: at most a day; undefined if it did not. */
  readonly retryAfter: Duration.Duration | undefined
}

/**
 * Sends a request within a time limit, in which the complete response has to arrive.
 *
 * @category models
 * @since 0.1.0
 */
export type Send = (
  request: HttpClientRequest.HttpClientRequest,
  timeLimit: Duration.Input
) => Effect.Effect<Response, ImsRequestError>

const details: Readonly<Record<TransportKind, string>> = {
  dns: "could not be resolved",
  refused: "refused the connection",
  reset: "closed the connection before the complete response arrived",
  tls: "is not trusted, or its TLS connection failed",
  proxy: "is behind a proxy that did not let the request through",
  other: "is unreachable"
}

const problemError = (problem: Problem): ImsRequestError => {
  switch (problem._tag) {
    case "Transport": {
      const { code, kind } = transportOf(problem.cause, problem.fallback)
      const shown = code === undefined ? "" : ` (${code})`
      return new ImsRequestError({ kind: "transport", detail: `${details[kind]}${shown}` })
    }
    case "Followed":
      return new ImsRequestError({
        kind: "redirect",
        detail: "redirects, and the HttpClient followed the redirect itself"
      })
    case "TooLarge":
      return new ImsRequestError({ kind: "size", detail: `returned more than ${maxBodyBytes / 1024} KiB` })
  }
}

const receive = (
  client: HttpClient.HttpClient,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<Response, ImsRequestError> =>
  Effect.gen(function* () {
    const response = yield* Effect.mapError(exchange(client, request), problemError)
    return isRedirect(response.status)
      ? yield* new ImsRequestError({ kind: "redirect", detail: "redirects" })
      : { ...response, retryAfter: parseRetryAfter(response.headers, yield* DateTime.now) }
  })

/**
 * Returns a function that sends requests with the `HttpClient`, and in the context, in which this effect runs. What a
 * caller provides around a request changes nothing about where it goes.
 *
 * If the client throws, dies or interrupts itself, the request fails with the kind `defect`. The error shows only the
 * class and the first stack frame of the defect.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<Send, never, HttpClient.HttpClient> = Effect.gen(function* () {
  const client = yield* HttpClient.HttpClient
  const pin = yield* pinTransport(client)
  const context = pin(yield* Effect.context<never>())
  return (request, timeLimit) => {
    const limit = Duration.fromInputUnsafe(timeLimit)
    return receive(client, HttpClientRequest.setHeader(request, "user-agent", `effect-itwin/${version}`)).pipe(
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () =>
          Effect.fail(
            new ImsRequestError({
              kind: "timeout",
              detail: `did not complete its response within ${formatDuration(limit)}`
            })
          )
      }),
      // Replaces every foreign error, because it may contain the request with a secret.
      Effect.catchCause((cause) =>
        Effect.fail(
          Option.getOrElse(
            Cause.findErrorOption(cause),
            () =>
              new ImsRequestError({
                kind: "defect",
                detail: `was not reached, because the HttpClient of this program ${describeDefect(defectOf(cause)).replace(/\.$/, "")}`
              })
          )
        )
      ),
      withoutHttpClientSpan,
      Effect.updateContext((_caller: Context.Context<never>) => context)
    )
  }
})

/**
 * Returns the URL in the form in which it is sent. Throws a `RangeError` that names the option, unless the URL is https,
 * or http on loopback, without user info, query and fragment.
 *
 * @category options
 * @since 0.1.0
 */
export const checkUrl = (option: string, url: string): string => {
  const expected = checkCredentialUrl(url, false)
  if (expected !== undefined) throw new RangeError(`${option} must be ${expected}`)
  return new URL(url).href
}

/**
 * Returns the JSON object in a text of IMS. Returns undefined if the text is not JSON, is not an object, or repeats a
 * name in an object: parsers differ in which of repeated names they use (RFC 7519 §4).
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseObject: (json: string) => Readonly<Record<string, unknown>> | undefined = strictJson.parseObject
