/**
 * Simulates many replicas of one service app with one IMS, in virtual time: counts the requests to IMS, and the calls
 * that fail when IMS is unreachable. Each replica has its own `TokenCache`, as in its own process.
 *
 * IMS is simulated here in a few lines, without the fake of `@effect-itwin/testing`: 24 hours of 1,000 replicas are
 * 34,000 tokens, whose signatures are not needed.
 */
import { ClientCredentials, Environment, SecretProvider, TokenCache, TokenStore } from "@effect-itwin/core"
import { Clock, Context, Effect, Exit, type Fiber, Logger, Random, Redacted, type Scope } from "effect"
import { HttpClient, type HttpClientRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"

/** A failure, its start and its length, in seconds. */
export interface Trouble {
  /**
   * `down`: status 503 at once; `silent`: no response; `limited`: status 429, and IMS asks to wait a minute; `revoked`:
   * IMS rejects the secret, and a new one is stored at the end; `rejected`: an API rejects every token; `store down`:
   * each step of the store fails; `store silent`: no step ends.
   */
  readonly kind: "down" | "silent" | "limited" | "revoked" | "rejected" | "store down" | "store silent"
  readonly from: number
  readonly seconds: number
}

export interface Options {
  readonly replicas: number
  readonly hours: number
  /** The seconds between two calls of a replica. */
  readonly every: number
  /** `own`: the replicas call at different seconds; `same`: all call in the same second, as cron jobs do. */
  readonly phase: "own" | "same"
  /** `TokenCache.Options.jitter`. */
  readonly jitter?: number | undefined
  readonly troubles?: ReadonlyArray<Trouble> | undefined
  /** Whether the replicas share a token store, in memory here. */
  readonly store?: boolean | undefined
  /** `TokenCache.Options.soft`, as a part of the life; the default if not given. */
  readonly soft?: number | undefined
}

export interface Figures {
  /** Calls of `get`. */
  readonly calls: number
  /**
   * Calls that got no token, for each failure: those during it, and those in the 72 s after it, which is the longest
   * pause. The last number counts calls outside of any failure.
   */
  readonly failed: ReadonlyArray<number>
  /** The number of requests to IMS. */
  readonly requests: number
  /** The number of requests in each second. */
  readonly perSecond: Uint32Array
  /** The number of steps of the store in each second. */
  readonly steps: Uint32Array
}

/**
 * The failures of the documentation: twelve minutes from the time when the first tokens are due, four minutes during
 * the next renewals, and a secret that is revoked for an hour.
 */
export const troubles: ReadonlyArray<Trouble> = [
  { kind: "down", from: 39 * 60, seconds: 12 * 60 },
  { kind: "silent", from: 92 * 60, seconds: 4 * 60 },
  { kind: "revoked", from: 12 * 3600, seconds: 3600 }
]

const life = 3600

/** The longest pause after a lasting failure, in seconds, with jitter. */
const longestPause = 72

const secretOf = (version: number) => `fake-secret-${version}+/=`

const currentTrouble = (troubles: ReadonlyArray<Trouble>, at: number) =>
  troubles.find(({ from, seconds }) => at >= from && at < from + seconds)

/** The current response of IMS; `undefined` is no response. */
const answer = (troubles: ReadonlyArray<Trouble>, at: number, secret: string | null, token: string) => {
  const current = currentTrouble(troubles, at)
  if (current?.kind === "limited") return HttpServerResponse.empty({ status: 429, headers: { "retry-after": "60" } })
  if (current?.kind === "silent") return undefined
  if (current?.kind === "down") return HttpServerResponse.empty({ status: 503 })
  const version = troubles.filter(({ kind, from }) => kind === "revoked" && at >= from).length
  return secret === secretOf(version)
    ? HttpServerResponse.jsonUnsafe({ access_token: token, token_type: "Bearer", expires_in: life })
    : HttpServerResponse.jsonUnsafe({ error: "invalid_client" }, { status: 401 })
}

const formOf = ({ body }: HttpClientRequest.HttpClientRequest) =>
  new URLSearchParams(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "")

const storeError = new TokenStore.TokenStoreError({
  store: "memory",
  kind: "unavailable",
  detail: "the connection was refused."
})

/** A store in memory that counts its steps, and that fails when a trouble says so. */
const makeStore = (before: Effect.Effect<void, TokenStore.TokenStoreError>) =>
  Effect.map(
    TokenStore.makeMemory,
    (memory): TokenStore.Service => ({
      ...memory,
      claim: (row, claim) => Effect.andThen(before, memory.claim(row, claim)),
      publish: (row, publication) => Effect.andThen(before, memory.publish(row, publication)),
      release: (row, owner, setback) => Effect.andThen(before, memory.release(row, owner, setback)),
      drop: (row, version) => Effect.andThen(before, memory.drop(row, version))
    })
  )

/** Runs the fleet. All replicas start in the first second. */
export const simulate = Effect.fnUntraced(
  function* (options: Options): Effect.fn.Return<Figures, never, Scope.Scope> {
    const { every, hours, replicas, troubles = [] } = options
    const clock = yield* Clock.Clock
    const seconds = () => Math.floor(clock.currentTimeMillisUnsafe() / 1000)
    const perSecond = new Uint32Array(hours * 3600 + 60)
    const steps = new Uint32Array(hours * 3600 + 60)
    const failed = new Array<number>(troubles.length + 1).fill(0)
    let calls = 0
    let requests = 0

    const client = HttpClient.make((request) =>
      Effect.suspend(() => {
        const at = seconds()
        perSecond[at] = (perSecond[at] ?? 0) + 1
        requests++
        const response = answer(troubles, at, formOf(request).get("client_secret"), `fake.token.${requests}`)
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
    const service = yield* makeStore(
      Effect.suspend(() => {
        const at = seconds()
        steps[at] = (steps[at] ?? 0) + 1
        const kind = currentTrouble(troubles, at)?.kind
        if (kind === "store silent") return Effect.never
        return kind === "store down" ? Effect.fail(storeError) : Effect.void
      })
    )
    const soft = options.soft === undefined ? undefined : ({ ofLife: options.soft, atMost: "1 hour" } as const)
    const replica = Effect.suspend(() =>
      TokenCache.make({ jitter: options.jitter, soft }).pipe(
        // Each replica has its own view of the store, as in its own process.
        Effect.provide(
          options.store === true ? Context.make(TokenStore.TokenStore, TokenStore.make(service)) : Context.empty()
        )
      )
    )
    const caches = yield* Effect.replicateEffect(replica, replicas).pipe(
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.provideService(SecretProvider.SecretProvider, provider),
      Effect.provideService(Environment.Environment, Environment.production),
      Effect.orDie
    )

    /** The replicas that call in this second of each round. */
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
        const isRejected = currentTrouble(troubles, at)?.kind === "rejected"
        // `get` would return it from memory.
        if (!isRejected && cache.peekUnsafe() !== undefined) continue
        const get = cache.get()
        const call = isRejected ? Effect.tap(get, (token) => cache.replace(token)) : get
        waiting.push({ at, fiber: yield* Effect.forkChild(call, { startImmediately: true }) })
      }
      settleAll()
    }
    yield* TestClock.adjust("30 seconds")
    settleAll()
    return { calls, failed, requests, perSecond, steps }
  },
  Effect.scoped,
  Random.withSeed("fleet"),
  Effect.provide(Logger.layer([])),
  Effect.provide(TestClock.layer())
)

/** Returns the highest number of requests in one second, from this second on. */
export const peak = ({ perSecond }: Figures, from: number): number =>
  perSecond.subarray(from).reduce((most, n) => Math.max(most, n), 0)

/** Returns the number of requests in a part of the time. */
export const requestsIn = ({ perSecond }: Figures, from: number, seconds: number): number =>
  perSecond.subarray(from, from + seconds).reduce((sum, n) => sum + n, 0)
