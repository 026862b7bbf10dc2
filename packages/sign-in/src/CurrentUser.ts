/**
 * Gives a handler the user who sent the request, and the client that calls the platform as this user.
 *
 * {@link layer} protects routes of an `HttpRouter`: a handler runs only for a user who is signed in. It gets the user as
 * the service {@link CurrentUser}, and the user's client as `ITwinHttpClient`. So `Users.me` and everything else of core
 * works in it. {@link layerOptional} is for routes that work with and without a user.
 *
 * | request                                           | answer                                                    |
 * | ------------------------------------------------- | --------------------------------------------------------- |
 * | without a session, a person opens a page          | 303 to `/sign-in?returnTo=…`                              |
 * | without a session, anything else                  | 401 with a problem (RFC 9457) whose `signIn` is `/sign-in` |
 * | with a session that has ended                     | the same; the 303 also removes the cookie                 |
 * | with a session, from a page of another origin     | 403, unless a person opens a page                         |
 * | the store of the sessions fails                   | 503 with `Retry-After`                                    |
 *
 * **Details**
 *
 * - The store is read on each request, so a sign-out holds on every replica at once.
 * - If the session ends while a handler runs, the handler gets a `TokenError` with the reason `SignedOut`, or the 401 of
 *   an API. If it fails, and the session has ended, the answer is the one of a session that has ended.
 * - A response without `Cache-Control` gets `no-store`, so that no cache shows it to another user.
 *
 * **Gotchas**
 *
 * `Sec-Fetch-Site` tells a request of another origin. A browser without it is protected by `SameSite=Lax` only, which
 * does not stop other hosts of the same site.
 *
 * Chromium keeps a page in its back/forward cache in spite of `no-store`, and may show it after the sign-out. A script of
 * the page can prevent that: load the page again when `pageshow` says that it was `persisted`.
 *
 * **Example** (Protecting a route)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { SessionStore, UserTokens, Users } from "@effect-itwin/core"
 * import { CurrentUser } from "@effect-itwin/sign-in"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 * import { HttpClientRequest, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
 *
 * const hello = Effect.map(Users.me, ({ displayName }) => HttpServerResponse.text(`Hello ${displayName}`))
 *
 * const Routes = HttpRouter.add("GET", "/hello", hello).pipe(
 *   Layer.provide(CurrentUser.layer),
 *   Layer.provide(UserTokens.layerWith({})),
 *   Layer.provide(SessionStore.layerMemory)
 * )
 *
 * it.effect("returns 401 when nobody is signed in", () =>
 *   Effect.gen(function* () {
 *     const handler = yield* HttpRouter.toHttpEffect(Routes)
 *     const request = HttpServerRequest.fromClientRequest(HttpClientRequest.get("https://app.example.com/hello"))
 *     const response = yield* Effect.provideService(handler, HttpServerRequest.HttpServerRequest, request)
 *     assert.strictEqual(response.status, 401)
 *   }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as ITwinHttpClient from "@effect-itwin/core/ITwinHttpClient"
import type { SessionId } from "@effect-itwin/core/SessionStore"
import { TokenCache } from "@effect-itwin/core/TokenCache"
import { isTokenError, type TokenError } from "@effect-itwin/core/TokenError"
import { type SessionInfo, UserTokens } from "@effect-itwin/core/UserTokens"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { isForeign, isNavigation } from "./internal/fetchMetadata.ts"
import { crossOrigin, notStored, signInFirst, unavailable } from "./internal/refusals.ts"
import { removeSession, sessionIdOf } from "./internal/session.ts"

/**
 * Describes the user of a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface User extends SessionInfo {
  /** The tokens of the user, for code that asks for a `TokenCache`. */
  readonly tokens: TokenCache["Service"]
  /** Calls the platform as the user. */
  readonly client: ITwinHttpClient.ITwinHttpClient["Service"]
}

/**
 * Provides the user of the request to a handler behind {@link layer}.
 *
 * @category services
 * @since 0.1.0
 */
export class CurrentUser extends Context.Service<CurrentUser, User>()("@effect-itwin/sign-in/CurrentUser") {}

/**
 * Provides the user of the request, if there is one, to a handler behind {@link layerOptional}.
 *
 * @category services
 * @since 0.1.0
 */
export class OptionalUser extends Context.Service<OptionalUser, Option.Option<User>>()(
  "@effect-itwin/sign-in/CurrentUser/OptionalUser"
) {}

type Response = HttpServerResponse.HttpServerResponse

const isSignedOut = (error: unknown): boolean => isTokenError(error) && error.reason._tag === "SignedOut"

/** A call of an API fails with its 401, not with `SignedOut`, when IMS rejects the refresh token after that 401. */
const hasEnded = (read: Effect.Effect<unknown, TokenError>): Effect.Effect<boolean> =>
  Effect.match(read, { onFailure: isSignedOut, onSuccess: () => false })

/**
 * Removes the cookie of a session that has ended, from a navigation only. A background request may be older than a new
 * sign-in, and its response would sign the user out.
 */
const forgetSession = (request: HttpServerRequest.HttpServerRequest, response: Response): Response =>
  isNavigation(request) ? removeSession(response) : response

const sendToSignIn = (request: HttpServerRequest.HttpServerRequest): Response =>
  forgetSession(request, signInFirst(request))

/** Reads the session of a request. */
const makeRead = (options: ITwinHttpClient.Options) =>
  Effect.gen(function* () {
    const tokens = yield* UserTokens
    const http = yield* HttpClient.HttpClient
    return (id: SessionId): Effect.Effect<User, TokenError> =>
      Effect.gen(function* () {
        const session = yield* tokens.session(id)
        const cache = tokens.cacheOf(id)
        const client = yield* ITwinHttpClient.make(options).pipe(
          Effect.provideService(TokenCache, cache),
          Effect.provideService(HttpClient.HttpClient, http)
        )
        return { ...session, tokens: cache, client }
      })
  })

/** The answer when the session of a request can't be used. */
const answerTo = (request: HttpServerRequest.HttpServerRequest, error: TokenError): Effect.Effect<Response> =>
  isSignedOut(error)
    ? Effect.succeed(sendToSignIn(request))
    : Effect.as(Effect.ignoreCause(Effect.logWarning(error.message)), unavailable(request, error))

/**
 * Protects the routes to which it is provided, with options for the client of the user.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: ITwinHttpClient.Options
): Layer.Layer<
  HttpRouter.Request.From<"Requires", CurrentUser | ITwinHttpClient.ITwinHttpClient>,
  never,
  UserTokens | HttpClient.HttpClient
> =>
  Layer.fresh(
    HttpRouter.middleware<{ provides: CurrentUser | ITwinHttpClient.ITwinHttpClient }>()(
      Effect.map(
        makeRead(options),
        (read) => (httpEffect) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
            const id = sessionIdOf(request.headers)
            if (Option.isNone(id)) return Effect.succeed(signInFirst(request))
            if (isForeign(request)) return Effect.succeed(crossOrigin)
            return Effect.matchEffect(read(id.value), {
              onFailure: (error) => answerTo(request, error),
              onSuccess: (user) =>
                httpEffect.pipe(
                  Effect.provideService(CurrentUser, user),
                  Effect.provideService(ITwinHttpClient.ITwinHttpClient, user.client),
                  Effect.catch((error) =>
                    Effect.flatMap(isSignedOut(error) ? Effect.succeed(true) : hasEnded(read(id.value)), (isOut) =>
                      isOut ? Effect.succeed(sendToSignIn(request)) : Effect.fail(error)
                    )
                  ),
                  Effect.map(notStored)
                )
            })
          })
      )
    ).layer
  )

/**
 * Protects the routes to which it is provided.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: ReturnType<typeof layerWith> = layerWith({})

/**
 * Gives the routes to which it is provided the user, if there is one, with options for the client of the user. A request
 * of another origin that is not the opening of a page has no user.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerOptionalWith = (
  options: ITwinHttpClient.Options
): Layer.Layer<HttpRouter.Request.From<"Requires", OptionalUser>, never, UserTokens | HttpClient.HttpClient> =>
  Layer.fresh(
    HttpRouter.middleware<{ provides: OptionalUser }>()(
      Effect.map(makeRead(options), (read) => (httpEffect) => {
        const withUser = (user: Option.Option<User>) =>
          Effect.map(Effect.provideService(httpEffect, OptionalUser, user), notStored)
        return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
          const id = sessionIdOf(request.headers)
          if (Option.isNone(id) || isForeign(request)) return withUser(Option.none())
          return Effect.matchEffect(read(id.value), {
            onFailure: (error) =>
              isSignedOut(error)
                ? Effect.map(withUser(Option.none()), (response) => forgetSession(request, response))
                : answerTo(request, error),
            onSuccess: (user) => withUser(Option.some(user))
          })
        })
      })
    ).layer
  )

/**
 * Gives the routes to which it is provided the user, if there is one.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerOptional: ReturnType<typeof layerOptionalWith> = layerOptionalWith({})
