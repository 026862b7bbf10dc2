/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Gives access tokens to code that works with promises: the `AuthorizationClient` of iTwin.js, and the
 * `AuthorizationCallback` of the iModels clients.
 *
 * **Details**
 *
 * - {@link make} uses the `TokenCache` of an Effect program, so both share one token. {@link fromLayer} is for a program
 *   without Effect: the client builds the layer and closes it.
 * - A token that is `fresh` is returned from memory, without a fiber. Otherwise `TokenCache.get` decides: its phases,
 *   its shared request and its pauses apply.
 * - The types are structural. This module imports no `@itwin` package.
 *
 * **Gotchas**
 *
 * `IModelHost.getAccessToken` of iTwin.js returns an empty string when the client rejects, and the error is lost. So each
 * new failure also goes to `onError`, which by default logs it as an error. A failure is reported once, however many
 * callers it has, and however often it is returned again during its pause.
 *
 * **Example** (Giving tokens to code without Effect)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ServiceAuthorizationClient, TokenCache } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Layer } from "effect"
 *
 * // A program provides `EnvSecretProvider.layer` and `FetchHttpClient.layer` instead of the fake.
 * const App = TokenCache.layer.pipe(Layer.provide(FakeIms.layerTest()))
 *
 * it("returns the value of the Authorization header", async () => {
 *   await using client = ServiceAuthorizationClient.fromLayer(App)
 *   // await IModelHost.startup({ authorizationClient: client })
 *   assert.match(await client.getAccessToken(), /^Bearer /)
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Tracer from "effect/Tracer"
import type { AccessToken } from "./AccessToken.ts"
import type * as Scopes from "./Scopes.ts"
import { TokenCache } from "./TokenCache.ts"
import * as TokenError from "./TokenError.ts"

/**
 * Represents what the `AuthorizationCallback` of the iModels clients returns.
 *
 * @category models
 * @since 0.1.0
 */
export interface Authorization {
  readonly scheme: "Bearer"
  /** The token alone, without the scheme. */
  readonly token: string
}

/**
 * Returns access tokens as promises, which reject with a `TokenError`. Each method can be passed on without the object.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceAuthorizationClient {
  /** Returns the value of the `Authorization` header: `Bearer …`. The `AuthorizationClient` of iTwin.js has this method. */
  readonly getAccessToken: () => Promise<string>
  /** Returns scheme and token. It is an `AuthorizationCallback` of `@itwin/imodels-client-management`. */
  readonly authorization: () => Promise<Authorization>
  /**
   * Returns another header than this one, which an API rejected with a 401: that of the newer cached token if there is
   * one, otherwise that of a new one. Returns undefined if the token is younger than 30 s, a pause holds, or the token
   * request fails. Then sending the call again does not help.
   */
  readonly replace: (header: string) => Promise<string | undefined>
}

/**
 * Describes a client that owns its layer. After `dispose` its methods fail with `Closed`.
 *
 * @category models
 * @since 0.1.0
 */
export interface DisposableClient extends ServiceAuthorizationClient {
  /** Closes the layer, and ends a token request in progress. */
  readonly dispose: () => Promise<void>
  /** Does the same as `dispose`, for `await using`. */
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/**
 * Sets the options of the client. `E` is the error of the layer, for {@link fromLayer}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<in E = never> {
  /** The scopes of the token; by default those of the cache. */
  readonly scopes?: Scopes.Scopes | undefined
  /** Called once for each new failure. Logs it as an error by default, also if this function throws. */
  readonly onError?: ((error: TokenError.TokenError | E) => void) | undefined
}

interface Reporter<E> {
  readonly tokenFailed: (error: TokenError.TokenError) => Effect.Effect<void>
  readonly layerFailed: (cause: Cause.Cause<E>) => Effect.Effect<void>
}

const makeReporter = <E>({ onError }: Options<E>): Reporter<E> => {
  // An error that is returned again during its pause is another object with the same reason.
  const reported = new WeakSet<TokenError.TokenErrorReason>()
  let isClosedReported = false

  const isNew = ({ reason }: TokenError.TokenError): boolean => {
    if (reported.has(reason) || (reason._tag === "Closed" && isClosedReported)) return false
    reported.add(reason)
    isClosedReported ||= reason._tag === "Closed"
    return true
  }

  const report = (error: TokenError.TokenError | E, log: Effect.Effect<void>): Effect.Effect<void> =>
    onError === undefined
      ? log
      : Effect.catchCause(
          Effect.sync(() => onError(error)),
          () => log
        )

  // The program's logger may throw. The promise rejects with the same error.
  return {
    tokenFailed: (error) =>
      Effect.suspend(() => {
        if (!isNew(error)) return Effect.void
        const log = Effect.logError(`ServiceAuthorizationClient returned no access token. ${error.message}`)
        return report(error, Effect.annotateLogs(log, { "error.type": error.reason._tag }))
      }).pipe(Effect.ignoreCause),
    layerFailed: (cause) =>
      Effect.suspend(() => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.void
        const log = Effect.logError("The layer of ServiceAuthorizationClient could not be built", cause)
        return Option.match(Cause.findErrorOption(cause), {
          onNone: () => log,
          onSome: (error) => report(error, log)
        })
      }).pipe(Effect.ignoreCause)
  }
}

const headerOf = (token: AccessToken): string => Redacted.value(token.authorizationHeader)

const tokenOf = (header: string): string => header.replace(/^Bearer +/i, "")

/** Builds the client. It keeps the header in a variable, because `inspect` would show the promise of a field. */
const connect = Effect.fnUntraced(function* (
  { scopes }: Pick<Options, "scopes">,
  { tokenFailed }: Pick<Reporter<never>, "tokenFailed">
): Effect.fn.Return<ServiceAuthorizationClient, never, TokenCache> {
  const cache = yield* TokenCache
  const context = yield* Effect.context<never>()
  // The span in which the client is made has usually ended when the client is called.
  const run = Effect.runPromiseWith(Context.omit(Tracer.ParentSpan)(context))
  const get = Effect.tapError(cache.get(scopes), tokenFailed)
  const getHeader = Effect.map(get, headerOf)

  let kept: { readonly token: AccessToken; readonly header: Promise<string> } | undefined
  const keep = (token: AccessToken): Promise<string> => {
    const header = Promise.resolve(headerOf(token))
    kept = { token, header }
    return header
  }

  const getAccessToken = (): Promise<string> => {
    const token = cache.peekUnsafe(scopes)
    if (token !== undefined) return kept?.token === token ? kept.header : keep(token)
    kept = undefined
    return run(getHeader)
  }

  return {
    getAccessToken,
    authorization: () => getAccessToken().then((header) => ({ scheme: "Bearer", token: tokenOf(header) })),
    replace: (header) =>
      run(
        Effect.flatMap(get, (token) =>
          Redacted.value(token.value) === tokenOf(header)
            ? Effect.map(cache.replace(token), Option.getOrUndefined)
            : Effect.succeed(token)
        ).pipe(
          Effect.match({
            onFailure: () => undefined,
            onSuccess: (another) => another && headerOf(another)
          })
        )
      )
  }
})

/**
 * Builds a client on the `TokenCache` of the program. It captures the cache, the logger and the other services with which
 * it is made. When the layer of the cache has been closed, `getAccessToken` fails with `Closed`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<ServiceAuthorizationClient, never, TokenCache> =>
  Effect.suspend(() => connect(options, makeReporter(options)))

/**
 * Builds a client that owns the layer. The layer is built at the first call, and closed by `dispose`.
 *
 * If the layer can't be built, each call rejects with the layer's error, for example a `ConfigError`, and the layer is
 * not built again. `onError` gets that error too. A defect, for example because of an invalid option, is logged.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromLayer = <E>(layer: Layer.Layer<TokenCache, E>, options: Options<E> = {}): DisposableClient => {
  const reporter = makeReporter(options)
  const runtime = ManagedRuntime.make(Layer.tapCause(layer, reporter.layerFailed))
  let client: ServiceAuthorizationClient | undefined
  let isDisposed = false

  const closed = Effect.suspend(() => {
    // Nothing was sent to an endpoint, and none is known.
    const error = new TokenError.TokenError({ reason: new TokenError.Closed({}), endpoint: "" })
    return Effect.andThen(reporter.tokenFailed(error), Effect.fail(error))
  })

  const context = Effect.suspend(
    (): Effect.Effect<Context.Context<TokenCache>, TokenError.TokenError | E> =>
      isDisposed ? closed : runtime.contextEffect
  )
  const connected = context.pipe(
    Effect.flatMap((context) => Effect.provideContext(connect(options, reporter), context)),
    // `dispose` ends a build in progress.
    Effect.catchCause((cause) => (isDisposed && Cause.hasInterrupts(cause) ? closed : Effect.failCause(cause))),
    Effect.tap((made) =>
      Effect.sync(() => {
        if (!isDisposed) client = made
      })
    )
  )

  const use = <A>(call: (client: ServiceAuthorizationClient) => Promise<A>): Promise<A> =>
    client === undefined ? Effect.runPromise(connected).then(call) : call(client)

  const dispose = (): Promise<void> => {
    isDisposed = true
    client = undefined
    return runtime.dispose()
  }

  return {
    getAccessToken: () => use((client) => client.getAccessToken()),
    authorization: () => use((client) => client.authorization()),
    replace: (header) => (isDisposed ? Promise.resolve(undefined) : use((client) => client.replace(header))),
    dispose,
    [Symbol.asyncDispose]: dispose
  }
}
