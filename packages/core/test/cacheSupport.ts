// Shared by the tests of the cache's rules: the cache over the fake IMS, a secret backend that can be told what to do,
// and what every test asks. Time is the test's; a token lives an hour unless the app says otherwise.
import { assert } from "@effect/vitest"
import {
  type ClientCredentials,
  RetryPolicy,
  Scopes,
  SecretProvider,
  SecretProviderError,
  TokenCache,
  type TokenError
} from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Clock, Duration, Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"

/** Where an hour's token stands, in seconds, without jitter. */
export const soft = 2700
export const hard = 3540
export const last = 3595

export const route = "POST /connect/token"

export const get = (scopes?: Scopes.Scopes) => Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get(scopes))
export const refresh = (scopes?: Scopes.Scopes) =>
  Effect.flatMap(TokenCache.TokenCache, (cache) => cache.refresh(scopes))
export const reasonOf = (effect: Effect.Effect<unknown, TokenError.TokenError, TokenCache.TokenCache>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason._tag)

export const script = (...steps: ReadonlyArray<Fault.Step>) =>
  Effect.flatMap(FakeIms.FakeIms, (fake) => fake.script(route, ...steps))
export const clear = Effect.flatMap(FakeIms.FakeIms, (fake) => fake.clearScripts)
export const requests = Effect.flatMap(FakeIms.FakeIms, (fake) =>
  Effect.map(fake.tokenRequests, (entries) => entries.length)
)
/** When each request came, in seconds. */
export const times = Effect.flatMap(FakeIms.FakeIms, (fake) =>
  Effect.map(fake.tokenRequests, (entries) => entries.map((entry) => entry.at / 1000))
)
export const assertRequests = (n: number) => Effect.map(requests, (made) => assert.strictEqual(made, n, "requests"))
export const seconds = Effect.map(Clock.currentTimeMillis, (millis) => millis / 1000)

export const oauth = (error: string, status = 400): Fault.Fault => Fault.respond({ status, body: { error } })
export const invalidClient = oauth("invalid_client", 401)
export const down = Fault.respond({ status: 500, body: {} })

/** The cache over the fake, one attempt in each flight and no jitter, so that every request is the cache's doing. */
export const cached = (options: TokenCache.Options = {}, fake?: FakeIms.TestOptions) =>
  TokenCache.layerWith({ jitter: 0, ...options }).pipe(
    Layer.provide(RetryPolicy.layer(RetryPolicy.none)),
    Layer.provideMerge(FakeIms.layerTest(fake))
  )

type Read = Effect.Effect<ClientCredentials.ClientCredentials, SecretProviderError.SecretProviderError>

export interface Backend {
  reads: number
  answer: (current: Read) => Read
  readonly layer: Layer.Layer<SecretProvider.SecretProvider, never, SecretProvider.SecretProvider>
}

/** A secret backend that does as it is told; in front of the fake's own, which knows the current secret. */
export const makeBackend = (): Backend => {
  const self: Backend = {
    reads: 0,
    answer: (current) => current,
    layer: Layer.effect(
      SecretProvider.SecretProvider,
      Effect.map(SecretProvider.SecretProvider, ({ credentials }) => ({
        credentials: Effect.suspend(() => {
          self.reads++
          return self.answer(credentials)
        })
      }))
    )
  }
  return self
}

export const over = (backend: Backend, options: TokenCache.Options = {}, fake?: FakeIms.TestOptions) =>
  TokenCache.layerWith({ jitter: 0, ...options }).pipe(
    Layer.provide([backend.layer, RetryPolicy.layer(RetryPolicy.none)]),
    Layer.provideMerge(FakeIms.layerTest(fake))
  )

export const backendError = (
  reason: "Unavailable" | "Throttled" | "Disabled" | "AccessDenied" | "NotFound" | "InvalidSecret"
) => {
  const fields = { provider: "Vault", secretName: "itwin" }
  return new SecretProviderError.SecretProviderError({ reason: new SecretProviderError[reason](fields) })
}

/** A backend, and the cache over it with what it logs at warning and above. */
export const setUp = (options?: TokenCache.Options) => {
  const app = { name: "Credentials", scopes: ["itwin-platform", "extra"] }
  const backend = makeBackend()
  const warnings: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn" || logLevel === "Error") warnings.push(String(message))
  })
  return { backend, warnings, layer: over(backend, options, { app }).pipe(Layer.provide(Logger.layer([logger]))) }
}

export const rotate = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  const [request] = yield* fake.tokenRequests
  return (yield* fake.regenerateSecret(request?.clientId ?? "")).credentials
})

export const outcomes = Effect.gen(function* () {
  return (yield* (yield* FakeIms.FakeIms).tokenRequests).map(({ outcome }) => outcome)
})

export const pass = (seconds: number) => TestClock.adjust(Duration.seconds(seconds))
export const toSoft = TestClock.setTime(soft * 1000)

/** An app that may ask for more than one scope set. */
export const twoScopesApp = { name: "Scopes", scopes: ["itwin-platform", "a", "b"] }
export const a = Scopes.make("a")
export const b = Scopes.make("b")
