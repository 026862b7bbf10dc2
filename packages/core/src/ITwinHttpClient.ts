/**
 * Provides an `HttpClient` that sends the access token to the API's origin and to the origins that you list.
 *
 * **Details**
 *
 * - A relative URL is resolved against the API of the environment. The origin is checked, and the token attached, after
 *   every transformation of the request (for example `HttpClient.mapRequest`, on this client or on the given one). A
 *   request to any other origin fails with `OriginRefused` before a byte is sent.
 * - At most 10 redirects to allowed origins are followed with the token. A redirect to another origin is returned as
 *   the response, and nothing is sent there. A 307 or 308 is returned too if the body can't be sent again.
 * - After a 401 the cache replaces the token, and the request is sent once more with the new one, if its body can be
 *   sent again (not a stream, not a raw body). Otherwise the 401 is returned at once, and the token is replaced in the
 *   background. A token younger than 30 s is not replaced, and none is replaced while a pause holds, for a 401 that a
 *   new token does not cure (`HeaderNotFound`, `UnknownClient`), and for a 401 of an origin that is not allowed.
 * - With the option `retry`, a request is sent again after a 429, 502, 503, 504 or a failure of the transport, if its
 *   method and its body allow that ({@link Retry}). A replay after a 401 does not count as an attempt.
 * - The API may be silent for 60 s (option `timeout`) before the response and within its body. After that the call, or
 *   reading the body, fails with a `TransportError`. A download that makes progress is never cut off, nor is an upload
 *   from a stream. An upload from memory counts as silence.
 * - If the given client throws or dies, the call fails with the `TokenError` reason `Defect`, which is not retryable.
 *
 * Responses and errors contain the caller's request, without the token. Errors contain the code of a foreign error, but
 * not its text. The span of a call contains neither the response nor the error; `http.response.status_code` and
 * `error.type` tell the outcome.
 *
 * **Gotchas**
 *
 * The `HttpClient`, fetch options and undici options are those of the layer. What a caller provides around a single
 * request is not used. A `Host` header is removed.
 *
 * `HttpClient.withScope` on top of this client does not abort a request when its scope closes. Interruption does.
 *
 * **Example** (Calling an API, tested without a network)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, ITwinHttpClient } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("returns the status of an API call", () =>
 *   Effect.gen(function* () {
 *     const api = yield* ITwinHttpClient.ITwinHttpClient
 *     const response = yield* ITwinHttpClient.version(1)(api).get("/users/me")
 *     assert.strictEqual(response.status, 200)
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { AccessToken } from "./AccessToken.ts"
import { checkCount, checkLimit } from "./internal/checkOption.ts"
import { withClientSpan } from "./internal/http/clientSpan.ts"
import { decodeOrigin } from "./internal/http/credentialUrl.ts"
import { pinTransport } from "./internal/http/pinTransport.ts"
import { followUp, isReplayable, maxRedirects, originOf } from "./internal/http/redirect.ts"
import { makeRetry } from "./internal/http/retryApi.ts"
import { examine } from "./internal/http/retryOn401.ts"
import { withTimeLimit } from "./internal/http/timeLimit.ts"
import * as unauthenticated from "./internal/http/unauthenticated.ts"
import { defectOf } from "./internal/shown/defect.ts"
import type * as Scopes from "./Scopes.ts"
import { TokenCache } from "./TokenCache.ts"
import * as TokenError from "./TokenError.ts"

/**
 * Provides the authenticated client: an `HttpClient` that can also fail with a `TokenError`.
 *
 * @category services
 * @since 0.1.0
 */
export class ITwinHttpClient extends Context.Service<
  ITwinHttpClient,
  HttpClient.HttpClient.With<HttpClientError.HttpClientError | TokenError.TokenError>
>()("@effect-itwin/core/ITwinHttpClient") {}

/**
 * Sets the options of the client. An invalid option is a defect when the client is built.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The scopes of the token; by default those of the cache. */
  readonly scopes?: Scopes.Scopes | undefined
  /**
   * Other origins than the API's that may receive the token, for example `https://connect-itwinjobs.bentley.com`. The
   * rules of `Environment.custom` apply.
   */
  readonly origins?: ReadonlyArray<string> | undefined
  /**
   * Whether a request is sent once more with another token after a 401; true by default. The token is replaced in both
   * cases.
   */
  readonly retryUnauthorized?: boolean | undefined
  /**
   * How long the API may be silent, before the response and within its body; 1 minute by default, above 0,
   * `Duration.infinity` for no limit.
   */
  readonly timeout?: Duration.Input | undefined
  /** Whether a request is sent again after a failure that may pass; not by default. `{}` takes all defaults. */
  readonly retry?: Retry | undefined
}

/**
 * Sets how often a request is sent again.
 *
 * Applies to GET, HEAD, PUT, DELETE and OPTIONS with a body that can be sent again, after a 429, 502, 503 or 504 and
 * after a failure of the transport. Each attempt has its own time limit, and uses the token that the cache has then. A
 * `TokenError` is not retried, nor is a failure within the body of a response.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retry {
  /** The number of attempts, including the first; 3 by default, at least 1. */
  readonly attempts?: number | undefined
  /** The pause before the second attempt; 200 ms by default. It doubles with each further attempt, jittered by 20 %. */
  readonly baseDelay?: Duration.Input | undefined
  /** The longest `Retry-After` to wait for; 10 s by default. With a longer one, the response is returned at once. */
  readonly maxRetryAfter?: Duration.Input | undefined
}

const isAbsolute = (url: string): boolean => /^[A-Za-z][A-Za-z0-9+.-]*:/.test(url)

type Failure = HttpClientError.HttpClientError | TokenError.TokenError

interface Prepared {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: URL
}

/** Counts the chunks of an upload as progress, so that it may take longer than the time limit. */
const countChunks = (
  request: HttpClientRequest.HttpClientRequest,
  onChunk: () => void
): HttpClientRequest.HttpClientRequest => {
  const { body, hash, headers, method, url, urlParams } = request
  if (body._tag !== "Stream") return request
  const stream = Stream.tap(body.stream, () => Effect.sync(onChunk))
  const counted = HttpBody.stream(stream, body.contentType, body.contentLength)
  return HttpClientRequest.makeWith(method, url, urlParams, hash, headers, counted)
}

/**
 * Builds the client on the `HttpClient` and the `TokenCache` of the context. An invalid option is a defect: a
 * `RangeError` or a `SchemaError`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options?: Options
) => Effect.Effect<ITwinHttpClient["Service"], never, TokenCache | HttpClient.HttpClient> = Effect.fnUntraced(
  function* (options: Options = {}) {
    const cache = yield* TokenCache
    const given = yield* HttpClient.HttpClient
    const { apiBaseUrl, tokenEndpoint } = cache.environment
    const allowed = [new URL(apiBaseUrl).origin, ...(options.origins ?? []).map((origin) => decodeOrigin(origin))]
    const timeout = checkLimit("ITwinHttpClient: timeout", options.timeout ?? "1 minute")
    const withRetry = options.retry === undefined ? undefined : makeRetry(options.retry)
    const withLayerTransport = yield* pinTransport(given)

    const fail = (reason: TokenError.TokenErrorReason) =>
      Effect.fail(new TokenError.TokenError({ reason, endpoint: tokenEndpoint }))

    /** Fails without the defect itself, which may contain the request with the token. */
    const failDefect = (module: string) => (cause: Cause.Cause<unknown>) =>
      fail(new TokenError.Defect({ module, ...defectOf(cause) }))

    /** Runs code of the given client. Replaces its failures by `seal`, and its defects by the reason `Defect`. */
    const foreign = <A>(
      run: () => Effect.Effect<A, HttpClientError.HttpClientError>,
      seal: (error: HttpClientError.HttpClientError) => HttpClientError.HttpClientError
    ): Effect.Effect<A, Failure> =>
      Effect.suspend(run).pipe(
        Effect.mapError(seal),
        Effect.catchCause(
          (cause): Effect.Effect<never, Failure> =>
            Cause.hasFails(cause) && !Cause.hasDies(cause) ? Effect.failCause(cause) : failDefect("HttpClient")(cause)
        )
      )

    /** Returns the request as it is sent, except for the token. Fails if its origin may not receive the token. */
    const prepare = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
      const resolved = isAbsolute(request.url) ? request : HttpClientRequest.prependUrl(request, apiBaseUrl)
      const preprocessed = yield* foreign(
        () => given.preprocess(resolved),
        (error) => unauthenticated.requestError(error, resolved)
      )
      // A `Host` could bring the token to another site at the same address.
      const prepared = HttpClientRequest.removeHeader(preprocessed, "host")
      const url = HttpClientRequest.toUrl(prepared)
      if (Option.isNone(url)) {
        return yield* new HttpClientError.HttpClientError({
          reason: new HttpClientError.InvalidUrlError({ request: prepared, description: "the URL is not valid" })
        })
      }
      const origin = originOf(url.value)
      if (!allowed.includes(origin)) return yield* fail(new TokenError.OriginRefused({ origin, allowed }))
      return { request: prepared, url: url.value }
    })

    /** Sends the request with the token, and follows redirects to allowed origins. */
    const follow = (
      request: HttpClientRequest.HttpClientRequest,
      exchange: unauthenticated.Exchange,
      redirects = 0
    ): Effect.Effect<unauthenticated.Answer, Failure> => {
      let chunks = 0
      const sent = HttpClientRequest.bearerToken(
        countChunks(request, () => chunks++),
        exchange.token.value
      )
      return withTimeLimit(
        foreign(
          () =>
            Effect.map(
              given.postprocess(Effect.succeed(sent)),
              (response) => new unauthenticated.Answer(response, exchange)
            ),
          (error) => unauthenticated.error(error, exchange)
        ),
        timeout,
        () => unauthenticated.timeoutError(exchange, "the API sent no response"),
        () => chunks
      ).pipe(
        Effect.flatMap((answer) => {
          const next = redirects < maxRedirects ? followUp(request, answer, allowed) : undefined
          return next === undefined
            ? Effect.succeed(answer)
            : Effect.andThen(unauthenticated.release(answer), follow(next, exchange, redirects + 1))
        })
      )
    }

    /** Sends the request, and tells whether the API rejected the token so that another one may help. */
    const attempt = Effect.fnUntraced(function* ({ request, url }: Prepared, token: AccessToken) {
      const exchange = { request, token, timeout }
      const exit = yield* withClientSpan(
        request,
        url,
        (traced) => Effect.updateContext(follow(traced, exchange), withLayerTransport),
        failDefect("Tracer")
      ).pipe(Effect.exit)
      const answer = unauthenticated.answerOf(exit)
      // The given client may have followed a redirect to another origin, whose 401 says nothing about the token.
      const isRefused = answer?.status === 401 && allowed.includes(originOf(URL.parse(answer.url) ?? url))
      if (!isRefused) return { exit, isCurable: false }
      const { answer: read, isCurable } = yield* examine(answer)
      return {
        exit: Exit.isSuccess(exit) ? Exit.succeed(read) : Exit.fail(unauthenticated.statusError(read)),
        isCurable
      }
    })

    /** Starts the replacement without waiting for it, because this call does not use the new token. */
    const replaceInBackground = (token: AccessToken) =>
      Effect.forkDetach(cache.replace(token), { startImmediately: true })

    /** Sends the request, and once more after a 401 if another token may help. */
    const exchange = Effect.fnUntraced(function* (prepared: Prepared) {
      const token = yield* cache.get(options.scopes)
      const first = yield* attempt(prepared, token)
      if (!first.isCurable) return yield* first.exit
      if (options.retryUnauthorized === false || !isReplayable(prepared.request)) {
        yield* replaceInBackground(token)
        return yield* first.exit
      }
      const another = yield* cache.replace(token)
      if (Option.isNone(another)) return yield* first.exit
      const second = yield* attempt(prepared, another.value)
      if (second.isCurable) yield* replaceInBackground(another.value)
      return yield* second.exit
    })

    const send = (request: HttpClientRequest.HttpClientRequest) =>
      Effect.flatMap(prepare(request), (prepared) =>
        withRetry === undefined ? exchange(prepared) : withRetry(prepared.request, exchange(prepared))
      )

    return HttpClient.makeWith<never, never, Failure, never>((request) => Effect.flatMap(request, send), Effect.succeed)
  }
)

/**
 * Provides the client with options. Each call returns a new layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<ITwinHttpClient, never, TokenCache | HttpClient.HttpClient> =>
  Layer.effect(ITwinHttpClient, make(options))

/**
 * Provides the client with its defaults.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<ITwinHttpClient, never, TokenCache | HttpClient.HttpClient> = layerWith({})

/**
 * Returns a client that asks for version `n` of an API: it sets the header `Accept` of each request to
 * `application/vnd.bentley.itwin-platform.v<n>+json`.
 *
 * There is no default, because versions differ: Access Control and iModels are at 2, Users is at 1. A number that is not
 * an integer of at least 1 throws a `RangeError`.
 *
 * **Example** (Calling version 1 of an API)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, ITwinHttpClient } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("calls version 1 of the Users API", () =>
 *   Effect.gen(function* () {
 *     const users = ITwinHttpClient.version(1)(yield* ITwinHttpClient.ITwinHttpClient)
 *     assert.strictEqual((yield* users.get("/users/me")).status, 200)
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const version = (
  n: number
): (<E, R>(self: HttpClient.HttpClient.With<E, R>) => HttpClient.HttpClient.With<E, R>) => {
  checkCount("ITwinHttpClient: version", n)
  const accept = HttpClientRequest.setHeader("accept", `application/vnd.bentley.itwin-platform.v${n}+json`)
  return (self) => HttpClient.mapRequest(self, accept)
}

/**
 * Provides the client as the plain `HttpClient`, for generated clients that ask for that.
 *
 * The plain `HttpClient` fails with an `HttpClientError` only. A `TokenError` is the `cause` of its reason
 * `EncodeError`, which no retry policy of Effect repeats. `TokenError.fromHttpClientError` returns it.
 *
 * **Gotchas**
 *
 * Provide this layer to the generated client only. A program that gives it to everything sends all its requests through
 * this client, which refuses other origins.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient, never, ITwinHttpClient> = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(ITwinHttpClient, (client) =>
    HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
      (request) =>
        Effect.flatMap(request, (request) =>
          Effect.catchTag(client.execute(request), "TokenError", (cause) => {
            const reason = new HttpClientError.EncodeError({ request, cause, description: cause.message })
            return Effect.fail(new HttpClientError.HttpClientError({ reason }))
          })
        ),
      Effect.succeed
    )
  )
)
