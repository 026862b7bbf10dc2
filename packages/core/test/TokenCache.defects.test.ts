// Code of the program throws: a provider, an HTTP client, a tracer or a logger. A bug is not an outage.
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, SecretProvider, TokenCache, type TokenError } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Cause, Effect, Exit, Layer, Logger, type LogLevel, References, Schema, Tracer } from "effect"
import { HttpClient } from "effect/http"
import {
  assertRequests,
  backendError,
  during,
  get,
  makeBackend,
  nextAttemptIn,
  over,
  pass,
  reasonOf,
  refresh,
  toSoft
} from "./cacheSupport.ts"
import { credentials, scripted } from "./support.ts"

const foreign = "fake-secret-in-a-message"

class VaultError extends Error {
  readonly secret = foreign
}

const thrown = () => new VaultError(`${foreign} is wrong\n    at ${foreign} (file:///x.js:1:1)`)

/** Returns the error as a failed effect may print it, in every way. */
const print = (error: TokenError.TokenError) =>
  [
    String(error),
    error.message,
    error.stack,
    JSON.stringify(error),
    inspect(error, { depth: 20, showHidden: true }),
    Cause.pretty(Cause.fail(error)),
    Exit.isSuccess(Schema.encodeUnknownExit(Schema.Unknown)(error))
  ].join("\n")

const throwing: ReadonlyArray<readonly [string, string, Effect.Effect<never>]> = [
  [
    "throws",
    "VaultError",
    Effect.sync(() => {
      throw thrown()
    })
  ],
  ["dies", "VaultError", Effect.die(thrown())],
  ["dies of a text", "string", Effect.die(foreign)],
  ["interrupts itself", "Interrupt", Effect.interrupt]
]

const logged = () => {
  const lines: Array<readonly [LogLevel.LogLevel, string]> = []
  const logger = Logger.make(({ logLevel, message }) => {
    lines.push([logLevel, String(message)])
  })
  return {
    lines,
    layer: Layer.mergeAll(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All"))
  }
}

describe("a throwing secret provider", () => {
  it.effect.each(throwing)(
    "fails each request with Defect, which is not retryable, when the secret provider %s",
    ([_name, errorName, broken]) => {
      const backend = makeBackend()
      return Effect.gen(function* () {
        backend.answer = () => broken
        for (let i = 1; i <= 3; i++) {
          const error = yield* Effect.flip(get())
          assert.isFalse(error.isRetryable)
          assert.strictEqual(error.reason._tag, "SecretUnavailable")
          const { reason } = error.reason._tag === "SecretUnavailable" ? error.reason.error : error
          assert.deepInclude(reason, { _tag: "Defect", errorName })
          assert.notInclude(print(error), foreign)
          assert.strictEqual(backend.reads, i)
          yield* pass(10)
        }
        yield* assertRequests(0)
      }).pipe(Effect.provide(over(backend)))
    }
  )

  it.effect.each(throwing)(
    "never uses the credentials read last, not even in a later outage, when the secret provider %s",
    ([_name, _errorName, broken]) => {
      const backend = makeBackend()
      return Effect.gen(function* () {
        yield* get()
        backend.answer = () => broken
        for (let i = 0; i < 2; i++) {
          assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
          yield* pass(10)
        }
        backend.answer = () => Effect.fail(backendError("Unavailable"))
        assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
        yield* assertRequests(1)
      }).pipe(Effect.provide(over(backend)))
    }
  )

  it.effect("returns the usable token when the secret provider throws", () => {
    const backend = makeBackend()
    return Effect.gen(function* () {
      const old = yield* get()
      backend.answer = () => Effect.die(thrown())
      yield* toSoft
      for (let i = 0; i < 10; i++) {
        assert.strictEqual(yield* get(), old)
        yield* pass(20)
      }
      assert.isAtLeast(backend.reads, 4)
      yield* assertRequests(1)
    }).pipe(Effect.provide(over(backend)))
  })

  it.effect(
    "logs the throwing of a secret provider as an error once, and again after a success, without its message",
    () => {
      const backend = makeBackend()
      const { layer, lines } = logged()
      const errors = () => lines.filter(([level]) => level === "Error").length
      return Effect.gen(function* () {
        for (let i = 1; i <= 2; i++) {
          backend.answer = () => Effect.die(thrown())
          for (let j = 0; j < 4; j++) {
            yield* Effect.exit(refresh())
            yield* pass(20)
          }
          assert.strictEqual(errors(), i)
          backend.answer = (current) => current
          yield* refresh()
        }
        const text = lines.map(([, message]) => message).join()
        assert.include(text, "VaultError")
        assert.notInclude(text, foreign)
      }).pipe(Effect.provide(over(backend).pipe(Layer.provide(layer))))
    }
  )

  it.effect("logs an error again when the secret provider throws another error", () => {
    const backend = makeBackend()
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      backend.answer = () => Effect.die(thrown())
      yield* Effect.exit(get())
      yield* pass(10)
      backend.answer = () => Effect.die(new RangeError(foreign))
      yield* Effect.exit(get())
      assert.strictEqual(lines.filter(([level]) => level === "Error").length, 2)
    }).pipe(Effect.provide(over(backend).pipe(Layer.provide(layer))))
  })
})

describe("a throwing HTTP client", () => {
  const app = (script: ReturnType<typeof scripted>, policy = RetryPolicy.none) =>
    TokenCache.layer.pipe(
      Layer.provide([script.layer, SecretProvider.layerStatic(credentials), RetryPolicy.layer(policy)])
    )

  it.effect.each(throwing)(
    "fails each request with Defect, which is not retryable, when the HTTP client %s",
    ([_name, errorName, broken]) => {
      const ims = scripted(() => broken)
      return Effect.gen(function* () {
        for (let i = 1; i <= 3; i++) {
          const error = yield* during(1, Effect.flip(get()))
          assert.deepInclude(error.reason, { _tag: "Defect", module: "HttpClient", errorName })
          assert.isFalse(error.isRetryable)
          assert.notInclude(print(error), foreign)
          // No second attempt.
          assert.strictEqual(ims.requests.length, i)
          yield* pass(10)
        }
      }).pipe(Effect.provide(app(ims)))
    }
  )

  it.effect("pauses as after a lasting failure when the HTTP client throws", () => {
    const ims = scripted(() => Effect.die(thrown()))
    return Effect.gen(function* () {
      for (let i = 0; i < 5; i++) {
        yield* Effect.flip(get())
        yield* pass(nextAttemptIn(yield* Effect.flip(get())) ?? 0)
      }
      yield* Effect.flip(get())
      assert.isAtLeast(nextAttemptIn(yield* Effect.flip(get())) ?? 0, 32)
    }).pipe(Effect.provide(app(ims)))
  })

  it.effect("logs the throwing of an HTTP client as an error once, without its message", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      for (let i = 0; i < 4; i++) {
        yield* Effect.exit(get())
        yield* pass(20)
      }
      assert.strictEqual(lines.filter(([level]) => level === "Error").length, 1)
      assert.notInclude(lines.map(([, message]) => message).join(), foreign)
    }).pipe(Effect.provide(app(scripted(() => Effect.die(thrown()))).pipe(Layer.provide(layer))))
  })

  it.effect("fails with Defect, and shows nothing of the request, when the HTTP client throws with it", () => {
    const client = HttpClient.make((request) => Effect.die(Object.assign(new TypeError(foreign), { request })))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(get())
      assert.strictEqual(error.reason._tag, "Defect")
      assert.notInclude(print(error), foreign)
      assert.notInclude(print(error), "client_secret")
    }).pipe(
      Effect.provide(
        TokenCache.layer.pipe(
          Layer.provide([
            Layer.succeed(HttpClient.HttpClient, client),
            SecretProvider.layerStatic(credentials),
            RetryPolicy.layer(RetryPolicy.none)
          ])
        )
      )
    )
  })
})

describe("a throwing tracer", () => {
  it.effect("fails the request with Defect when the tracer throws, and returns a token when it works again", () =>
    Effect.gen(function* () {
      let isBroken = true
      const tracer = Tracer.make({
        span: (options) => {
          if (isBroken) throw thrown()
          return new Tracer.NativeSpan(options)
        }
      })
      const cache = yield* TokenCache.make().pipe(Effect.withTracer(tracer))
      const error = yield* Effect.flip(cache.get())
      assert.deepInclude(error.reason, { _tag: "Defect", module: "Tracer", errorName: "VaultError" })
      assert.notInclude(print(error), foreign)
      isBroken = false
      yield* pass(1.2)
      assert.strictEqual((yield* cache.get()).tokenType, "Bearer")
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )
})

describe("a throwing logger", () => {
  it.effect("returns a token when the logger throws", () => {
    let isBroken = false
    const logger = Logger.make(() => {
      if (isBroken) throw thrown()
    })
    return Effect.gen(function* () {
      const cache = yield* TokenCache.make().pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
      isBroken = true
      const token = yield* cache.get()
      assert.strictEqual(cache.peekUnsafe(), token)
      assert.notStrictEqual(yield* cache.refresh(), token)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  })

  it.effect("returns a token when the logger throws at the use of the credentials read last", () => {
    const backend = makeBackend()
    const broken = Logger.layer([
      Logger.make(() => {
        throw thrown()
      })
    ])
    return Effect.gen(function* () {
      yield* get()
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      for (let i = 0; i < 2; i++) assert.strictEqual((yield* refresh()).tokenType, "Bearer")
    }).pipe(Effect.provide(over(backend).pipe(Layer.provide(broken))))
  })

  it.effect("fails with the reason of the request when the logger throws", () => {
    const broken = Logger.layer([
      Logger.make(() => {
        throw thrown()
      })
    ])
    const ims = scripted(() => new Response(null, { status: 500 }))
    return Effect.gen(function* () {
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
      assert.isDefined((yield* Effect.flip(get())).nextAttemptIn)
    }).pipe(
      Effect.provide(
        TokenCache.layer.pipe(
          Layer.provide([
            ims.layer,
            SecretProvider.layerStatic(credentials),
            RetryPolicy.layer(RetryPolicy.none),
            broken,
            Layer.succeed(References.MinimumLogLevel, "All")
          ])
        )
      )
    )
  })
})
