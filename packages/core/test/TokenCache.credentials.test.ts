// When the secret is read, what rotation and another client id change, and which credentials are used in an outage.
import { assert, describe, it } from "@effect/vitest"
import { type ClientCredentials, Scopes, SecretProviderError, TokenCache } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import {
  assertRequests,
  at,
  type Backend,
  backendError,
  down,
  during,
  get,
  invalidClient,
  outcomes,
  pass,
  reasonOf,
  refresh,
  rotate,
  route,
  script,
  setUp,
  soft
} from "./cacheSupport.ts"

/** The backend keeps returning what it returned so far, whatever IMS knows. */
const freeze = (backend: Backend) =>
  Effect.gen(function* () {
    let held: ClientCredentials.ClientCredentials | undefined
    backend.answer = (current) =>
      held === undefined
        ? Effect.tap(current, (credentials) =>
            Effect.sync(() => {
              held = credentials
            })
          )
        : Effect.succeed(held)
    yield* refresh()
  })

describe("reading the secret", () => {
  it.effect("reads the secret once for each request, and not when a token is in memory", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      for (let i = 0; i < 10; i++) yield* get()
      assert.strictEqual(backend.reads, 1)
      yield* refresh()
      assert.strictEqual(backend.reads, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("uses a rotated secret for the next request, and again after the next rotation", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      for (let i = 0; i < 2; i++) {
        yield* rotate
        yield* refresh()
      }
      assert.deepStrictEqual(yield* outcomes, ["ok", "ok", "ok"])
      assert.strictEqual(backend.reads, 3)
    }).pipe(Effect.provide(layer))
  })
})

describe("invalid_client", () => {
  it.effect("reads the secret again, and uses it, when it was rotated before invalid_client", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* get()
      yield* fake.script(route, Fault.once(Fault.delay("2 seconds")))
      const fiber = yield* Effect.forkChild(refresh())
      yield* TestClock.adjust("1 second")
      yield* rotate
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).tokenType, "Bearer")
      assert.deepStrictEqual(
        (yield* fake.tokenRequests).map(({ status }) => status),
        [200, 401, 200]
      )
      assert.strictEqual(backend.reads, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("does not send the same secret again after invalid_client", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* freeze(backend)
      yield* rotate
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      assert.deepStrictEqual(yield* outcomes, ["ok", "invalid_client"])
      assert.strictEqual(backend.reads, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect(
    "sends one more request after invalid_client, not a third, even when each read returns another secret",
    () => {
      const { backend, layer } = setUp()
      return Effect.gen(function* () {
        const stale = [yield* Effect.map(get(), () => undefined), yield* rotate, yield* rotate, yield* rotate]
        yield* rotate
        backend.answer = () => Effect.succeed(stale[backend.reads - 1] ?? assert.fail("read too often"))
        assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
        assert.deepStrictEqual(yield* outcomes, ["ok", "invalid_client", "invalid_client"])
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("says in InvalidClient whether IMS accepted the same secret earlier", () => {
    const { layer } = setUp()
    return Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script(route, Fault.once(invalidClient))
      assert.notDeepInclude((yield* Effect.flip(get())).reason, { workedBefore: true })
      yield* pass(1.2)
      const token = yield* get()
      yield* fake.disableApp(token.clientId)
      for (let i = 0; i < 2; i++) {
        assert.deepInclude((yield* Effect.flip(refresh())).reason, { _tag: "InvalidClient", workedBefore: true })
        yield* pass(15)
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("reads the secret once, and does not send it again, when a probe gets invalid_client", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* freeze(backend)
      const frozen = backend.answer
      yield* rotate
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      // Each read returns another secret from here on. A request that is not a probe would use it.
      backend.answer = (current) => (backend.reads % 2 === 0 ? frozen(current) : current)
      const reads = backend.reads
      if (reads % 2 === 0) backend.reads++
      for (let i = 1; i <= 2; i++) {
        yield* pass(10)
        const before = backend.reads
        yield* Effect.exit(refresh())
        assert.strictEqual(backend.reads, before + 1)
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with InvalidClient when the second read of the secret fails", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* freeze(backend)
      const frozen = backend.answer
      yield* rotate
      backend.answer = (current) =>
        backend.reads % 2 === 0 ? frozen(current) : Effect.fail(backendError("Unavailable"))
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      assert.deepStrictEqual(yield* outcomes, ["ok", "invalid_client"])
    }).pipe(Effect.provide(layer))
  })
})

describe("another client id", () => {
  const appTwo = Effect.flatMap(FakeIms.FakeIms, (fake) =>
    fake.registerApp({ name: "Two", scopes: ["itwin-platform"] })
  )

  it.effect(
    "drops all tokens of the old client, with a warning, even when the first request of the new client fails",
    () => {
      const { backend, layer, warnings } = setUp()
      return Effect.gen(function* () {
        const cache = yield* TokenCache.TokenCache
        const old = yield* get()
        const two = yield* appTwo
        backend.answer = () => Effect.succeed(two.credentials)
        yield* script(Fault.once(down))
        assert.strictEqual(yield* reasonOf(refresh()), "ServerError")
        assert.isUndefined(cache.peekUnsafe())
        assert.isTrue(
          warnings.some((text) => text.includes(`${two.credentials.clientId} instead of ${old.clientId}`)),
          warnings.join()
        )
        yield* pass(1.2)
        assert.strictEqual((yield* get()).clientId, two.credentials.clientId)
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("does not keep a token of the old client when it arrives after the client changed", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const two = yield* appTwo
      yield* script(Fault.once(Fault.delay("3 seconds")))
      const slow = yield* Effect.forkChild(cache.get())
      yield* TestClock.adjust("1 second")
      backend.answer = () => Effect.succeed(two.credentials)
      yield* Effect.exit(cache.get(Scopes.make("other")))
      yield* TestClock.adjust("2 seconds")
      assert.notStrictEqual((yield* Fiber.join(slow)).clientId, two.credentials.clientId)
      assert.isUndefined(cache.peekUnsafe())
      assert.strictEqual((yield* cache.get()).clientId, two.credentials.clientId)
    }).pipe(Effect.provide(layer))
  })

  it.effect("returns no token of the old client when an inline renewal fails after the client changed", () => {
    const { backend, layer } = setUp({ renewal: "inline" })
    return Effect.gen(function* () {
      yield* get()
      const two = yield* appTwo
      backend.answer = () => Effect.succeed(two.credentials)
      yield* script(Fault.once(down))
      yield* TestClock.setTime(soft * 1000)
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
    }).pipe(Effect.provide(layer))
  })

  it.effect("uses the new client's credentials when the backend is unreachable after the client changed", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      const two = yield* appTwo
      backend.answer = () => Effect.succeed(two.credentials)
      yield* script(Fault.once(down))
      yield* Effect.flip(refresh())
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* pass(1.2)
      assert.strictEqual((yield* get()).clientId, two.credentials.clientId)
      yield* assertRequests(3)
    }).pipe(Effect.provide(layer))
  })
})

describe("the credentials read last", () => {
  it.effect.each(["Unavailable", "Throttled"] as const)(
    "uses the credentials read last, with a warning for each request, when the backend %s",
    (reason) => {
      const { backend, layer, warnings } = setUp()
      return Effect.gen(function* () {
        yield* get()
        backend.answer = () => Effect.fail(backendError(reason))
        for (let i = 1; i <= 3; i++) {
          yield* refresh()
          assert.strictEqual(warnings.length, i)
          assert.include(warnings[i - 1], "The credentials read last are used.")
        }
        assert.deepStrictEqual(yield* outcomes, ["ok", "ok", "ok", "ok"])
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("does not read the backend again before its stated wait has passed", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      const reason = new SecretProviderError.Throttled({
        provider: "Vault",
        secretName: "itwin",
        retryAfter: Duration.minutes(10)
      })
      backend.answer = () => Effect.fail(new SecretProviderError.SecretProviderError({ reason }))
      for (let i = 0; i < 3; i++) yield* refresh()
      assert.strictEqual(backend.reads, 2)
      yield* TestClock.adjust("599 seconds")
      yield* refresh()
      assert.strictEqual(backend.reads, 2)
      yield* TestClock.adjust("1 second")
      yield* refresh()
      assert.strictEqual(backend.reads, 3)
      assert.deepStrictEqual(yield* outcomes, ["ok", "ok", "ok", "ok", "ok", "ok"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("uses the credentials read last in an outage when no token was requested with them yet", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* script(Fault.once(down))
      assert.strictEqual(yield* reasonOf(get()), "ServerError")
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* pass(1.2)
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails requests in an outage when nothing was read before", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      for (let i = 1; i <= 3; i++) {
        assert.strictEqual(yield* reasonOf(get()), "SecretUnavailable")
        assert.strictEqual(backend.reads, i)
        yield* pass(12)
      }
      yield* assertRequests(0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts a backend as unreachable after 10 s, leaving time for the request, when it does not return", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      backend.answer = () => Effect.never
      for (let i = 0; i < 2; i++) {
        assert.strictEqual((yield* during(10, refresh())).tokenType, "Bearer")
      }
      yield* assertRequests(3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("uses the credentials read last for 24 h, however many tokens are requested with them", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      for (let hour = 1; hour < 24; hour++) {
        yield* at(hour * 3600)
        yield* get()
      }
      yield* at(24 * 3600 - 0.001)
      yield* refresh()
      yield* at(24 * 3600)
      assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
    }).pipe(Effect.provide(layer))
  })

  it.effect("starts the 24 h again when a read succeeds", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      yield* TestClock.adjust("23 hours")
      yield* get()
      yield* TestClock.adjust("23 hours")
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* get()
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([0, 60])("uses the credentials read last for %i minutes when lastKnownGood says so", (minutes) => {
    const { backend, layer } = setUp({ lastKnownGood: Duration.minutes(minutes) })
    return Effect.gen(function* () {
      yield* get()
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* pass(Math.max(0, minutes * 60 - 0.001))
      if (minutes > 0) yield* refresh()
      yield* pass(0.001)
      assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
    }).pipe(Effect.provide(layer))
  })

  it.effect("forgets the credentials, and keeps them forgotten, when IMS rejects them", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      yield* rotate
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      for (let i = 0; i < 2; i++) {
        yield* pass(15)
        assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
      }
      assert.deepStrictEqual(yield* outcomes, ["ok", "invalid_client"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("forgets the credentials when IMS rejects them and the second read returns them again", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* freeze(backend)
      yield* rotate
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* pass(1.2)
      assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
      assert.deepStrictEqual(yield* outcomes, ["ok", "invalid_client"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("forgets the credentials when IMS rejects them and a slower read of another key ends afterwards", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* freeze(backend)
      const frozen = backend.answer
      yield* rotate
      backend.answer = (current) => Effect.delay(frozen(current), "3 seconds")
      const slow = yield* Effect.forkChild(Effect.exit(refresh(Scopes.make("itwin-platform extra"))), {
        startImmediately: true
      })
      yield* pass(1)
      backend.answer = frozen
      assert.strictEqual(yield* reasonOf(refresh()), "InvalidClient")
      yield* pass(2)
      yield* Fiber.join(slow)
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      for (let i = 0; i < 2; i++) {
        yield* pass(15)
        assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps the newer credentials when a request with older ones ends later", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const first = yield* get()
      yield* script(Fault.once(Fault.delay("3 seconds")))
      const slow = yield* Effect.forkChild(refresh(Scopes.make("itwin-platform extra")))
      yield* TestClock.adjust("1 second")
      yield* fake.regenerateSecret(first.clientId, { overlap: "1 minute" })
      yield* refresh()
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(slow)
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* refresh()).tokenType, "Bearer")
    }).pipe(Effect.provide(layer))
  })
})

const answers = [
  "Disabled",
  "AccessDenied",
  "NotFound",
  "InvalidSecret",
  "CredentialUnavailable",
  "Misconfigured"
] as const

describe("failures of the backend", () => {
  it.effect.each(answers)("forgets the credentials, for every later outage, when the backend returns %s", (reason) => {
    const { backend, layer, warnings } = setUp()
    return Effect.gen(function* () {
      yield* get()
      backend.answer = () => Effect.fail(backendError(reason))
      yield* Effect.flip(refresh())
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      for (let i = 0; i < 3; i++) {
        yield* pass(15)
        assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
      }
      yield* assertRequests(1)
      assert.isFalse(warnings.some((text) => text.includes("The credentials read last")))
    }).pipe(Effect.provide(layer))
  })

  it.effect.each(answers)(
    "forgets the credentials when the backend returns %s and a slower read of another key ends afterwards",
    (reason) => {
      const { backend, layer } = setUp()
      return Effect.gen(function* () {
        yield* get()
        backend.answer = (current) => Effect.delay(current, "3 seconds")
        const slow = yield* Effect.forkChild(Effect.exit(refresh(Scopes.make("itwin-platform extra"))), {
          startImmediately: true
        })
        yield* pass(1)
        backend.answer = () => Effect.fail(backendError(reason))
        yield* Effect.flip(refresh())
        yield* pass(2)
        yield* Fiber.join(slow)
        backend.answer = () => Effect.fail(backendError("Unavailable"))
        yield* pass(15)
        assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("forgets the credentials when the backend returns Disabled and a request with them ends afterwards", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* script(Fault.once(Fault.delay("3 seconds")))
      const slow = yield* Effect.forkChild(refresh(Scopes.make("itwin-platform extra")))
      yield* pass(1)
      backend.answer = () => Effect.fail(backendError("Disabled"))
      yield* Effect.flip(refresh())
      yield* pass(2)
      assert.strictEqual((yield* Fiber.join(slow)).tokenType, "Bearer")
      backend.answer = () => Effect.fail(backendError("Unavailable"))
      assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
      yield* pass(15)
      assert.strictEqual(yield* reasonOf(refresh()), "SecretUnavailable")
      yield* assertRequests(1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("uses new credentials when the backend returns them after a failure", () => {
    const { backend, layer } = setUp()
    return Effect.gen(function* () {
      yield* get()
      for (let i = 0; i < 2; i++) {
        backend.answer = () => Effect.fail(backendError("Disabled"))
        yield* Effect.flip(refresh())
        backend.answer = (current) => current
        yield* pass(1.2)
        yield* refresh()
        backend.answer = () => Effect.fail(backendError("Unavailable"))
        yield* refresh()
      }
    }).pipe(Effect.provide(layer))
  })
})
