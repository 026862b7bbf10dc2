/**
 * Many replicas of one service app over one IMS, for days, in virtual time: how often IMS is asked, and who notices when
 * it is away. Each replica is a `TokenCache` of its own, as in a process of its own.
 *
 * IMS is a few lines here, not the fake of `@effect-itwin/testing`: 24 hours of 1,000 replicas are 34,000 tokens, and
 * nobody looks at their signatures.
 */
import { ClientCredentials, Environment, SecretProvider, TokenCache } from "@effect-itwin/core"
import { Clock, Effect, Exit, type Fiber, Logger, Random, Redacted, type Scope } from "effect"
import { HttpClient, type HttpClientRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"

/** What is wrong, from when and for how long, in seconds. */
export interface Trouble {
  /** `down`: status 503 at once; `silent`: no answer; `revoked`: the secret is refused, and a new one comes at the end. */
  readonly kind: "down" | "silent" | "revoked"
  readonly from: number
  readonly seconds: number
}

export interface Options {
  readonly replicas: number
  readonly hours: number
  /** Each replica asks its cache for the token so often, in seconds. */
  readonly every: number
  /** `own`: the replicas ask at different seconds; `same`: all in the same second, as cron jobs do. */
  readonly phase: "own" | "same"
  /** `TokenCache.Options.jitter`. */
  readonly jitter?: number | undefined
  readonly troubles?: ReadonlyArray<Trouble> | undefined
}

export interface Figures {
  /** Calls of `get`. */
  readonly calls: number
  /**
   * Calls that got no token, by the trouble in which they fell, or that ended less than 72 s before: the longest pause
   * after a failure. The last one counts those outside of any.
   */
  readonly failed: ReadonlyArray<number>
  /** Requests to IMS in all. */
  readonly requests: number
  /** The same, by the second. */
  readonly perSecond: Uint32Array
}

/**
 * The troubles of the documentation: twelve minutes that begin when the first tokens come due, four in the next wave, and
 * the secret revoked for an hour.
 */
export const troubles: ReadonlyArray<Trouble> = [
  { kind: "down", from: 39 * 60, seconds: 12 * 60 },
  { kind: "silent", from: 92 * 60, seconds: 4 * 60 },
  { kind: "revoked", from: 12 * 3600, seconds: 3600 }
]

const life = 3600

/** Of a failure that lasts, in seconds, jitter included. */
const longestPause = 72

const secretOf = (version: number) => `fake-secret-${version}+/=`

/** What IMS says now; `undefined` is no answer. */
const answer = (troubles: ReadonlyArray<Trouble>, at: number, secret: string | null) => {
  const current = troubles.find(({ from, seconds }) => at >= from && at < from + seconds)
  if (current?.kind === "silent") return undefined
  if (current?.kind === "down") return HttpServerResponse.empty({ status: 503 })
  const version = troubles.filter(({ kind, from }) => kind === "revoked" && at >= from).length
  return secret === secretOf(version)
    ? HttpServerResponse.jsonUnsafe({ access_token: "fake.token", token_type: "Bearer", expires_in: life })
    : HttpServerResponse.jsonUnsafe({ error: "invalid_client" }, { status: 401 })
}

const formOf = ({ body }: HttpClientRequest.HttpClientRequest) =>
  new URLSearchParams(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "")

/** Runs the fleet. All replicas start in the first second. */
export const simulate = Effect.fnUntraced(
  function* (options: Options): Effect.fn.Return<Figures, never, Scope.Scope> {
    const { every, hours, replicas, troubles = [] } = options
    const clock = yield* Clock.Clock
    const seconds = () => Math.floor(clock.currentTimeMillisUnsafe() / 1000)
    const perSecond = new Uint32Array(hours * 3600 + 60)
    const failed = new Array<number>(troubles.length + 1).fill(0)
    let calls = 0
    let requests = 0

    const client = HttpClient.make((request) =>
      Effect.suspend(() => {
        const at = seconds()
        perSecond[at] = (perSecond[at] ?? 0) + 1
        requests++
        const response = answer(troubles, at, formOf(request).get("client_secret"))
        return response === undefined
          ? Effect.never
          : Effect.succeed(HttpServerResponse.toClientResponse(response, { request }))
      })
    )
    const provider = {
      credentials: Effect.sync(() => {
        const at = seconds()
        const version = troubles.filter(({ kind, from, seconds }) => kind === "revoked" && at >= from + seconds).length
        return new ClientCredentials.ClientCredentials({
          clientId: "service-fleet",
          clientSecret: Redacted.make(secretOf(version))
        })
      })
    }
    const caches = yield* Effect.replicateEffect(TokenCache.make({ jitter: options.jitter }), replicas).pipe(
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.provideService(SecretProvider.SecretProvider, provider),
      Effect.provideService(Environment.Environment, Environment.production),
      Effect.orDie
    )

    /** The replicas that ask in this second of each round. */
    const due = Array.from({ length: every }, (_, second) =>
      caches.filter((_cache, index) => (options.phase === "same" ? 0 : index % every) === second)
    )
    let waiting: Array<{ readonly at: number; readonly fiber: Fiber.Fiber<unknown, unknown> }> = []
    const settle = (at: number, exit: Exit.Exit<unknown, unknown>) => {
      if (Exit.isSuccess(exit)) return
      const trouble = troubles.findIndex(({ from, seconds }) => at >= from && at < from + seconds + longestPause)
      const index = trouble === -1 ? troubles.length : trouble
      failed[index] = (failed[index] ?? 0) + 1
    }
    const settleAll = () => {
      waiting = waiting.filter(({ at, fiber }) => {
        const exit = fiber.pollUnsafe()
        if (exit !== undefined) settle(at, exit)
        return exit === undefined
      })
    }

    for (let at = 0; at < hours * 3600; at++) {
      const now = due[at % every] ?? []
      if (now.length === 0) continue
      yield* TestClock.setTime(at * 1000)
      settleAll()
      for (const cache of now) {
        calls++
        waiting.push({ at, fiber: yield* Effect.forkChild(cache.get(), { startImmediately: true }) })
      }
      settleAll()
    }
    yield* TestClock.adjust("30 seconds")
    settleAll()
    return { calls, failed, requests, perSecond }
  },
  Effect.scoped,
  Random.withSeed("fleet"),
  Effect.provide(Logger.layer([])),
  Effect.provide(TestClock.layer())
)

/** The most requests in one second, from this second on. */
export const peak = ({ perSecond }: Figures, from: number): number =>
  perSecond.subarray(from).reduce((most, n) => Math.max(most, n), 0)

/** The requests in a part of the time. */
export const requestsIn = ({ perSecond }: Figures, from: number, seconds: number): number =>
  perSecond.subarray(from, from + seconds).reduce((sum, n) => sum + n, 0)
