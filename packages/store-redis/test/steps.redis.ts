// The steps of the Lua script: the contract of every store, and the comparison with the store in memory.

import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { TokenStore } from "@effect-itwin/core"
import { TokenStoreContract } from "@effect-itwin/testing"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { addressOf } from "../src/internal/address.ts"
import { makeConnection } from "../src/internal/connection.ts"
import { scriptAt } from "../src/internal/steps.ts"
import { makeStore } from "../src/internal/store.ts"
import { type RedisServer, startRedis } from "./redisServer.ts"
import { open } from "./support.ts"

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

describe("the store on Redis", () => {
  const subject = { open: Effect.sync(() => open(server.url)), wait: (millis: number) => Effect.sleep(millis) }
  for (const { name, run } of TokenStoreContract.cases(subject)) it.live(name, () => run)
})

// Keys end on the real clock, so each time is much longer than the test.
const Time = Schema.Literals([20_000, 60_000, 90_000.5, 3_600_000])
const Name = Schema.Literals(["a", "b", "c"])
const Level = Schema.Literals([1, 2, 3])
const Step = Schema.Struct({
  /** The time before the step. Negative: the clock is set back. */
  passes: Schema.Literals([0, 1, 20_000, 59_999, 60_000, -1, -4_000_000]),
  run: Schema.Union([
    Schema.TaggedStruct("claim", {
      owner: Name,
      lease: Time,
      known: Schema.optional(Name),
      forget: Schema.Literals(["none", "known", "any"]),
      minLeft: Schema.Literals([0, 20_000, 60_000, 120_000]),
      level: Level
    }),
    Schema.TaggedStruct("publish", { owner: Name, value: Name, age: Schema.Literals([0, 1, 20_000]), left: Time }),
    Schema.TaggedStruct("release", {
      owner: Name,
      setback: Schema.optional(Schema.Struct({ value: Name, left: Time, level: Level }))
    }),
    Schema.TaggedStruct("drop", { version: Name })
  ])
})

const runStep = (
  store: TokenStore.Service,
  { run }: typeof Step.Type
): Effect.Effect<unknown, TokenStore.TokenStoreError> => {
  switch (run._tag) {
    case "claim":
      return store.claim("row", run)
    case "publish":
      return store.publish("row", run)
    case "release":
      return store.release("row", run.owner, run.setback)
    case "drop":
      return store.drop("row", run.version)
  }
}

describe("the script", () => {
  const timedScript = scriptAt("tonumber(redis.call('GET', 'clock'))")
  const seen = new Set<string>()

  const compare = (steps: ReadonlyArray<typeof Step.Type>) =>
    Effect.gen(function* () {
      let now = 10_000_000
      const clock: Clock.Clock = {
        ...(yield* Clock.Clock),
        monotonicTimeNanosUnsafe: () => BigInt(now) * 1_000_000n
      }
      const memory = yield* Effect.provideService(TokenStore.makeMemory, Clock.Clock, clock)
      const address = yield* Effect.fromResult(addressOf(server.url))
      const limits = { idle: Duration.seconds(10), timeout: Duration.seconds(5) }
      const redis = yield* makeConnection({ address, ...limits })
      const timed = makeStore({ name: "Redis", prefix: "property:", timeout: limits.timeout }, redis, timedScript)
      yield* redis.send("DEL", "property:row")
      for (const [index, step] of steps.entries()) {
        now += step.passes
        yield* redis.send("SET", "clock", String(now))
        const expected = yield* runStep(memory, step)
        const got = yield* runStep(timed, step)
        seen.add(Predicate.hasProperty(expected, "_tag") ? String(expected._tag) : "nothing")
        assert.deepEqual(got, expected, `step ${index} of ${JSON.stringify(steps.slice(0, index + 1))}`)
      }
    }).pipe(Effect.scoped)

  it.effect("keeps the first of two setbacks of one level when they end together", () =>
    compare([
      { passes: 0, run: { _tag: "release", owner: "a", setback: { value: "a", left: 60_000, level: 2 } } },
      { passes: 0, run: { _tag: "release", owner: "a", setback: { value: "b", left: 60_000, level: 2 } } },
      { passes: 0, run: { _tag: "claim", owner: "a", lease: 20_000, forget: "none", minLeft: 0, level: 1 } }
    ])
  )

  it.effect.prop(
    "does the same as the store in memory in every sequence of steps, also when the clock is set back",
    { steps: Schema.Array(Step).check(Schema.isMinLength(20), Schema.isMaxLength(60)) },
    ({ steps }) => compare(steps),
    {
      arbitrary: {
        runs: Number(process.env.MODEL_RUNS ?? 300),
        seed: Number(process.env.MODEL_SEED ?? 2026),
        size: 40
      }
    }
  )

  it("has met each result when all random sequences have run", () => {
    assert.deepEqual([...seen].sort(), ["Busy", "Held", "Lease", "Token", "nothing"])
  })
})
