// The flights in progress: one for each key, run in the context of the cache and never in a caller's, shared by all who
// wait, ended early by nothing but the end of the scope.
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as HttpClient from "effect/http/HttpClient"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { AccessToken } from "../../AccessToken.ts"
import type { Scopes } from "../../Scopes.ts"
import * as TokenError from "../../TokenError.ts"

export interface Flights {
  /** After the end of the scope every flight fails with `Closed`. */
  readonly isClosed: () => boolean
  readonly isFlying: (key: Scopes) => boolean
  /** Waits for the flight in progress, or for one that it starts. */
  readonly join: (key: Scopes) => Effect.Effect<AccessToken, TokenError.TokenError>
  /** Starts a flight that nobody waits for; those who join it later do not change that. */
  readonly start: (key: Scopes) => Effect.Effect<void>
}

interface Flight {
  readonly isAsked: boolean
  readonly landed: Deferred.Deferred<AccessToken, TokenError.TokenError>
  /** There from its first step on, which runs as it is started. */
  span: Tracer.Span | undefined
  /** The ids of the spans that it is linked to. */
  readonly askers: Set<string>
}

export interface Options {
  readonly name: string
  readonly endpoint: string
  readonly run: (key: Scopes) => Effect.Effect<AccessToken, TokenError.TokenError, HttpClient.HttpClient>
  /** Both run before those who wait go on; `started` in epoch milliseconds, `random` in [0, 1). */
  readonly onSuccess: (key: Scopes, token: AccessToken, started: number, random: number) => Effect.Effect<void>
  /** `isAsked`: it was started by one who waits, and will see the error. */
  readonly onFailure: (
    key: Scopes,
    error: TokenError.TokenError,
    started: number,
    random: number,
    isAsked: boolean
  ) => Effect.Effect<void>
  /** Runs after either, and also if the flight broke elsewhere. */
  readonly onEnd: (key: Scopes) => void
}

/** What OpenTelemetry keeps of the links of a span, unless told otherwise. */
const maxLinks = 128

/** The span of who asks, as a link: the flight is shared, so it hangs under nobody. */
const linkOf = (flight: Flight, context: Context.Context<never>): ReadonlyArray<Tracer.SpanLink> => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  if (span === undefined || flight.askers.has(span.spanId) || flight.askers.size === maxLinks) return []
  flight.askers.add(span.spanId)
  return [{ span, attributes: {} }]
}

export const makeFlights = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Flights, never, HttpClient.HttpClient | Scope.Scope> {
  const flights = new Map<Scopes, Flight>()
  const fibers = yield* FiberSet.make<void, never>()
  const fork = yield* FiberSet.runtime(fibers)<HttpClient.HttpClient>()
  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
    })
  )

  const fail = (reason: TokenError.TokenErrorReason) =>
    new TokenError.TokenError({ reason, endpoint: options.endpoint })

  /** Nothing foreign gets to those who wait: what is no TokenError becomes one. */
  const sealed = (cause: Cause.Cause<TokenError.TokenError>) =>
    Cause.hasFails(cause)
      ? Effect.failCause(cause)
      : Effect.fail(fail(new TokenError.Transport({ kind: "other", code: "DEFECT" })))

  const fly = (key: Scopes, flight: Flight, links: ReadonlyArray<Tracer.SpanLink>) =>
    Effect.gen(function* () {
      flight.span = yield* Effect.orDie(Effect.currentSpan)
      const started = yield* Clock.currentTimeMillis
      const exit = yield* options.run(key).pipe(Effect.catchCause(sealed), Effect.exit)
      const random = yield* Random.next
      const noted = Exit.isSuccess(exit)
        ? options.onSuccess(key, exit.value, started, random)
        : Effect.flatMap(Effect.flip(exit), (error) => options.onFailure(key, error, started, random, flight.isAsked))
      // What tells of it may break, such as a logger of the program: the outcome is the same.
      yield* Effect.ignoreCause(noted)
      return yield* exit
    }).pipe(
      Effect.annotateLogs("itwin.auth.cache", options.name),
      Effect.withSpan("TokenCache.flight", {
        root: true,
        links,
        attributes: { "itwin.auth.cache": options.name, "itwin.scopes": key }
      }),
      // The tracer is the program's, and may break too.
      Effect.catchCause(sealed),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          flights.delete(key)
          options.onEnd(key)
          const closed = Exit.isFailure(exit) && isClosed
          Deferred.doneUnsafe(flight.landed, closed ? Effect.fail(fail(new TokenError.Closed({}))) : exit)
        })
      ),
      Effect.exit,
      Effect.asVoid
    )

  /** The flight in progress, or a new one. It is registered before its first step: that may ask for the key itself. */
  const flightOf = (key: Scopes, context: Context.Context<never>, isAsked: boolean): Flight => {
    const current = flights.get(key)
    if (current !== undefined) {
      // A tracer that can't take them is no reason to give no token.
      Result.try(() => current.span?.addLinks(linkOf(current, context)))
      return current
    }
    const flight: Flight = { isAsked, landed: Deferred.makeUnsafe(), span: undefined, askers: new Set() }
    if (isClosed) {
      Deferred.doneUnsafe(flight.landed, Effect.fail(fail(new TokenError.Closed({}))))
      return flight
    }
    flights.set(key, flight)
    fork(fly(key, flight, linkOf(flight, context)))
    return flight
  }

  return {
    isClosed: () => isClosed,
    isFlying: (key) => flights.has(key),
    join: (key) =>
      Effect.contextWith((context: Context.Context<never>) => Deferred.await(flightOf(key, context, true).landed)),
    start: (key) =>
      Effect.contextWith((context: Context.Context<never>) => Effect.sync(() => void flightOf(key, context, false)))
  }
})
