// The age of a token is the larger of its ages on the wall clock and the monotonic clock. Here one of them jumps.
import { assert, describe, it } from "@effect/vitest"
import { TokenCache } from "@effect-itwin/core"
import { Fault } from "@effect-itwin/testing"
import { Clock, Effect, Layer, Option } from "effect"
import {
  assertRequests,
  cached,
  clear,
  down,
  during,
  get,
  invalidClient,
  last,
  nextAttemptIn,
  pass,
  script,
  soft
} from "./cacheSupport.ts"

/** The test clock, with a wall clock that can be set. */
const makeClocks = () => {
  let wallOffset = 0
  const layer = Layer.effect(
    Clock.Clock,
    Effect.map(Clock.Clock, (clock): Clock.Clock => {
      const wall = () => clock.currentTimeMillisUnsafe() + wallOffset
      const wallNanos = () => clock.currentTimeNanosUnsafe() + BigInt(Math.round(wallOffset * 1e6))
      return {
        // Includes `adjust` of the test clock.
        ...clock,
        currentTimeMillisUnsafe: wall,
        currentTimeMillis: Effect.sync(wall),
        currentTimeNanosUnsafe: wallNanos,
        currentTimeNanos: Effect.sync(wallNanos)
      }
    })
  )
  /** Moves the wall clock by so many seconds. The monotonic clock does not move. */
  const setWall = (seconds: number) =>
    Effect.sync(() => {
      wallOffset += seconds * 1000
    })
  // While a machine sleeps, its monotonic clock may stand still.
  return { layer, setWall, sleep: setWall }
}

const setUp = (options?: TokenCache.Options) => {
  const clocks = makeClocks()
  return { ...clocks, app: cached(options).pipe(Layer.provideMerge(clocks.layer)) }
}

const day = 86_400

describe("a wall clock that is set back", () => {
  it.effect("never returns an expired token when the wall clock is set back by a second or by a day", () => {
    const { app, setWall } = setUp()
    return Effect.gen(function* () {
      yield* pass(2 * day)
      yield* get()
      yield* pass(last)
      yield* script(Fault.always(down))
      for (const back of [1, 60, 3600, day]) {
        yield* setWall(-back)
        yield* pass(20)
        assert.strictEqual((yield* Effect.flip(get())).reason._tag, "ServerError")
        assert.isUndefined((yield* TokenCache.TokenCache).peekUnsafe())
      }
    }).pipe(Effect.provide(app))
  })

  it.effect("notices the age of a token within a second when the wall clock is set back", () => {
    const { app, setWall } = setUp()
    return Effect.gen(function* () {
      yield* pass(2 * day)
      const token = yield* get()
      yield* pass(soft - 1.5)
      assert.strictEqual(yield* get(), token)
      yield* pass(0.9)
      yield* setWall(-0.9)
      // From here on, only the wall clock is 0.9 s behind.
      yield* pass(0.9)
      yield* get()
      yield* assertRequests(1)
      yield* pass(0.1)
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(app))
  })

  it.effect("keeps a token due when the wall clock is set back", () => {
    const { app, setWall } = setUp()
    return Effect.gen(function* () {
      yield* pass(2 * day)
      const token = yield* get()
      yield* pass(soft)
      yield* setWall(-soft / 2)
      assert.isUndefined((yield* TokenCache.TokenCache).peekUnsafe())
      assert.strictEqual(yield* get(), token)
      yield* assertRequests(2)
    }).pipe(Effect.provide(app))
  })

  it.effect("makes callers wait for a new token when the wall clock is before the start of the old one's life", () => {
    const { app, setWall } = setUp()
    return Effect.gen(function* () {
      yield* pass(2 * day)
      const old = yield* get()
      yield* setWall(-day)
      assert.isUndefined((yield* TokenCache.TokenCache).peekUnsafe())
      yield* script(Fault.once(Fault.delay("2 seconds")))
      const renewed = yield* during(2, get())
      assert.notStrictEqual(renewed, old)
      assert.strictEqual(yield* get(), renewed)
      yield* assertRequests(2)
    }).pipe(Effect.provide(app))
  })

  it.effect(
    "returns the old token until it expires when the wall clock is before its start and the request fails",
    () => {
      const { app, setWall } = setUp()
      return Effect.gen(function* () {
        yield* pass(2 * day)
        const old = yield* get()
        yield* setWall(-day)
        yield* script(Fault.always(down))
        for (let i = 0; i < 5; i++) {
          assert.strictEqual(yield* get(), old)
          yield* pass(15)
        }
        yield* pass(last)
        yield* Effect.flip(get())
        yield* clear
        yield* pass(15)
        assert.notStrictEqual(yield* get(), old)
      }).pipe(Effect.provide(app))
    }
  )

  it.effect.each<readonly [string, Fault.Fault]>([
    ["500", down],
    ["invalid_client", invalidClient],
    ["429 with Retry-After", Fault.rateLimit(60)]
  ])("does not prolong the pause after %s when the wall clock is set back", ([_name, fault]) => {
    const { app, setWall } = setUp()
    return Effect.gen(function* () {
      yield* pass(2 * day)
      yield* script(Fault.once(fault))
      yield* Effect.flip(get())
      const left = nextAttemptIn(yield* Effect.flip(get())) ?? 0
      yield* setWall(-day)
      assert.strictEqual(nextAttemptIn(yield* Effect.flip(get())), left)
      yield* pass(left)
      yield* get()
      yield* assertRequests(2)
    }).pipe(Effect.provide(app))
  })

  it.effect("replaces a token when the wall clock is set back", () => {
    const { app, setWall } = setUp()
    return Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      yield* pass(2 * day)
      const old = yield* get()
      yield* pass(31)
      yield* setWall(-day)
      assert.isTrue(Option.isSome(yield* cache.replace(old)))
      yield* assertRequests(2)
    }).pipe(Effect.provide(app))
  })

  it.effect("replaces a token that is not in memory any more when the wall clock is set back", () => {
    const { app, setWall } = setUp()
    return Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      yield* pass(2 * day)
      const old = yield* get()
      yield* pass(31)
      yield* cache.invalidate(old)
      yield* setWall(-day)
      assert.isTrue(Option.isSome(yield* cache.replace(old)))
      yield* assertRequests(2)
    }).pipe(Effect.provide(app))
  })
})

describe("a wall clock that is set forward", () => {
  it.effect("makes callers wait for a new token when the wall clock is set forward past the old one's expiry", () => {
    const { app, setWall } = setUp()
    return Effect.gen(function* () {
      const old = yield* get()
      yield* setWall(day)
      const renewed = yield* get()
      assert.notStrictEqual(renewed, old)
      assert.strictEqual(yield* get(), renewed)
      yield* assertRequests(2)
    }).pipe(Effect.provide(app))
  })

  it.effect("does not end a stated wait early when the wall clock is set forward", () => {
    const { app, setWall } = setUp()
    return Effect.gen(function* () {
      yield* script(Fault.once(Fault.rateLimit(60)))
      yield* Effect.flip(get())
      yield* setWall(day)
      yield* Effect.flip(get())
      yield* assertRequests(1)
    }).pipe(Effect.provide(app))
  })
})

describe("a machine that slept", () => {
  it.effect("returns no expired token after sleep when the monotonic clock stood still", () => {
    const { app, sleep } = setUp()
    return Effect.gen(function* () {
      const old = yield* get()
      assert.strictEqual(yield* get(), old)
      yield* sleep(3600)
      yield* script(Fault.always(down))
      yield* Effect.flip(get())
      yield* clear
      yield* pass(2)
      assert.notStrictEqual(yield* get(), old)
    }).pipe(Effect.provide(app))
  })

  it.effect("finds a due token after sleep, again and again", () => {
    const { app, sleep } = setUp()
    return Effect.gen(function* () {
      for (let i = 1; i <= 3; i++) {
        const old = yield* get()
        yield* sleep(soft)
        assert.strictEqual(yield* get(), old)
        yield* Effect.yieldNow
        assert.notStrictEqual(yield* get(), old)
        yield* assertRequests(i + 1)
      }
    }).pipe(Effect.provide(app))
  })

  it.effect("returns no expired token when the machine slept for 30 days", () => {
    const { app, sleep } = setUp()
    return Effect.gen(function* () {
      const old = yield* get()
      yield* sleep(30 * day)
      assert.notStrictEqual(yield* get(), old)
      yield* assertRequests(2)
    }).pipe(Effect.provide(app))
  })
})
