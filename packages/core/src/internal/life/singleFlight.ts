// One request at a time for each key, shared by its callers. A request belongs to the scope in which this is built, and
// runs in its context, never in a caller's: callers come and go, and only the end of the scope ends a request early.
//
// Callers wait on a native promise. Where a runtime binds I/O to the request that it serves (Cloudflare's workerd), only
// a promise resumes each caller in its own context; and the request is lost without a word when the context of the
// caller that started it ends. So a request that has not ended a second after its deadline counts as lost, and one of
// the callers that wait starts another.
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

/** How a request was asked for. */
export interface Asked {
  /** A caller waits for it, and sees its error. */
  readonly isAwaited: boolean
  /** It may pass a pause that nobody stated. */
  readonly isInsistent: boolean
}

export interface SingleFlight<K, A> {
  /** After the end of the scope every request fails with `Closed`. */
  readonly isClosed: () => boolean
  readonly isInProgress: (key: K) => boolean
  /** Waits for the request in progress, or for one that it starts. */
  readonly join: (key: K, asked: Asked) => Effect.Effect<A, TokenError.TokenError>
  /** Starts a request for which nobody waits; callers that join it later do not change that. */
  readonly start: (key: K) => Effect.Effect<void>
}

export interface Options<K, A, R> {
  readonly name: string
  readonly endpoint: string
  /** Fails with typed errors only. */
  readonly run: (key: K, asked: Asked) => Effect.Effect<A, TokenError.TokenError, R>
  /** The limit of one run, in milliseconds. */
  readonly limit: number
  /** The clock of the layer's build. */
  readonly clock: Clock.Clock
}

interface Flight<A> {
  /** Resolves when the request ends; never rejects. */
  readonly landed: Promise<Exit.Exit<A, TokenError.TokenError>>
  readonly land: (exit: Exit.Exit<A, TokenError.TokenError>) => void
  /** From here on it counts as lost. */
  readonly lostAt: number
  /** There from the first step on. */
  span: Tracer.Span | undefined
  /** The ids of the spans that it is linked to. */
  readonly callers: Set<string>
}

const lostAfter = 1_000

/** Client and provider hide their own defects: what is left is the program's tracer, which makes the spans. */
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

/** What OpenTelemetry keeps of the links of a span, unless told otherwise. */
const maxLinks = 128

/** The span of the caller, as a link: a shared request has no one parent. */
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
      Effect.annotateLogs("itwin.auth.cache", options.name),
      Effect.withSpan("TokenCache.request", {
        root: true,
        links,
        attributes: { "itwin.auth.cache": options.name, "itwin.scopes": key }
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

  /** The request in progress, or a new one. It is registered before its first step, which may ask for the key itself. */
  const flightOf = (key: K, asked: Asked, context: Context.Context<never>): Flight<A> => {
    const current = inProgress(key)
    if (current !== undefined) {
      // The tracer is the program's: if it can't take the links, the request goes on.
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
      // The caller's own clock has no say in how long the request may take.
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
