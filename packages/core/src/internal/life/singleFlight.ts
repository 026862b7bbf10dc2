// Runs one request at a time for each key, shared by its callers. A request belongs to the scope in which this is
// built, and runs in the context of that scope. Interrupting a caller does not end it; only the end of the scope does.
//
// Callers wait on a native promise. Cloudflare's workerd binds I/O to the event that it serves, and only a promise
// resumes each caller in its own event. When the event that started a request ends, workerd drops the request silently.
// So a request that has not ended a second after its deadline counts as lost, and one of the waiting callers starts
// another.
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as TokenError from "../../TokenError.ts"
import { defectOf } from "../shown/defect.ts"
import { monotonicMillis } from "./phase.ts"

/** How a caller asks for a request. */
export interface Asked {
  /** Whether a caller waits for it, and sees its error. */
  readonly isAwaited: boolean
  /** Whether it may ignore a pause that no server stated. */
  readonly isInsistent: boolean
}

export interface SingleFlight<K, A> {
  /** Tells whether the scope has ended. Then every request fails with `Closed`. */
  readonly isClosed: () => boolean
  readonly isInProgress: (key: K) => boolean
  /** Waits for the request in progress, or for one that it starts. */
  readonly join: (key: K, asked: Asked) => Effect.Effect<A, TokenError.TokenError>
  /** Starts a request for which no caller waits. It counts as such even if callers join it later. */
  readonly start: (key: K) => Effect.Effect<void>
}

export interface Options<K, A, R> {
  readonly name: string
  /** The name of the key in spans and log lines; without one, it is the scopes, in spans only. */
  readonly keyAttribute?: string | undefined
  readonly endpoint: string
  /** Fails with typed errors only. */
  readonly run: (key: K, asked: Asked) => Effect.Effect<A, TokenError.TokenError, R>
  /** The time limit of one run, in milliseconds. */
  readonly limit: number
  /** The clock with which the layer was built. */
  readonly clock: Clock.Clock
}

interface Flight<A> {
  /** Resolves when the request ends; never rejects. */
  readonly landed: Promise<Exit.Exit<A, TokenError.TokenError>>
  readonly land: (exit: Exit.Exit<A, TokenError.TokenError>) => void
  /** The time from which the request counts as lost. */
  readonly lostAt: number
  /** Set when the request begins to run. */
  span: Tracer.Span | undefined
  /** The ids of the spans to which the request is linked. */
  readonly callers: Set<string>
}

const lostAfter = 1_000

/** Defects of the client and the provider are handled elsewhere. What is left is the program's tracer. */
export const withoutDefects =
  (endpoint: string) =>
  <A, R>(self: Effect.Effect<A, TokenError.TokenError, R>): Effect.Effect<A, TokenError.TokenError, R> =>
    Effect.catchCause(self, (cause) =>
      Cause.hasFails(cause)
        ? Effect.failCause(cause)
        : Effect.fail(
            new TokenError.TokenError({
              reason: new TokenError.Defect({ module: "Tracer", ...defectOf(cause) }),
              endpoint
            })
          )
    )

/** The number of links of a span that OpenTelemetry keeps by default. */
const maxLinks = 128

/** Returns the span of the caller as a link, because a shared request has no single parent. */
const linkOf = (callers: Set<string>, context: Context.Context<never>): ReadonlyArray<Tracer.SpanLink> => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  if (span === undefined || callers.has(span.spanId) || callers.size === maxLinks) return []
  callers.add(span.spanId)
  return [{ span, attributes: {} }]
}

export const makeSingleFlight = Effect.fnUntraced(function* <K extends string, A, R>(
  options: Options<K, A, R>
): Effect.fn.Return<SingleFlight<K, A>, never, R | Scope.Scope> {
  const flights = new Map<K, Flight<A>>()
  const fibers = yield* FiberSet.make<void, never>()
  const fork = yield* FiberSet.runtime(fibers)<R>()
  const now = () => monotonicMillis(options.clock)
  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
    })
  )

  const fail = (reason: TokenError.TokenErrorReason) =>
    Exit.fail(new TokenError.TokenError({ reason, endpoint: options.endpoint }))

  const inProgress = (key: K): Flight<A> | undefined => {
    const flight = flights.get(key)
    return flight !== undefined && now() < flight.lostAt ? flight : undefined
  }

  const fly = (key: K, asked: Asked, flight: Flight<A>, links: ReadonlyArray<Tracer.SpanLink>) =>
    Effect.suspend(() => options.run(key, asked)).pipe(
      (run) =>
        Effect.flatMap(Effect.orDie(Effect.currentSpan), (span) => {
          flight.span = span
          return run
        }),
      Effect.annotateLogs({
        "itwin.auth.cache": options.name,
        ...(options.keyAttribute !== undefined && { [options.keyAttribute]: key })
      }),
      Effect.withSpan("TokenCache.request", {
        root: true,
        links,
        attributes: { "itwin.auth.cache": options.name, [options.keyAttribute ?? "itwin.scopes"]: key }
      }),
      withoutDefects(options.endpoint),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (flights.get(key) === flight) flights.delete(key)
          flight.land(Exit.isFailure(exit) && isClosed ? fail(new TokenError.Closed({})) : exit)
        })
      ),
      Effect.exit,
      Effect.asVoid
    )

  /**
   * Returns the request in progress, or a new one. It is registered before it runs, because it may ask for the same
   * key.
   */
  const flightOf = (key: K, asked: Asked, context: Context.Context<never>): Flight<A> => {
    const current = inProgress(key)
    if (current !== undefined) {
      // The program's tracer may throw. The request goes on without the links.
      Result.try(() => current.span?.addLinks(linkOf(current.callers, context)))
      return current
    }
    let land: Flight<A>["land"] = () => {}
    const landed = new Promise<Exit.Exit<A, TokenError.TokenError>>((resolve) => {
      land = resolve
    })
    const lostAt = now() + options.limit + lostAfter
    const flight: Flight<A> = { landed, land, lostAt, span: undefined, callers: new Set() }
    if (isClosed) flight.land(fail(new TokenError.Closed({})))
    else {
      flights.set(key, flight)
      fork(fly(key, asked, flight, linkOf(flight.callers, context)))
    }
    return flight
  }

  const wait = (flight: Flight<A>): Effect.Effect<A, TokenError.TokenError> =>
    Effect.callback((resume) => {
      flight.landed.then(resume)
    })

  const join = (key: K, asked: Asked): Effect.Effect<A, TokenError.TokenError> =>
    Effect.contextWith((context: Context.Context<never>) => {
      const flight = flightOf(key, asked, context)
      return Effect.timeoutOrElse(wait(flight), {
        duration: Math.max(0, flight.lostAt - now()),
        orElse: () => join(key, asked)
      })
    }).pipe(
      // The clock of the caller must not decide how long the request may take.
      Effect.provideService(Clock.Clock, options.clock)
    )

  return {
    isClosed: () => isClosed,
    isInProgress: (key) => inProgress(key) !== undefined,
    join,
    start: (key) =>
      Effect.contextWith((context: Context.Context<never>) =>
        Effect.sync(() => void flightOf(key, { isAwaited: false, isInsistent: false }, context))
      )
  }
})
