// Shared by the tests of the cache: the cache over the fake IMS, a scripted secret backend, and common calls. Time is
// virtual. The life of a token is an hour unless the app sets another one.
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
import { Clock, Duration, Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"

/** The times of a token of one hour, in seconds, without jitter. */
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
/** The times of the requests, in seconds. */
export const times = Effect.flatMap(FakeIms.FakeIms, (fake) =>
  Effect.map(fake.tokenRequests, (entries) => entries.map((entry) => entry.at / 1000))
)
export const assertRequests = (n: number) => Effect.map(requests, (made) => assert.strictEqual(made, n, "requests"))
export const seconds = Effect.map(Clock.currentTimeMillis, (millis) => millis / 1000)

export const oauth = (error: string, status = 400): Fault.Fault => Fault.respond({ status, body: { error } })
export const invalidClient = oauth("invalid_client", 401)
export const down = Fault.respond({ status: 500, body: {} })

/** The cache over the fake, with one attempt and without jitter, so that the cache itself causes each request. */
export const cached = (options: TokenCache.Options = {}, fake?: FakeIms.TestOptions) =>
  TokenCache.layerWith({ jitter: 0, ...options }).pipe(
    Layer.provide(RetryPolicy.layer(RetryPolicy.none)),
    Layer.provideMerge(FakeIms.layerTest(fake))
  )

/** The cache over the fake with its default settings. */
export const byDefault = (options: TokenCache.Options = {}, fake?: FakeIms.TestOptions) =>
  TokenCache.layerWith(options).pipe(Layer.provideMerge(FakeIms.layerTest(fake)))

type Read = Effect.Effect<ClientCredentials.ClientCredentials, SecretProviderError.SecretProviderError>

export interface Backend {
  reads: number
  answer: (current: Read) => Read
  readonly layer: Layer.Layer<SecretProvider.SecretProvider, never, SecretProvider.SecretProvider>
}

/** A scripted secret backend in front of the fake's provider, which knows the current secret. */
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
  reason:
    | "Unavailable"
    | "Throttled"
    | "Disabled"
    | "AccessDenied"
    | "NotFound"
    | "InvalidSecret"
    | "CredentialUnavailable"
    | "Misconfigured",
  retryAfter?: Duration.Duration
) => {
  const fields = { provider: "Vault", secretName: "itwin" }
  return new SecretProviderError.SecretProviderError({
    reason:
      reason === "Throttled"
        ? new SecretProviderError.Throttled({ ...fields, retryAfter })
        : new SecretProviderError[reason](fields)
  })
}

/** A backend, and the cache over it, with its log lines of level warning and above. */
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

export const pass = (seconds: number) => TestClock.adjust(Duration.millis(Math.round(seconds * 1000)))
export const toSoft = TestClock.setTime(soft * 1000)
export const at = (moment: number) => TestClock.setTime(moment * 1000)

/**
 * Lets time pass in steps of a second. Callers wait on a native promise, which `TestClock` does not track, so one
 * long step could skip the next step of a fiber.
 */
export const passInSteps = (seconds: number) => Effect.repeat(pass(1), { times: seconds - 1 })

/** Lets so many seconds pass while the effect runs, and returns its outcome. */
export const during = <A, E, R>(seconds: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* pass(seconds)
    return yield* Fiber.join(fiber)
  })

/** Returns the `nextAttemptIn` of the error, in seconds. */
export const nextAttemptIn = (error: TokenError.TokenError) =>
  error.nextAttemptIn === undefined ? undefined : Duration.toMillis(error.nextAttemptIn) / 1000

/** Calls every 100 ms for so long, and returns the seconds between the requests that this causes. */
export const pausesWhile = (seconds: number, call: Effect.Effect<unknown, unknown, TokenCache.TokenCache>) =>
  Effect.gen(function* () {
    for (let i = 0; i < seconds * 10; i++) {
      yield* Effect.exit(call)
      yield* pass(0.1)
    }
    const made = yield* times
    return made.slice(1).map((time, i) => time - (made[i] ?? 0))
  })

/** Asserts that each pause is as long as expected, or up to 20 % longer because of jitter. */
export const assertPauses = (pauses: ReadonlyArray<number>, expected: ReadonlyArray<number>) => {
  for (const [i, length] of expected.entries()) {
    assert.isAtLeast(pauses[i] ?? 0, length - 1e-6, `pause ${i} of ${pauses}`)
    assert.isAtMost(pauses[i] ?? 0, length * 1.2 + 0.1, `pause ${i} of ${pauses}`)
  }
}

/** An app that may request more than one scope set. */
export const twoScopesApp = { name: "Scopes", scopes: ["itwin-platform", "a", "b"] }
export const a = Scopes.make("a")
export const b = Scopes.make("b")
