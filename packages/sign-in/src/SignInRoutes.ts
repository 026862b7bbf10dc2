/**
 * Adds the routes of the sign-in to an `HttpRouter`: the browser gets a cookie, and the tokens stay on the server.
 *
 * | route                             | what it does                                                                |
 * | --------------------------------- | --------------------------------------------------------------------------- |
 * | `GET /sign-in?returnTo=/path`     | begins a sign-in, and sends the browser to IMS                              |
 * | `GET /sign-in/callback`           | completes it, begins a session, and returns to `returnTo`                   |
 * | `POST /sign-out`                  | ends the session here, then at IMS, and returns to `postSignOutUrl`         |
 *
 * **Details**
 *
 * - The code flow with PKCE, `state`, and a nonce (RFC 9700, OpenID Connect Core). Each sign-in in progress is one
 *   sealed cookie, for 10 minutes. So several windows can sign in at the same time.
 * - The session cookie holds a random id, new at each sign-in. Both kinds of cookies are `__Host-`, `Secure`, `HttpOnly`
 *   and `SameSite=Lax`.
 * - A failed sign-in shows a page with a link to sign in again, and does not end a session that the browser has. The
 *   error goes to the log.
 * - `POST /sign-out` is accepted from a page of this origin only. `Sec-Fetch-Site` decides; without it, `Origin`.
 * - No query of these routes is in a span of Effect's server tracer. Other instrumentation, for example of `node:http`,
 *   must be told to leave out the query itself.
 *
 * **Gotchas**
 *
 * Register `<baseUrl>/sign-in/callback` as redirect URI of the app. A page with a sign-out button and a
 * `Content-Security-Policy` needs the origin of IMS in `form-action`, because the sign-out is redirected there.
 *
 * Cookies belong to a host, not to a port: two apps on `localhost` share them.
 *
 * **Example** (Beginning a sign-in)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { SessionStore, UserTokens } from "@effect-itwin/core"
 * import { SignInRoutes } from "@effect-itwin/sign-in"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 * import { HttpClientRequest, HttpRouter, HttpServerRequest } from "effect/http"
 *
 * const Users = UserTokens.layerWith({}).pipe(Layer.provideMerge(SessionStore.layerMemory))
 * const Routes = SignInRoutes.layer({ baseUrl: "https://app.example.com" }).pipe(Layer.provide(Users))
 *
 * it.effect("sends the browser to IMS", () =>
 *   Effect.gen(function* () {
 *     const handler = yield* HttpRouter.toHttpEffect(Routes)
 *     const request = HttpServerRequest.fromClientRequest(HttpClientRequest.get("https://app.example.com/sign-in"))
 *     const response = yield* Effect.provideService(handler, HttpServerRequest.HttpServerRequest, request)
 *     assert.strictEqual(response.status, 303)
 *     assert.match(response.headers.location ?? "", /\/connect\/authorize\?/)
 *   }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
 * )
 * ```
 *
 * @since 0.1.0
 */
import type * as AuthorizationCode from "@effect-itwin/core/AuthorizationCode"
import type * as Scopes from "@effect-itwin/core/Scopes"
import * as SealedText from "@effect-itwin/core/SealedText"
import type { SessionStore } from "@effect-itwin/core/SessionStore"
import type { UserTokens } from "@effect-itwin/core/UserTokens"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { hideQuery } from "./internal/hideQuery.ts"
import * as shared from "./internal/options.ts"
import { checkPostSignOutUrl, originOf } from "./internal/origin.ts"
import { makePending } from "./internal/pending.ts"
import { callbackPath, makeHandlers } from "./internal/signInHandlers.ts"

/**
 * Sets the options of the routes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The origin under which browsers reach this app, for example `https://app.example.com`; http on loopback only. Never
   * read from `Host`, which the sender of a request chooses. The redirect URI is `<baseUrl>/sign-in/callback`.
   */
  readonly baseUrl: string
  /**
   * The scopes to request; {@link defaultScopes} by default. Without `openid` nothing is known of the user, and without
   * `offline_access` the session ends with its first access token.
   */
  readonly scopes?: Scopes.Scopes | undefined
  /** What IMS asks the user, for example `login` for the password each time (OpenID Connect Core §3.1.2.1). */
  readonly prompt?: AuthorizationCode.Prompt | undefined
  /** Where the browser goes after the sign-out, as registered with the app; `<baseUrl>/` by default. */
  readonly postSignOutUrl?: string | undefined
  /**
   * The keys that seal sign-ins in progress, as in `SealedText.make`: the first one seals, all of them open. Every
   * replica needs the same ones; {@link keysConfig} reads them from a variable. By default a key that only this layer
   * has, which fits one replica: sign-ins in progress do not outlast a restart.
   */
  readonly keys?: NonEmptyReadonlyArray<Redacted.Redacted> | undefined
}

/**
 * Lists the scopes that are requested by default: the APIs of the platform, the claims of the user, and a refresh token.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultScopes: Scopes.Scopes = shared.defaultScopes

const keysMessage = "Expected keys of 32 bytes in base64, separated by commas. `openssl rand -base64 32` prints one."

/**
 * Reads {@link Options.keys} from `ITWIN_SESSION_KEYS`, the variable that `RedisSessionStore.layerConfig` reads too: the
 * keys, separated by commas. Fails with a `ConfigError`, which does not quote a key.
 *
 * @category config
 * @since 0.1.0
 */
export const keysConfig: Config.Config<NonEmptyReadonlyArray<Redacted.Redacted>> = Config.Redacted(
  "ITWIN_SESSION_KEYS"
).pipe(
  Config.mapEffect((text) => {
    const [first, ...others] = Redacted.value(text).split(",")
    const keys = [Redacted.make(first ?? ""), ...others.map((key) => Redacted.make(key))] as const
    if (Result.isSuccess(Result.try(() => SealedText.make(keys)))) return Effect.succeed(keys)
    const issue = new SchemaIssue.InvalidValue({ message: keysMessage })
    return Effect.fail(
      new Config.ConfigError(new Schema.SchemaError(new SchemaIssue.Pointer(["ITWIN_SESSION_KEYS"], issue)))
    )
  })
)

const oneKey = (): NonEmptyReadonlyArray<Redacted.Redacted> => [
  Redacted.make(Base64.encode(globalThis.crypto.getRandomValues(new Uint8Array(32))))
]

const makeRoutes = Effect.fnUntraced(function* (options: Options) {
  const origin = originOf(options.baseUrl)
  const { begin, complete, signOut } = yield* makeHandlers({
    origin,
    scopes: options.scopes ?? defaultScopes,
    prompt: options.prompt,
    postSignOutUrl: checkPostSignOutUrl(options.postSignOutUrl ?? `${origin}/`),
    pending: makePending(SealedText.make(options.keys ?? oneKey()))
  })
  return [
    HttpRouter.route("GET", "/sign-in", (request) => hideQuery(begin(request))),
    // What was begun is completed, also when the browser leaves.
    HttpRouter.route("GET", callbackPath, (request) => hideQuery(complete(request)), { uninterruptible: true }),
    HttpRouter.route("POST", "/sign-out", (request) => hideQuery(signOut(request)), { uninterruptible: true })
  ]
})

/**
 * Adds the routes to the router.
 *
 * Dies with a `RangeError` when the layer is built if `baseUrl`, `postSignOutUrl` or a key is invalid.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options
): Layer.Layer<never, never, HttpRouter.HttpRouter | UserTokens | SessionStore | HttpClient.HttpClient> =>
  HttpRouter.use((router) => Effect.flatMap(makeRoutes(options), router.addAll))
