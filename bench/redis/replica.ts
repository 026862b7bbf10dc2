/**
 * One replica of a fleet, as a child process: gets the token about ten times a second, as calls of an API would. The
 * parent process sends where IMS and Redis are, says when to begin, and asks for the counts.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { type AccessToken, ClientCredentials, Environment, SecretProvider, TokenCache } from "@effect-itwin/core"
import { RedisTokenStore } from "@effect-itwin/store-redis"
import { Effect, Layer, Logger, ManagedRuntime, Redacted } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"

export interface Setup {
  readonly imsUrl: string
  readonly clientId: string
  readonly clientSecret: string
  /** Absent: without a store. */
  readonly redisUrl?: string | undefined
  /** The part of the life before expiry at which renewal begins; the default of the cache unless given. */
  readonly soft?: number | undefined
  /** The time limit of a step in seconds; the default of the store unless given. */
  readonly stepSeconds?: number | undefined
  /** The number of caches in this process. They share one connection. */
  readonly caches: number
}

export interface Report {
  readonly gets: number
  readonly expired: number
  readonly slowestMillis: number
  readonly failures: ReadonlyArray<string>
  readonly warnings: ReadonlyArray<string>
}

/** What a replica tells: that it is ready to begin, that it is about to send a token request, or the counts. */
export type Message = "ready" | "requesting" | Report

// The parent process was ended.
process.once("disconnect", () => process.exit())

const tell = (message: Message) => process.send?.(message)

const setup = await new Promise<Setup>((resolve) => process.once("message", (message) => resolve(message as Setup)))
const failures: Array<string> = []
const warnings: Array<string> = []
let gets = 0
let expired = 0
let slowestMillis = 0

const client = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(HttpClient.HttpClient, (client) =>
    HttpClient.tapRequest(client, () => Effect.sync(() => tell("requesting")))
  )
).pipe(Layer.provide(FetchHttpClient.layer))

const logger = Logger.make(({ logLevel, message }) => {
  if (logLevel === "Warn" || logLevel === "Error") warnings.push(String(message))
})

const store =
  setup.redisUrl === undefined
    ? Layer.empty
    : RedisTokenStore.layerUrl({ url: setup.redisUrl, timeout: `${setup.stepSeconds ?? 1} seconds` })
const memoMap = Layer.makeMemoMapUnsafe()

const makeRuntime = () =>
  ManagedRuntime.make(
    TokenCache.layerWith(setup.soft === undefined ? {} : { soft: { ofLife: setup.soft, atMost: "15 minutes" } }).pipe(
      Layer.provide([
        client,
        store,
        Environment.layer(
          Environment.custom({ tokenEndpoint: `${setup.imsUrl}/connect/token`, apiBaseUrl: setup.imsUrl })
        ),
        SecretProvider.layerStatic(
          new ClientCredentials.ClientCredentials({
            clientId: setup.clientId,
            clientSecret: Redacted.make(setup.clientSecret)
          })
        )
      ]),
      Layer.provideMerge(Logger.layer([logger]))
    ),
    { memoMap }
  )

const runtimes = Array.from({ length: setup.caches }, makeRuntime)
const caches = await Promise.all(runtimes.map((runtime) => runtime.runPromise(TokenCache.TokenCache)))

const get = async (cache: TokenCache.TokenCache["Service"]) => {
  const started = performance.now()
  try {
    const token: AccessToken.AccessToken = await Effect.runPromise(cache.get())
    if (token.expiresAt.epochMilliseconds <= Date.now()) expired++
  } catch (error) {
    failures.push(String(error))
  }
  gets++
  slowestMillis = Math.max(slowestMillis, performance.now() - started)
}

tell("ready")
await new Promise((resolve) => process.once("message", resolve))
let isOver = false
process.once("message", () => {
  isOver = true
})
await Promise.all(
  caches.map(async (cache) => {
    while (!isOver) {
      await get(cache)
      await sleep(50 + Math.random() * 100)
    }
  })
)
tell({ gets, expired, slowestMillis, failures, warnings })
await Promise.all(runtimes.map((runtime) => runtime.dispose()))
process.disconnect()
