// The pause after a failed request, as a pure module.
import { assert, describe, it } from "@effect/vitest"
import { SecretProviderError, TokenError } from "@effect-itwin/core"
import { Duration, Effect, Schema } from "effect"
import { type Backoff, makeBackoff, type Pause, replay } from "../src/internal/life/backoff.ts"

const errorOf = (reason: TokenError.TokenErrorReason) =>
  new TokenError.TokenError({ reason, endpoint: "https://ims.example/t" })
const unread = (reason: SecretProviderError.SecretProviderErrorReason) =>
  errorOf(new TokenError.SecretUnavailable({ error: new SecretProviderError.SecretProviderError({ reason }) }))
const fields = { provider: "Vault", secretName: "itwin" }

const passing = errorOf(new TokenError.ServerError({ status: 500 }))
const lasting = errorOf(new TokenError.InvalidRequest({ description: undefined }))
const stated = (seconds: number) =>
  errorOf(new TokenError.ServerError({ status: 503, retryAfter: Duration.seconds(seconds) }))

const make = (replays = true) => makeBackoff<string>({ replays })

/** Fails at `now` a request that began at that time. Returns the length of the pause. */
const fail = (
  backoff: Backoff<string>,
  error: TokenError.TokenError,
  now: number,
  { key = "a", random = 0, startedAt = now } = {}
) => {
  backoff.failed(key, { error, startedAt, now, random })
  return (backoff.holding(key, now)?.until ?? now) - now
}

/** The pauses when each request begins at the end of the pause before it. */
const pausesOf = (error: TokenError.TokenError, count: number, backoff = make(), random = 0) => {
  let now = 0
  return Array.from({ length: count }, () => {
    const pause = fail(backoff, error, now, { random })
    now += pause
    return pause / 1000
  })
}

describe("the pause after a failure", () => {
  it.each<readonly [string, TokenError.TokenError]>([
    ["500", passing],
    ["a timeout", errorOf(new TokenError.Timeout({ limit: Duration.seconds(15) }))],
    ["a lost connection", errorOf(new TokenError.Transport({ kind: "reset", code: "ECONNRESET" }))],
    ["an unknown host", errorOf(new TokenError.Transport({ kind: "dns", code: "ENOTFOUND" }))],
    ["an expired certificate", errorOf(new TokenError.Transport({ kind: "tls", code: "CERT_HAS_EXPIRED" }))],
    ["an unreachable backend", unread(new SecretProviderError.Unavailable(fields))],
    ["a backend that throttles", unread(new SecretProviderError.Throttled(fields))]
  ])("makes pauses of 1, 2, 4, 8, 10, 10 s when the failure may pass: %s", (_name, error) => {
    assert.deepStrictEqual(pausesOf(error, 7), [1, 2, 4, 8, 10, 10, 10])
  })

  it.each<readonly [string, TokenError.TokenError]>([
    ["invalid_request", lasting],
    ["invalid_client", errorOf(new TokenError.InvalidClient({ description: undefined }))],
    ["a 429 without a stated wait", errorOf(new TokenError.RateLimited({ retryAfter: undefined }))],
    ["a redirect", errorOf(new TokenError.RedirectRefused({ origin: undefined, followed: false }))],
    ["a defect", errorOf(new TokenError.Defect({ module: "HttpClient", errorName: "TypeError", frames: [] }))],
    ["a disabled secret", unread(new SecretProviderError.Disabled(fields))],
    ["a secret that is not found", unread(new SecretProviderError.NotFound(fields))],
    ["a provider that throws", unread(new SecretProviderError.Defect({ ...fields, errorName: "Error", frames: [] }))]
  ])("makes pauses of 1, 2, 4, 8, 16, 32, 60, 60 s when the failure lasts: %s", (_name, error) => {
    assert.deepStrictEqual(pausesOf(error, 8), [1, 2, 4, 8, 16, 32, 60, 60])
  })

  it("limits the pause to 10 s when a failure that may pass follows one that lasts", () => {
    const backoff = make()
    pausesOf(lasting, 6, backoff)
    assert.strictEqual(fail(backoff, passing, 1e6), 10_000)
  })

  it("begins with a pause of 1 s again after a success", () => {
    const backoff = make()
    pausesOf(passing, 5, backoff)
    backoff.succeeded("a", 1e9)
    assert.isUndefined(backoff.last("a"))
    assert.deepStrictEqual(pausesOf(passing, 3, backoff), [1, 2, 4])
  })

  it("does not double the pause when the request began before it", () => {
    const backoff = make()
    fail(backoff, lasting, 1_000)
    assert.strictEqual(fail(backoff, lasting, 1_500, { startedAt: 500 }), 1_000)
    assert.strictEqual(fail(backoff, lasting, 5_000), 2_000)
  })

  it.effect.prop(
    "prolongs the pause by at most 20 %, and never shortens it, when it is jittered",
    [Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999999 }))],
    ([random]) =>
      Effect.sync(() => {
        const exact = pausesOf(lasting, 8)
        for (const [i, pause] of pausesOf(lasting, 8, make(), random).entries()) {
          assert.approximately(pause, (exact[i] ?? 0) * (1 + 0.2 * random), 1e-9)
        }
      })
  )

  it("doubles the length of the pause without its jitter", () => {
    const backoff = make()
    assert.strictEqual(fail(backoff, passing, 0, { random: 0.5 }), 1_100)
    assert.strictEqual(fail(backoff, passing, 10_000), 2_000)
  })

  it("makes pauses of 1 s, however often a request fails, when failures are not replayed", () => {
    assert.deepStrictEqual(pausesOf(lasting, 4, make(false)), [1, 1, 1, 1])
    assert.deepStrictEqual(pausesOf(passing, 4, make(false)), [1, 1, 1, 1])
  })
})

describe("a wait that a server stated", () => {
  it.each([
    [30, 30],
    [600, 600],
    [900, 900],
    [901, 900],
    [86_400, 900]
  ])("turns a stated wait of %i s into a pause of %i s", (seconds, expected) => {
    assert.strictEqual(fail(make(), stated(seconds), 0), expected * 1000)
  })

  it("respects a stated wait as often as it is stated", () => {
    assert.deepStrictEqual(pausesOf(stated(60), 3), [60, 60, 60])
  })

  it("does not shorten the pause when a stated wait is shorter", () => {
    assert.deepStrictEqual(pausesOf(stated(3), 5), [3, 3, 4, 8, 10])
  })

  it("prolongs a stated wait by at most 20 %, and never shortens it", () => {
    assert.strictEqual(fail(make(), stated(60), 0, { random: 0 }), 60_000)
    assert.approximately(fail(make(), stated(60), 0, { random: 0.999999 }), 72_000, 1)
  })

  it("respects a stated wait when failures are not replayed", () => {
    assert.deepStrictEqual(pausesOf(stated(60), 3, make(false)), [60, 60, 60])
  })

  it("counts a wait of 0 s as not stated", () => {
    const backoff = make()
    fail(backoff, stated(0), 0)
    assert.deepInclude(backoff.holding("a", 0), { statedUntil: 0, until: 1_000 })
  })

  it("respects a wait that the secret backend stated", () => {
    const error = unread(new SecretProviderError.Throttled({ ...fields, retryAfter: Duration.seconds(60) }))
    const backoff = make()
    fail(backoff, error, 0)
    assert.deepInclude(backoff.holding("a", 0), { statedUntil: 60_000, until: 60_000 })
  })
})

describe("the keys of a pause", () => {
  it.each<readonly [string, TokenError.TokenError]>([
    ["500", passing],
    ["invalid_scope", errorOf(new TokenError.InvalidScope({ scopes: "a", description: undefined }))],
    ["invalid_request", lasting],
    ["a lost connection", errorOf(new TokenError.Transport({ kind: "reset", code: undefined }))]
  ])("holds the pause for the failed key only after %s", (_name, error) => {
    const backoff = make()
    fail(backoff, error, 0)
    assert.isDefined(backoff.holding("a", 0))
    assert.isUndefined(backoff.holding("b", 0))
    assert.deepStrictEqual(backoff.keys(), ["a"])
  })

  it.each<readonly [string, TokenError.TokenError]>([
    ["an unreadable secret", unread(new SecretProviderError.NotFound(fields))],
    ["invalid_client", errorOf(new TokenError.InvalidClient({ description: undefined }))],
    ["unauthorized_client", errorOf(new TokenError.UnauthorizedClient({ description: undefined }))],
    ["429", errorOf(new TokenError.RateLimited({ retryAfter: undefined }))],
    ["a stated wait", stated(30)]
  ])("holds the pause for every key after %s", (_name, error) => {
    const backoff = make()
    fail(backoff, error, 0)
    assert.strictEqual(backoff.holding("b", 0)?.error, error)
    assert.strictEqual(backoff.last("b")?.error, error)
  })

  it("holds the pause that ends later when one of the key and one of all keys hold", () => {
    const backoff = make()
    fail(backoff, stated(30), 0)
    fail(backoff, passing, 0)
    assert.strictEqual(backoff.holding("a", 0)?.until, 30_000)
    const other = make()
    fail(other, stated(30), 0)
    other.failed("a", { error: passing, startedAt: 29_500, now: 29_500, random: 0 })
    assert.strictEqual(other.holding("a", 29_500)?.error, passing)
    assert.isAbove(other.holding("a", 29_500)?.until ?? 0, 30_000)
  })

  it("keeps the longer pause of all keys when two keys fail at the same time", () => {
    const backoff = make()
    fail(backoff, stated(60), 0)
    fail(backoff, errorOf(new TokenError.InvalidClient({ description: undefined })), 0, { key: "b" })
    assert.strictEqual(backoff.holding("b", 0)?.until, 60_000)
  })

  it("ends a pause at its last millisecond", () => {
    const backoff = make()
    fail(backoff, passing, 0)
    assert.isDefined(backoff.holding("a", 999))
    assert.isUndefined(backoff.holding("a", 1_000))
    assert.isDefined(backoff.last("a"))
  })

  it("remembers the pause of every key that failed, whatever their number", () => {
    const backoff = make()
    const keys = Array.from({ length: 5_000 }, (_, n) => `key ${n}`)
    for (const key of keys) fail(backoff, passing, 0, { key })
    for (const key of keys) assert.isDefined(backoff.holding(key, 999))
  })

  it("forgets a pause a minute after its end when another key fails", () => {
    const backoff = make()
    fail(backoff, passing, 0, { key: "a" })
    fail(backoff, passing, 60_999, { key: "b" })
    assert.deepStrictEqual(backoff.keys(), ["a", "b"])
    fail(backoff, passing, 61_000, { key: "c" })
    assert.deepStrictEqual(backoff.keys(), ["b", "c"])
  })

  /** Like `refresh`: a pause that no server stated blocks for 10 s only. */
  const insisting =
    (now: number) =>
    ({ from, statedUntil }: Pause) =>
      now < statedUntil || now - from < 10_000

  it("blocks refresh again after each failure, even when an earlier pause ends later", () => {
    const backoff = make()
    const invalidClient = errorOf(new TokenError.InvalidClient({}))
    pausesOf(invalidClient, 7, backoff)
    const { from = 0, until = 0 } = backoff.last("a") ?? {}
    const vaultDown = unread(new SecretProviderError.Unavailable(fields))
    fail(backoff, vaultDown, from + 10_000)
    assert.isDefined(backoff.holding("a", from + 19_999, insisting(from + 19_999)))
    assert.isUndefined(backoff.holding("a", from + 20_000, insisting(from + 20_000)))
    assert.strictEqual(backoff.holding("a", from + 20_000)?.until, until)
  })

  it("keeps a stated wait for all keys when an unstated pause of the key ends later", () => {
    const backoff = make()
    pausesOf(errorOf(new TokenError.InvalidScope({ scopes: "a" })), 7, backoff)
    const { from = 0 } = backoff.last("a") ?? {}
    fail(backoff, stated(20), from + 5_000, { key: "b" })
    assert.isDefined(backoff.holding("a", from + 24_999, insisting(from + 24_999)))
    assert.isUndefined(backoff.holding("a", from + 25_000, insisting(from + 25_000)))
  })

  it("holds, but is followed by a first pause, when a request succeeds that was in progress", () => {
    const backoff = make()
    assert.deepStrictEqual(pausesOf(stated(1), 4, backoff), [1, 2, 4, 8])
    const { from = 0, until = 0 } = backoff.last("a") ?? {}
    backoff.succeeded("b", from)
    assert.isDefined(backoff.holding("a", until - 1))
    assert.isUndefined(backoff.last("a"))
    assert.strictEqual(fail(backoff, stated(1), until), 1_000)
  })

  it("says how long the pause holds when the failure is replayed", () => {
    const backoff = make()
    fail(backoff, stated(30), 0)
    const pause = backoff.holding("a", 12_000.5)
    assert.isDefined(pause)
    if (pause === undefined) return
    const told = replay(pause, 12_000.5)
    assert.deepStrictEqual(told.reason, pause.error.reason)
    assert.deepStrictEqual(told.nextAttemptIn, Duration.millis(18_000))
  })

  it("forgets the oldest pauses when there are more keys than it may remember, and those of forgotten keys", () => {
    const backoff = makeBackoff<string>({ replays: true, capacity: 3 })
    for (const key of ["a", "b", "c", "d", "e"]) fail(backoff, lasting, 0, { key })
    assert.deepStrictEqual(backoff.keys(), ["c", "d", "e"])
    backoff.forget("d")
    assert.deepStrictEqual(backoff.keys(), ["c", "e"])
    assert.isUndefined(backoff.holding("d", 0))
  })
})
