import { assert, describe, it } from "@effect/vitest"
import { Environment } from "@effect-itwin/core"
import { AccessTokenVerifier, type VerificationError } from "@effect-itwin/verify"
import { Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { HttpClientError, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { type Answer, clientId, ims, json, jwksUrl, keySet, outcome, rsaKey, token, verify } from "./support.ts"

const first = rsaKey("key-1")
const second = rsaKey("key-2")
const day = 24 * 3600

/** A token that is valid for years, so that only its key matters. */
const lasting = (key = first) => token(key, { exp: 10 * 365 * day })

const verifier = (server: ReturnType<typeof ims>, options: Partial<AccessTokenVerifier.Options> = {}) =>
  AccessTokenVerifier.layer({ clientIds: [clientId], ...options }).pipe(Layer.provide(server.layer))

const broken: Answer = () =>
  Effect.fail(
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({
        request: HttpClientRequest.get(jwksUrl),
        cause: Object.assign(new Error("x"), { code: "ECONNREFUSED" })
      })
    })
  )

const detailOf = ({ reason }: VerificationError.VerificationError): string => ("detail" in reason ? reason.detail : "")

/** Waits until the read in the background has ended. It has no promise, but is not a child of the test's fiber. */
const settle = Effect.repeat(Effect.yieldNow, { times: 20 })

describe("the keys of IMS", () => {
  it.effect("are read once when many callers need them at the same time", () => {
    const server = ims(json(keySet(first)))
    return Effect.gen(function* () {
      assert.lengthOf(server.state.requests, 0)
      const outcomes = yield* Effect.all(
        Array.from({ length: 50 }, (_, n) => outcome(token(first, { jti: `fake-${n}` }))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual([...new Set(outcomes)], ["accepted"])
      assert.lengthOf(server.state.requests, 1)
      assert.strictEqual(server.state.requests[0]?.url, jwksUrl)
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("are read in spite of the interruption of the caller that started it", () => {
    const server = ims(() => Effect.delay(Effect.sync(json(keySet(first)) as () => Response), "1 second"))
    return Effect.gen(function* () {
      const gone = yield* Effect.forkChild(verify(lasting()))
      const waiting = yield* Effect.forkChild(outcome(lasting()))
      yield* settle
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiting), "accepted")
      assert.lengthOf(server.state.requests, 1)
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect.each<readonly [cacheControl: string | undefined, seconds: number]>([
    [undefined, 3600],
    ["max-age=7200", 7200],
    ["public, max-age=7200", 7200],
    ["max-age=1", 300],
    ["no-store", 300],
    ["no-cache, max-age=7200", 300],
    ["max-age=99999999999999999999", 12 * 3600],
    ["private", 3600]
  ])("are read again in the background when Cache-Control is %s and %d s have passed", ([cacheControl, seconds]) => {
    const headers = cacheControl === undefined ? {} : { "cache-control": cacheControl }
    const server = ims(json(keySet(first), { headers }))
    return Effect.gen(function* () {
      yield* verify(lasting())
      yield* TestClock.adjust(Duration.seconds(seconds - 1))
      yield* verify(lasting())
      yield* settle
      assert.lengthOf(server.state.requests, 1)
      server.state.answer = () => Effect.never
      yield* TestClock.adjust("1 second")
      // The read hangs, and no caller waits for it.
      yield* verify(lasting())
      yield* verify(token(first, { exp: 10 * 365 * day, jti: "fake-new" }))
      yield* settle
      assert.lengthOf(server.state.requests, 2)
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("serve for 24 hours while IMS is unreachable, and no longer", () => {
    const server = ims(json(keySet(first)))
    return Effect.gen(function* () {
      yield* verify(lasting())
      server.state.answer = broken
      yield* TestClock.adjust(Duration.seconds(day - 1))
      assert.strictEqual(yield* outcome(lasting()), "accepted")
      yield* settle
      // Neither a kept result nor the keys serve any longer.
      yield* TestClock.adjust("2 minutes")
      const error = yield* Effect.flip(verify(lasting()))
      assert.strictEqual(error.reason._tag, "KeysUnavailable")
      assert.strictEqual(detailOf(error), "refused the connection (ECONNREFUSED)")
      server.state.answer = json(keySet(first))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* outcome(lasting()), "accepted")
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("are replaced during a rotation with overlap, and a kept result ends with its key", () => {
    const server = ims(json(keySet(first)))
    return Effect.gen(function* () {
      assert.strictEqual(yield* outcome(lasting(first)), "accepted")
      server.state.answer = json(keySet(second, first))
      assert.strictEqual(yield* outcome(lasting(second)), "accepted")
      assert.lengthOf(server.state.requests, 2)
      assert.strictEqual(yield* outcome(lasting(first)), "accepted")
      assert.strictEqual(yield* outcome(lasting(second)), "accepted")
      assert.lengthOf(server.state.requests, 2)
      server.state.answer = json(keySet(second))
      yield* TestClock.adjust("1 hour")
      yield* verify(lasting(second))
      yield* settle
      assert.lengthOf(server.state.requests, 3)
      assert.strictEqual(yield* outcome(lasting(first)), "BadSignature")
      assert.strictEqual(yield* outcome(lasting(second)), "accepted")
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("reject a kept result when a key with the same id has other numbers", () => {
    const server = ims(json(keySet(first)))
    return Effect.gen(function* () {
      yield* verify(lasting())
      server.state.answer = json(keySet({ ...second, jwk: { ...second.jwk, kid: first.kid } }))
      yield* TestClock.adjust("1 hour")
      yield* verify(lasting())
      yield* settle
      assert.strictEqual(yield* outcome(lasting()), "BadSignature")
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("are read at most once a minute for unknown key ids", () => {
    const server = ims(json(keySet(first)))
    let n = 0
    const unknown = Effect.suspend(() => outcome(token({ ...second, kid: `unknown-${n++}` })))
    return Effect.gen(function* () {
      yield* verify(lasting())
      for (let minute = 0; minute < 3; minute++) {
        for (let second = 0; second < 60; second++) {
          assert.strictEqual(yield* unknown, "BadSignature")
          yield* TestClock.adjust("1 second")
        }
        assert.lengthOf(server.state.requests, 2 + minute)
      }
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("are unavailable for unknown key ids while IMS is unreachable, and still serve for known ones", () => {
    const server = ims(json(keySet(first)))
    return Effect.gen(function* () {
      yield* verify(lasting())
      server.state.answer = broken
      for (let second = 0; second < 59; second++) {
        const error = yield* Effect.flip(verify(token({ ...first, kid: `unknown-${second}` })))
        assert.strictEqual(error.reason._tag, "KeysUnavailable")
        assert.isTrue(error.isRetryable)
        assert.strictEqual(yield* outcome(lasting()), "accepted")
        yield* TestClock.adjust("1 second")
      }
      assert.lengthOf(server.state.requests, 2)
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("are requested with a growing pause when no read succeeds", () => {
    const server = ims(broken)
    return Effect.gen(function* () {
      const waits: Array<number | undefined> = []
      for (let second = 0; second < 600; second++) {
        const error = yield* Effect.flip(verify(lasting()))
        if (second < 4) waits.push(error.retryAfter === undefined ? undefined : Duration.toSeconds(error.retryAfter))
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(waits, [1, 2, 1, 4])
      // 1, 2, 4, 8, 16 and 32 s, and then a minute.
      assert.lengthOf(server.state.requests, 15)
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("are not requested before the time that IMS stated", () => {
    const server = ims(() => new Response(null, { status: 503, headers: { "retry-after": "30" } }))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(verify(lasting()))
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(30))
      server.state.answer = json(keySet(first))
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* outcome(lasting()), "KeysUnavailable")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* outcome(lasting()), "accepted")
      // The failure is forgotten, so an unknown key is known to be unknown.
      assert.strictEqual(yield* outcome(token({ ...first, kid: "unknown-1" })), "BadSignature")
      assert.strictEqual(yield* outcome(token({ ...first, kid: "unknown-2" })), "BadSignature")
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("are requested with a growing pause while the old ones serve", () => {
    const server = ims(json(keySet(first)))
    return Effect.gen(function* () {
      yield* verify(lasting())
      yield* TestClock.adjust("1 hour")
      server.state.answer = broken
      for (let second = 0; second < 60; second++) {
        assert.strictEqual(yield* outcome(lasting()), "accepted")
        yield* settle
        yield* TestClock.adjust("1 second")
      }
      // The first read, and then after 0, 1, 3, 7, 15 and 31 s.
      assert.lengthOf(server.state.requests, 7)
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("do not end a kept result when they are read again and are the same", () => {
    const server = ims(json(keySet(first)))
    return Effect.gen(function* () {
      const kept = yield* verify(lasting())
      yield* TestClock.adjust("1 hour")
      yield* verify(lasting())
      yield* settle
      assert.lengthOf(server.state.requests, 2)
      assert.strictEqual(yield* verify(lasting()), kept)
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect.each<readonly [name: string, answer: Answer, detail: string]>([
    ["the status is 404", () => new Response(null, { status: 404 }), "returned status 404"],
    ["the key set is larger than 256 KiB", () => new Response("x".repeat(300_000)), "returned more than 256 KiB"],
    ["the key set is not JSON", () => new Response("<html>"), "returned something other than a key set"],
    ["no key can be used", json({ keys: [] }), "returned no key that can be used"],
    [
      "the endpoint redirects",
      () => new Response(null, { status: 302, headers: { location: "https://attacker.example/jwks" } }),
      "redirects"
    ],
    [
      "the HttpClient throws",
      () => {
        throw new TypeError("fake-secret-a+b/c=")
      },
      "was not reached, because the HttpClient of this program threw a TypeError"
    ]
  ])("are unavailable when %s", ([_name, answer, detail]) => {
    const server = ims(answer)
    return Effect.gen(function* () {
      const error = yield* Effect.flip(verify(lasting()))
      assert.strictEqual(error.reason._tag, "KeysUnavailable")
      assert.include(detailOf(error), detail)
      assert.notInclude(error.message, "fake-secret")
      assert.include(error.message, jwksUrl)
      assert.lengthOf(server.state.requests, 1)
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect.each<readonly [name: string, answer: Answer]>([
    ["the request hangs", () => Effect.never],
    ["the body hangs", () => new Response(new ReadableStream({ start: (body) => body.enqueue(new Uint8Array(1)) }))]
  ])("are unavailable after 5 s when %s", ([_name, answer]) => {
    const server = ims(answer)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(verify(lasting())))
      yield* settle
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(detailOf(yield* Fiber.join(fiber)), "did not complete its response within 5 s")
    }).pipe(Effect.provide(verifier(server)))
  })

  it.effect("are unavailable when the layer is closed during the read", () => {
    const server = ims(() => Effect.never)
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(verifier(server), scope)
      const fiber = yield* Effect.forkChild(Effect.flip(verify(lasting()).pipe(Effect.provide(context))))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "KeysUnavailable")
    })
  })

  it.effect("belong to the issuer of the environment", () => {
    const environment = Environment.custom({ ...Environment.production, issuer: "https://issuer.example/tenant" })
    const layer = AccessTokenVerifier.layer({ clientIds: [clientId] }).pipe(
      Layer.provide(Environment.layer(environment)),
      Layer.provide(ims(json(keySet(first))).layer)
    )
    return Effect.gen(function* () {
      assert.strictEqual(yield* outcome(token(first, { iss: "https://issuer.example/tenant" })), "accepted")
      assert.strictEqual(yield* outcome(token(first)), "WrongIssuer")
    }).pipe(Effect.provide(layer))
  })

  it.effect("come from the URL in the options, and the issuer too", () => {
    const server = ims(json(keySet(first)))
    const keySetUrl = "https://keys.example/jwks"
    return Effect.gen(function* () {
      assert.strictEqual(yield* outcome(token(first, { iss: "https://issuer.example" })), "accepted")
      assert.strictEqual(server.state.requests[0]?.url, keySetUrl)
      assert.isUndefined(server.state.requests[0]?.headers.authorization)
    }).pipe(Effect.provide(verifier(server, { keySetUrl, issuer: "https://issuer.example" })))
  })
})

describe("a token that is rejected by its form", () => {
  it.effect.each<readonly [name: string, token: string]>([
    ["it is not a JWT", "fake-token"],
    ["its algorithm is not accepted", token(first, {}, { alg: "RS512" })],
    ["its algorithm has a shared secret", token(first, {}, { alg: "HS256" })],
    ["it has a critical extension", token(first, {}, { crit: ["exp"] })],
    ["it does not name a key", token(first, {}, { kid: undefined })]
  ])("causes no request to IMS when %s", ([_name, text]) => {
    const server = ims(json(keySet(first)))
    return Effect.gen(function* () {
      assert.notStrictEqual(yield* outcome(text), "accepted")
      assert.lengthOf(server.state.requests, 0)
    }).pipe(Effect.provide(verifier(server)))
  })
})

describe("AccessTokenVerifier.layer", () => {
  it.effect.each<readonly [name: string, options: Partial<AccessTokenVerifier.Options>, expected: RegExp]>([
    ["clientIds is empty", { clientIds: [] }, /^clientIds must/],
    ["a client id is empty", { clientIds: [""] }, /^clientIds must/],
    ["clientIds is one text", { clientIds: "service-Ab12" as unknown as [] }, /^clientIds must/],
    ["audiences is empty", { audiences: [] }, /^audiences must/],
    ["algorithms is empty", { algorithms: [] }, /^algorithms must/],
    ["an algorithm has a shared secret", { algorithms: ["HS256" as "RS256"] }, /^algorithms must/],
    ["an algorithm is none", { algorithms: ["none" as "RS256"] }, /^algorithms must/],
    ["clockTolerance is negative", { clockTolerance: "-1 seconds" as "1 second" }, /^clockTolerance must/],
    ["clockTolerance is longer than 5 min", { clockTolerance: "6 minutes" }, /^clockTolerance must/],
    ["a scope has a quote", { scopes: ['a"b'] }, /scope tokens/],
    ["keySetUrl is http", { keySetUrl: "http://keys.example/jwks" }, /^keySetUrl must be an https URL/],
    ["keySetUrl has user info", { keySetUrl: "https://a:b@keys.example/jwks" }, /^keySetUrl must be a URL without/]
  ])("dies when %s", ([_name, options, expected]) =>
    Effect.gen(function* () {
      const server = ims(json(keySet(first)))
      const defect = yield* Layer.build(verifier(server, options)).pipe(
        Effect.scoped,
        Effect.catchDefect((defect) => Effect.succeed(defect))
      )
      assert.match(defect instanceof Error ? defect.message : "", expected)
      assert.lengthOf(server.state.requests, 0)
    })
  )
})
