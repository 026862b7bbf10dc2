// The life of tokens over any key and any way to get a token.
import { assert, describe, it } from "@effect/vitest"
import { AccessToken, RetryPolicy, Scopes, TokenError } from "@effect-itwin/core"
import { DateTime, Effect, Logger, Redacted } from "effect"
import { defaults, monotonicMillis } from "../src/internal/life/phase.ts"
import { makeTokenLife } from "../src/internal/life/tokenLife.ts"

const endpoint = "https://ims.example/t"

const errorOf = (reason: TokenError.TokenErrorReason) => new TokenError.TokenError({ reason, endpoint })

const token = (value: string, issuedAt: DateTime.Utc) =>
  new AccessToken.AccessToken({
    value: Redacted.make(value),
    tokenType: "Bearer",
    scopes: Scopes.itwinPlatform,
    requestedScopes: Scopes.itwinPlatform,
    clientId: "webapp-abc",
    issuedAt,
    expiresAt: DateTime.add(issuedAt, { hours: 1 })
  })

/** A life whose requests have this outcome. */
const make = (outcome: (key: string) => Effect.Effect<AccessToken.AccessToken, TokenError.TokenError>, maxKeys = 100) =>
  makeTokenLife<string, never>({
    name: "test",
    endpoint,
    acquire: (key, attempt) =>
      Effect.gen(function* () {
        yield* attempt.useClient("webapp-abc")
        const clock = yield* Effect.clockWith(Effect.succeed)
        return { token: yield* outcome(key), bornAt: monotonicMillis(clock) }
      }),
    policy: RetryPolicy.none,
    margins: { ...defaults, jitter: 0 },
    maxKeys,
    replayFailures: true,
    renewal: "background"
  })

describe("the life of tokens", () => {
  it.effect("keeps nothing of a session that has ended, not even a pause", () =>
    Effect.gen(function* () {
      const life = yield* make(() => Effect.fail(errorOf(new TokenError.SignedOut({ why: "ended" }))))
      yield* life.adopt("a", token("a", DateTime.makeUnsafe(0)))
      assert.deepStrictEqual(life.keys(), ["a"])
      const error = yield* Effect.flip(life.refresh("a"))
      assert.isUndefined(error.nextAttemptIn)
      assert.deepStrictEqual(life.keys(), [])
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("remembers no more keys than it may, whether their requests succeed or fail", () =>
    Effect.gen(function* () {
      const failing = yield* make(
        () => Effect.fail(errorOf(new TokenError.InvalidGrant({ description: undefined }))),
        10
      )
      const succeeding = yield* make((key) => Effect.map(DateTime.now, (now) => token(key, now)), 10)
      for (let i = 0; i < 50; i++) {
        yield* Effect.ignore(failing.get(`key-${i}`))
        yield* succeeding.get(`key-${i}`)
      }
      assert.strictEqual(failing.keys().length, 10)
      assert.strictEqual(succeeding.keys().length, 10)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("adopts a newer token, and not an older one", () =>
    Effect.gen(function* () {
      const life = yield* make(() => Effect.die("no request is needed"))
      const now = yield* DateTime.now
      yield* life.adopt("a", token("new", now))
      yield* life.adopt("a", token("old", DateTime.subtract(now, { minutes: 1 })))
      assert.strictEqual(Redacted.value((yield* life.get("a")).value), "new")
      yield* life.adopt("a", token("newer", now))
      assert.strictEqual(Redacted.value((yield* life.get("a")).value), "newer")
      life.forget("a")
      assert.deepStrictEqual(life.keys(), [])
    })
  )
})
