// The bridge to code with promises. Time is virtual; the promises are real.
import { assert, describe, it } from "@effect/vitest"
import {
  type AccessToken,
  RetryPolicy,
  Scopes,
  SecretProvider,
  ServiceAuthorizationClient,
  TokenCache,
  TokenError
} from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Config, ConfigProvider, Effect, Layer, Logger, Redacted, Tracer } from "effect"
import { vi } from "vitest"
import {
  assertRequests,
  backendError,
  cached,
  down,
  get,
  hard,
  invalidClient,
  makeBackend,
  over,
  pass,
  refresh,
  route,
  script,
  soft,
  toSoft,
  twoScopesApp
} from "./cacheSupport.ts"
import { strings } from "./canary.ts"
import { credentials, type Step, scripted, tokenAnswer } from "./support.ts"

const make = ServiceAuthorizationClient.make
const headerOf = (token: AccessToken.AccessToken) => Redacted.value(token.authorizationHeader)

/** Waits for a promise of the client. */
const of = <A>(promise: () => Promise<A>) => Effect.promise(promise)

const failureOf = (promise: () => Promise<unknown>): Promise<unknown> =>
  promise().then(
    () => assert.fail("it did not reject"),
    (error: unknown) => error
  )

/** Waits for a promise of the client to reject with a `TokenError`, and returns that. */
const rejectionOf = (promise: () => Promise<unknown>) =>
  Effect.map(
    of(() => failureOf(promise)),
    (error) => {
      assert.instanceOf(error, TokenError.TokenError)
      return error
    }
  )

/** A client that records what it reports. */
const recording = Effect.gen(function* () {
  const errors: Array<TokenError.TokenError> = []
  return { client: yield* make({ onError: (error) => errors.push(error) }), errors }
})

interface Line {
  readonly level: string
  readonly text: string
}

/** Records the log lines of level warning and above. */
const recordLog = () => {
  const lines: Array<Line> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    if (logLevel === "Warn" || logLevel === "Error")
      lines.push({ level: logLevel, text: [message, ...cause.reasons.map(String)].join(" ") })
  })
  return { lines, layer: Logger.layer([logger]) }
}

/** Counts how often `get` is run. */
const countingGets = () => {
  const counts = { gets: 0 }
  const layer = Layer.effect(
    TokenCache.TokenCache,
    Effect.map(TokenCache.TokenCache, (cache) => ({
      ...cache,
      get: (scopes?: Scopes.Scopes) =>
        Effect.suspend(() => {
          counts.gets++
          return cache.get(scopes)
        })
    }))
  )
  return { counts, layer: layer.pipe(Layer.provideMerge(cached())) }
}

describe("ServiceAuthorizationClient", () => {
  it.effect(
    "getAccessToken returns the value of the Authorization header when it is passed on without the client",
    () =>
      Effect.gen(function* () {
        const { getAccessToken } = yield* make()
        const header = yield* of(getAccessToken)
        assert.match(header, /^Bearer [\w.-]+$/)
        assert.strictEqual(header, headerOf(yield* get()))
      }).pipe(Effect.provide(cached()))
  )

  it.effect("getAccessToken makes one token request when 100 callers call it at once", () =>
    Effect.gen(function* () {
      const { getAccessToken } = yield* make()
      const headers = yield* of(() => Promise.all(Array.from({ length: 100 }, getAccessToken)))
      assert.strictEqual(new Set(headers).size, 1)
      yield* assertRequests(1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("getAccessToken returns the same promise, and runs no effect, while the token is fresh", () => {
    const { counts, layer } = countingGets()
    return Effect.gen(function* () {
      const { getAccessToken } = yield* make()
      const first = yield* of(getAccessToken)
      assert.strictEqual(counts.gets, 1)
      const kept = getAccessToken()
      assert.strictEqual(yield* of(() => kept), first)
      for (const age of [0, 1000, soft - 1001]) {
        yield* pass(age)
        assert.strictEqual(getAccessToken(), kept)
      }
      assert.strictEqual(counts.gets, 1)
      yield* pass(1)
      assert.notStrictEqual(getAccessToken(), kept)
      assert.strictEqual(counts.gets, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("getAccessToken starts one renewal when the token is due, and then returns the new one", () =>
    Effect.gen(function* () {
      const { getAccessToken } = yield* make()
      const old = yield* of(getAccessToken)
      yield* toSoft
      yield* script(Fault.once(Fault.delay("1 second")))
      const fromMemory = yield* of(() => Promise.all([getAccessToken(), getAccessToken()]))
      assert.deepStrictEqual(fromMemory, [old, old])
      yield* (yield* FakeIms.FakeIms).awaitRequest(route, 2)
      yield* pass(1)
      const renewed = yield* of(getAccessToken)
      assert.notStrictEqual(renewed, old)
      assert.strictEqual(getAccessToken(), getAccessToken())
      assert.strictEqual(yield* of(getAccessToken), renewed)
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("getAccessToken returns the token of another caller of the cache when that renewed it", () =>
    Effect.gen(function* () {
      const { getAccessToken } = yield* make()
      yield* of(getAccessToken)
      assert.strictEqual(yield* of(getAccessToken), headerOf(yield* get()))
      const renewed = yield* refresh()
      assert.strictEqual(yield* of(getAccessToken), headerOf(renewed))
    }).pipe(Effect.provide(cached()))
  )

  it.effect("getAccessToken returns the token of its own scopes when the option is set", () => {
    const scopes = Scopes.make("a")
    return Effect.gen(function* () {
      const client = yield* make({ scopes })
      const header = yield* of(client.getAccessToken)
      assert.strictEqual(header, headerOf(yield* get(scopes)))
      assert.strictEqual(yield* of(client.getAccessToken), header)
      yield* assertRequests(1)
      assert.notStrictEqual(header, headerOf(yield* get()))
    }).pipe(Effect.provide(cached({}, { app: twoScopesApp })))
  })

  it.effect(
    "authorization returns the scheme and the token of the header, without a fiber when the token is fresh",
    () => {
      const { counts, layer } = countingGets()
      return Effect.gen(function* () {
        const { authorization, getAccessToken } = yield* make()
        const { scheme, token } = yield* of(authorization)
        assert.strictEqual(`${scheme} ${token}`, yield* of(getAccessToken))
        yield* of(authorization)
        assert.strictEqual(counts.gets, 1)
      }).pipe(Effect.provide(layer))
    }
  )

  it.effect("links a token request to no span when the client is made within one", () => {
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.gen(function* () {
      const { getAccessToken } = yield* Effect.withSpan(make(), "start of the program")
      yield* of(getAccessToken)
      const request = spans.find(({ name }) => name === "TokenCache.request")
      assert.deepStrictEqual(request?.links, [])
    }).pipe(Effect.provide(cached()), Effect.withTracer(tracer))
  })
})

describe("ServiceAuthorizationClient.replace", () => {
  it.effect("makes one token request when an API returns 401 to each of 300 calls", () =>
    Effect.gen(function* () {
      const { getAccessToken, replace } = yield* make()
      const call = async () => {
        const header = await getAccessToken()
        // The API returns 401 to this header, and to the one that replaces it.
        const another = await replace(header)
        assert.isUndefined(another)
      }
      for (let i = 0; i < 100; i++) yield* of(call)
      yield* of(() => Promise.all(Array.from({ length: 200 }, call)))
      yield* assertRequests(1)
    }).pipe(Effect.provide(TokenCache.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
  )

  it.effect("returns the header of a new token when the rejected one is 30 s old, and makes one request for all", () =>
    Effect.gen(function* () {
      const { getAccessToken, replace } = yield* make()
      const rejected = yield* of(getAccessToken)
      yield* pass(29.999)
      assert.isUndefined(yield* of(() => replace(rejected)))
      yield* pass(0.001)
      const replaced = yield* of(() => Promise.all(Array.from({ length: 100 }, () => replace(rejected))))
      assert.strictEqual(new Set(replaced).size, 1)
      assert.match(replaced[0] ?? "", /^Bearer /)
      assert.notStrictEqual(replaced[0], rejected)
      assert.strictEqual(yield* of(getAccessToken), replaced[0])
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("returns the header of the newer token in memory, without a request", () =>
    Effect.gen(function* () {
      const { authorization, getAccessToken, replace } = yield* make()
      const rejected = yield* of(getAccessToken)
      const newer = headerOf(yield* refresh())
      assert.strictEqual(yield* of(() => replace(rejected)), newer)
      const { token } = yield* of(authorization)
      // Without the scheme, or with another case of it, this is the newest token, which is young.
      for (const same of [newer, token, `bearer ${token}`]) assert.isUndefined(yield* of(() => replace(same)))
      yield* assertRequests(2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("returns undefined, keeps the token and respects the pause when the token request fails", () =>
    Effect.gen(function* () {
      const { client, errors } = yield* recording
      const rejected = yield* of(client.getAccessToken)
      yield* pass(31)
      yield* script(Fault.always(down))
      for (let i = 0; i < 300; i++) assert.isUndefined(yield* of(() => client.replace(rejected)))
      assert.strictEqual(yield* of(client.getAccessToken), rejected)
      yield* assertRequests(2)
      assert.deepStrictEqual(errors, [])
    }).pipe(Effect.provide(cached()))
  )

  it.effect("returns undefined, and reports the failure, when there is no usable token and the request fails", () =>
    Effect.gen(function* () {
      const { client, errors } = yield* recording
      yield* script(Fault.always(invalidClient))
      assert.isUndefined(yield* of(() => client.replace("Bearer fake.token")))
      assert.deepStrictEqual(
        errors.map(({ reason }) => reason._tag),
        ["InvalidClient"]
      )
    }).pipe(Effect.provide(cached()))
  )
})

describe("the failures of ServiceAuthorizationClient", () => {
  it.effect("rejects each call with the TokenError, and reports it once, when callers share it or get it again", () =>
    Effect.gen(function* () {
      const { client, errors } = yield* recording
      yield* script(Fault.always(invalidClient))
      const rejections = yield* Effect.all(
        Array.from({ length: 100 }, () => rejectionOf(client.getAccessToken)),
        { concurrency: "unbounded" }
      )
      for (let i = 0; i < 10; i++) rejections.push(yield* rejectionOf(client.authorization))
      for (const { reason } of rejections) assert.strictEqual(reason._tag, "InvalidClient")
      assert.isDefined(rejections.at(-1)?.nextAttemptIn)
      assert.strictEqual(errors.length, 1)
      assert.strictEqual(errors[0]?.reason, rejections[0]?.reason)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("reports the next failure when another request failed", () =>
    Effect.gen(function* () {
      const { client, errors } = yield* recording
      yield* script(Fault.always(invalidClient))
      for (const [i, seconds] of [2, 3, 5].entries()) {
        yield* rejectionOf(client.getAccessToken)
        yield* rejectionOf(client.getAccessToken)
        assert.strictEqual(errors.length, i + 1)
        yield* pass(seconds)
      }
      yield* script(Fault.always(down))
      yield* rejectionOf(client.getAccessToken)
      assert.strictEqual(errors.at(-1)?.reason._tag, "InvalidClient", "one of the pause")
      yield* pass(60)
      yield* rejectionOf(client.getAccessToken)
      assert.strictEqual(errors.length, 5)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("reports a failure that happened before the first call, when that gets it again during its pause", () =>
    Effect.gen(function* () {
      const { client, errors } = yield* recording
      yield* script(Fault.always(invalidClient))
      yield* Effect.flip(get())
      assert.deepStrictEqual(errors, [])
      const { nextAttemptIn } = yield* rejectionOf(client.getAccessToken)
      assert.isDefined(nextAttemptIn)
      yield* rejectionOf(client.getAccessToken)
      assert.strictEqual(errors.length, 1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("reports nothing while the token in memory serves callers during an outage", () =>
    Effect.gen(function* () {
      const { client, errors } = yield* recording
      const header = yield* of(client.getAccessToken)
      yield* script(Fault.always(down))
      yield* pass(hard)
      for (let i = 0; i < 10; i++) {
        assert.strictEqual(yield* of(client.getAccessToken), header)
        yield* pass(2)
      }
      assert.deepStrictEqual(errors, [])
      yield* pass(60)
      yield* rejectionOf(client.getAccessToken)
      assert.strictEqual(errors.length, 1)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("reports failures of each client that is made", () =>
    Effect.gen(function* () {
      const errors: Array<TokenError.TokenError> = []
      const making = make({ onError: (error) => errors.push(error) })
      const clients = yield* Effect.all([making, making])
      yield* script(Fault.always(invalidClient))
      for (const client of clients) yield* rejectionOf(client.getAccessToken)
      assert.strictEqual(errors.length, 2)
    }).pipe(Effect.provide(cached()))
  )

  it.effect("logs a new failure once, as an error with its message, by default", () => {
    const { layer, lines } = recordLog()
    return Effect.gen(function* () {
      const { getAccessToken } = yield* make()
      yield* script(Fault.always(invalidClient))
      const { message } = yield* rejectionOf(getAccessToken)
      yield* rejectionOf(getAccessToken)
      assert.deepStrictEqual(lines, [
        { level: "Error", text: `ServiceAuthorizationClient returned no access token. ${message}` }
      ])
    }).pipe(Effect.provide([cached(), layer]))
  })

  it.effect("logs the failure, and rejects with it, when onError throws", () => {
    const { layer, lines } = recordLog()
    return Effect.gen(function* () {
      const { getAccessToken } = yield* make({
        onError: () => {
          throw new Error("of onError")
        }
      })
      yield* script(Fault.always(invalidClient))
      assert.strictEqual((yield* rejectionOf(getAccessToken)).reason._tag, "InvalidClient")
      assert.deepStrictEqual(
        lines.map(({ level }) => level),
        ["Error"]
      )
    }).pipe(Effect.provide([cached(), layer]))
  })

  it.effect("rejects with the TokenError when the logger throws", () =>
    Effect.gen(function* () {
      const { getAccessToken } = yield* make()
      yield* script(Fault.always(invalidClient))
      assert.strictEqual((yield* rejectionOf(getAccessToken)).reason._tag, "InvalidClient")
    }).pipe(
      Effect.provide([
        cached(),
        Logger.layer([
          Logger.make(() => {
            throw new Error("of the logger")
          })
        ])
      ])
    )
  )

  it.effect("rejects with SecretUnavailable when the secret can't be read", () => {
    const backend = makeBackend()
    backend.answer = () => Effect.fail(backendError("AccessDenied"))
    return Effect.gen(function* () {
      const { client, errors } = yield* recording
      assert.strictEqual((yield* rejectionOf(client.getAccessToken)).reason._tag, "SecretUnavailable")
      yield* rejectionOf(client.getAccessToken)
      assert.strictEqual(errors.length, 1)
    }).pipe(Effect.provide(over(backend)))
  })
})

const value = "fake.token-bridge_0123456789abcdef"

/** The cache without the fake: a token of known value from a scripted client. */
const scriptedCache = (...steps: ReadonlyArray<Step>) => {
  const { layer, requests } = scripted(...steps)
  const cache = TokenCache.layer.pipe(
    Layer.provide([layer, SecretProvider.layerStatic(credentials), RetryPolicy.layer(RetryPolicy.none)])
  )
  return { layer: cache, requests }
}
const granting = tokenAnswer({ access_token: value })

describe("ServiceAuthorizationClient.fromLayer", () => {
  it("builds the layer at the first call, and once", async () => {
    let builds = 0
    const { layer, requests } = scriptedCache(granting)
    const counted = Layer.tap(layer, () => Effect.sync(() => builds++))
    const { authorization, dispose, getAccessToken } = ServiceAuthorizationClient.fromLayer(counted)
    assert.strictEqual(builds, 0)
    const headers = await Promise.all([getAccessToken(), getAccessToken()])
    assert.deepStrictEqual(headers, [`Bearer ${value}`, `Bearer ${value}`])
    assert.deepStrictEqual(await authorization(), { scheme: "Bearer", token: value })
    assert.strictEqual(getAccessToken(), getAccessToken())
    assert.strictEqual(builds, 1)
    assert.strictEqual(requests.length, 1)
    await dispose()
  })

  it("closes the layer, and rejects with Closed, when it is disposed, also twice", async () => {
    let isClosed = false
    const { layer, requests } = scriptedCache(granting)
    const close = Effect.sync(() => {
      isClosed = true
    })
    const closing = Layer.merge(layer, Layer.effectDiscard(Effect.addFinalizer(() => close)))
    const errors: Array<TokenError.TokenError> = []
    const client = ServiceAuthorizationClient.fromLayer(closing, {
      onError: (error) => TokenError.isTokenError(error) && errors.push(error)
    })
    await client.getAccessToken()
    assert.isFalse(isClosed)
    await client.dispose()
    await client.dispose()
    assert.isTrue(isClosed)
    for (const call of [client.getAccessToken, client.authorization, client.getAccessToken]) {
      const { message, reason } = await Effect.runPromise(rejectionOf(call))
      assert.strictEqual(reason._tag, "Closed")
      assert.notInclude(message, "undefined")
    }
    assert.isUndefined(await client.replace("Bearer fake.token"))
    assert.strictEqual(errors.length, 1)
    assert.strictEqual(requests.length, 1)
  })

  it("closes the layer at the end of the block with await using", async () => {
    const { layer } = scriptedCache(granting)
    const errors: Array<unknown> = []
    const use = async () => {
      await using client = ServiceAuthorizationClient.fromLayer(layer, { onError: (error) => errors.push(error) })
      await client.getAccessToken()
      return client
    }
    const client = await use()
    const { reason } = await Effect.runPromise(rejectionOf(client.getAccessToken))
    assert.strictEqual(reason._tag, "Closed")
  })

  it("rejects with Closed when it is disposed before the first call, during the build and during a request", async () => {
    const onError = () => {}
    const unused = ServiceAuthorizationClient.fromLayer(scriptedCache(granting).layer, { onError })
    await unused.dispose()
    assert.strictEqual((await Effect.runPromise(rejectionOf(unused.getAccessToken))).reason._tag, "Closed")

    const slow = Layer.merge(scriptedCache(granting).layer, Layer.effectDiscard(Effect.never))
    const building = ServiceAuthorizationClient.fromLayer(slow, { onError })
    const first = Effect.runPromise(rejectionOf(building.getAccessToken))
    await building.dispose()
    assert.strictEqual((await first).reason._tag, "Closed")

    const requesting = ServiceAuthorizationClient.fromLayer(scriptedCache(() => Effect.never).layer, { onError })
    const waiting = Effect.runPromise(rejectionOf(requesting.getAccessToken))
    await new Promise((resolve) => setImmediate(resolve))
    await requesting.dispose()
    assert.strictEqual((await waiting).reason._tag, "Closed")
  })

  it("rejects each call with the layer's error, and reports it once, when the layer can't be built", async () => {
    const layer = TokenCache.layer.pipe(
      Layer.provide([scripted(granting).layer, SecretProvider.layerStatic(credentials)]),
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ ITWIN_ENVIRONMENT: "elsewhere" })))
    )
    const errors: Array<unknown> = []
    const client = ServiceAuthorizationClient.fromLayer(layer, { onError: (error) => errors.push(error) })
    for (const call of [client.getAccessToken, client.authorization, () => client.replace("Bearer x")]) {
      const error = await failureOf(call)
      assert.instanceOf(error, Config.ConfigError)
      assert.strictEqual(error, errors[0])
    }
    assert.strictEqual(errors.length, 1)
    await client.dispose()
  })

  it("logs the defect, and rejects with it, when an option of the layer is invalid", async () => {
    const layer = TokenCache.layerWith({ maxKeys: 0 }).pipe(
      Layer.provide([scripted(granting).layer, SecretProvider.layerStatic(credentials)])
    )
    const log = vi.spyOn(console, "log").mockImplementation(() => {})
    await using client = ServiceAuthorizationClient.fromLayer(layer)
    for (let i = 0; i < 2; i++) assert.instanceOf(await failureOf(client.getAccessToken), RangeError)
    const lines = log.mock.calls.map(String)
    log.mockRestore()
    assert.strictEqual(lines.length, 1)
    assert.match(lines[0] ?? "", /ERROR.*could not be built.*maxKeys must be an integer of at least 1/s)
  })

  it("reports one failure once, also when the callers arrive before the layer is built", async () => {
    const { layer } = scriptedCache(() =>
      Effect.delay(Effect.succeed(new Response(null, { status: 500 })), "10 millis")
    )
    const errors: Array<unknown> = []
    const client = ServiceAuthorizationClient.fromLayer(layer, { onError: (error) => errors.push(error) })
    const calls = Array.from({ length: 10 }, () => Effect.runPromise(rejectionOf(client.getAccessToken)))
    for (const { reason } of await Promise.all(calls)) assert.strictEqual(reason._tag, "ServerError")
    assert.strictEqual(errors.length, 1)
    await client.dispose()
  })
})

describe("the secrecy of ServiceAuthorizationClient", () => {
  const search = (thing: unknown) => {
    for (const text of strings(thing)) assert.notInclude(text, value)
  }

  it.effect("shows no token when a client of make is printed in any way", () =>
    Effect.gen(function* () {
      const client = yield* make()
      yield* of(client.getAccessToken)
      yield* of(client.getAccessToken)
      yield* of(client.authorization)
      search(client)
      for (const method of Object.values(client)) search(method)
    }).pipe(Effect.provide(scriptedCache(granting).layer))
  )

  it("shows no token when a client of fromLayer is printed in any way", async () => {
    await using client = ServiceAuthorizationClient.fromLayer(scriptedCache(granting).layer)
    await client.getAccessToken()
    const kept = client.getAccessToken()
    await kept
    search(client)
    for (const method of Object.values(client)) search(method)
    // The promise itself shows it, so no field may hold it.
    assert.throws(() => search(kept))
  })
})
