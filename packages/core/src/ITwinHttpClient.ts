/**
 * An `HttpClient` that carries the bearer token, and nowhere but where it may go.
 *
 * **Details**
 *
 * A request with a relative URL goes to the environment's API. The origin is checked, and the token attached, after
 * every transformation of the request (`HttpClient.mapRequest` and the like, on this client or on the given one), so
 * that none can move the token. Allowed are the API's origin and those in `origins`; any other fails with
 * `OriginRefused` before a byte is sent.
 *
 * A 401 is answered with another token and a second try, once: not for a token younger than 30 s, at most once in 30 s
 * for a scope set, not if the body is a stream, and not for what no token cures (`HeaderNotFound`, `UnknownClient`). If
 * no new token can be had, the 401 is the answer, and the old token stays.
 *
 * Responses and errors hold the caller's request, without the token.
 *
 * **Gotchas**
 *
 * `HttpClient.HttpClient` and fetch options are those of the layer's build; what a caller provides for a single request
 * is not used. Redirects are followed, at most 10, and to another origin without the token.
 *
 * `HttpClient.withScope` on top of this client does not abort a request when its scope closes; interrupting does.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { AccessToken } from "./AccessToken.ts"
import { withClientSpan } from "./internal/http/clientSpan.ts"
import { checkCredentialUrl } from "./internal/http/credentialUrl.ts"
import { withoutRedirects } from "./internal/http/fetchOptions.ts"
import { examine, isReplayable } from "./internal/http/retryOn401.ts"
import * as unauthenticated from "./internal/http/unauthenticated.ts"
import type * as Scopes from "./Scopes.ts"
import { TokenCache } from "./TokenCache.ts"
import * as TokenError from "./TokenError.ts"

/**
 * @category services
 * @since 0.1.0
 */
export class ITwinHttpClient extends Context.Service<
  ITwinHttpClient,
  HttpClient.HttpClient.With<HttpClientError.HttpClientError | TokenError.TokenError>
>()("@effect-itwin/core/ITwinHttpClient") {}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The scopes of the token; the cache's default if absent. */
  readonly scopes?: Scopes.Scopes | undefined
  /**
   * Origins beside the API's that may see the token, such as `https://connect-itwinjobs.bentley.com`. The rules of
   * `Environment.custom` hold; one that breaks them is a defect when the client is built.
   */
  readonly origins?: ReadonlyArray<string> | undefined
  /** Whether a request that is answered with 401 is sent once more with another token; true by default. */
  readonly retry?: boolean | undefined
}

const decodeOrigin = Schema.decodeSync(
  Schema.String.check(
    Schema.makeFilter((text) => {
      const expected = checkCredentialUrl(text, false)
      if (expected !== undefined) return `Expected ${expected}`
      return new URL(text).pathname === "/" ? undefined : "Expected an origin, without a path"
    })
  ).pipe(
    Schema.decodeTo(
      Schema.String,
      SchemaTransformation.transform({ decode: (text) => new URL(text).origin, encode: (text: string) => text })
    )
  )
)

const isAbsolute = (url: string): boolean => /^[A-Za-z][A-Za-z0-9+.-]*:/.test(url)

/**
 * Builds the client on the `HttpClient` and the `TokenCache` of the context.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options?: Options
) => Effect.Effect<ITwinHttpClient["Service"], never, TokenCache | HttpClient.HttpClient> = Effect.fnUntraced(
  function* (options?: Options) {
    const cache = yield* TokenCache
    const given = yield* HttpClient.HttpClient
    const client = HttpClient.followRedirects(given)
    const { apiBaseUrl, tokenEndpoint } = cache.environment
    const allowed = [new URL(apiBaseUrl).origin, ...(options?.origins ?? []).map((origin) => decodeOrigin(origin))]

    // The transport is the one of the build, whatever the caller's context holds. Redirects are followed here, because
    // not every runtime's fetch takes the token off when it crosses to another origin.
    const requestInit = yield* withoutRedirects(given)
    const transport = yield* Effect.contextWith((context: Context.Context<never>) =>
      Effect.succeed(
        Context.add(Context.pick(FetchHttpClient.Fetch)(context), FetchHttpClient.RequestInit, requestInit)
      )
    )
    const pinTransport = (context: Context.Context<never>): Context.Context<never> =>
      Context.merge(Context.omit(FetchHttpClient.Fetch)(context), transport)

    const send = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
      const resolved = isAbsolute(request.url) ? request : HttpClientRequest.prependUrl(request, apiBaseUrl)
      // A `Host` of the caller's could bring the token to another site behind the same address.
      const prepared = HttpClientRequest.removeHeader(yield* given.preprocess(resolved), "host")
      const url = HttpClientRequest.toUrl(prepared)
      if (Option.isNone(url)) {
        return yield* new HttpClientError.HttpClientError({
          reason: new HttpClientError.InvalidUrlError({ request: prepared, description: "not a URL" })
        })
      }
      const { protocol, host } = url.value
      const origin = `${protocol}//${host}`
      if (!allowed.includes(origin)) {
        return yield* new TokenError.TokenError({
          reason: new TokenError.OriginRefused({ origin, allowed }),
          endpoint: tokenEndpoint
        })
      }
      const exchange = (token: AccessToken) => {
        return withClientSpan(prepared, url.value, (traced) =>
          client.postprocess(Effect.succeed(HttpClientRequest.bearerToken(traced, token.value))).pipe(
            Effect.mapBoth({
              onFailure: (error) => unauthenticated.error(error, prepared, token.value),
              onSuccess: (response) => unauthenticated.response(response, prepared, token.value)
            }),
            // A defect of the given client may hold the request, and with it the token.
            Effect.catchDefect(() => Effect.fail(unauthenticated.broken(prepared))),
            Effect.updateContext(pinTransport)
          )
        )
      }
      const token = yield* cache.get(options?.scopes)
      const exit = yield* Effect.exit(exchange(token))
      // A given client may turn statuses into failures; its 401 is one all the same.
      const answered = unauthenticated.answerOf(exit)
      if (answered?.status !== 401 || options?.retry === false || !isReplayable(prepared)) return yield* exit
      // A 401 of another site, to which the API sent us on, says nothing of the token: it never got there.
      const answeredOrigin = unauthenticated.requestUrlOf(answered)?.origin
      if (answeredOrigin !== undefined && answeredOrigin !== url.value.origin) return yield* exit
      const refused = yield* examine(answered)
      const original = unauthenticated.response(refused.response, prepared, token.value)
      const another = refused.isCurable ? yield* cache.replace(token) : Option.none()
      if (Option.isSome(another)) return yield* exchange(another.value)
      return Exit.isSuccess(exit) ? original : yield* unauthenticated.refused(prepared, original)
    })

    return HttpClient.makeWith<never, never, HttpClientError.HttpClientError | TokenError.TokenError, never>(
      (request) => Effect.flatMap(request, send),
      Effect.succeed
    )
  }
)

/**
 * The client with options. Each call gives a layer of its own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<ITwinHttpClient, never, TokenCache | HttpClient.HttpClient> =>
  Layer.effect(ITwinHttpClient, make(options))

/**
 * The client with its defaults.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<ITwinHttpClient, never, TokenCache | HttpClient.HttpClient> = layerWith({})
