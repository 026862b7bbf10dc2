// A store may return what no store should: its code is foreign, and somebody else may write to its rows. Then the token
// comes from IMS.
import { assert, describe, it } from "@effect/vitest"
import { TokenStore } from "@effect-itwin/core"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { json, makeWorld, replica, textOf } from "./storeSupport.ts"

const warnings = (logs: ReadonlyArray<string>) => logs.filter((line) => line.startsWith("Warn"))

/** The store, with another result of `claim`. The types would not allow some of them. */
const claiming = (store: TokenStore.Service, change: (claimed: TokenStore.Claimed) => unknown) => {
  const counts = { claims: 0 }
  const changed: TokenStore.Service = {
    ...store,
    claim: (row, claim) =>
      Effect.map(store.claim(row, claim), (claimed) => {
        counts.claims++
        return change(claimed) as TokenStore.Claimed
      })
  }
  return { store: changed, counts }
}

/** Calls `get`, and lets 20 s pass meanwhile. */
const get = Effect.fnUntraced(function* (store: TokenStore.Service, world = makeWorld()) {
  const cache = yield* replica(world, store)
  const fiber = yield* Effect.forkChild(cache.get(), { startImmediately: true })
  for (let i = 0; i < 200 && fiber.pollUnsafe() === undefined; i++) {
    yield* TestClock.adjust("100 millis")
  }
  assert.isDefined(fiber.pollUnsafe(), "the call did not end")
  return { text: textOf(yield* Fiber.join(fiber)), world }
})

describe("a store whose claim returns something invalid", () => {
  const results: Readonly<Record<string, unknown>> = {
    nothing: undefined,
    null: null,
    "an object without a tag": {},
    "an unknown tag": { _tag: "Nonsense" },
    "a lease of NaN ms": { _tag: "Busy", left: Number.NaN },
    "a token without a value": { _tag: "Token", version: "1", age: 0, left: 100_000 },
    "a token with numbers as text": { _tag: "Token", value: "", version: "1", age: "0", left: "100000" },
    "a number as the value of a setback": { _tag: "Held", value: 7, left: 1_000 },
    "a setback of NaN ms": { _tag: "Held", value: "", left: Number.NaN },
    "a number as the previous setback": { _tag: "Lease", previous: 7 }
  }
  const check = (isPrivate: boolean, result: unknown) =>
    Effect.gen(function* () {
      const world = makeWorld()
      const { counts, store } = claiming({ ...(yield* TokenStore.makeMemory), isPrivate }, () => result)
      const text = isPrivate ? (yield* get(store, world)).text : textOf(yield* (yield* replica(world, store)).get())
      assert.strictEqual(text, "token-1")
      assert.strictEqual(counts.claims, 1)
      assert.match(
        warnings(world.logs).join(),
        /^Warn: The token store memory failed \(unavailable\): its `claim` returned/
      )
    })
  for (const [what, result] of Object.entries(results)) {
    it.effect(`is left alone after ${what}`, () => check(true, result))
    // WebCrypto needs real time.
    it.live(`is left alone after ${what}, if the store is remote`, () => check(false, result))
  }
})

it.effect("is asked at most every 50 ms when it says that the lease ends at once, again and again", () =>
  Effect.gen(function* () {
    const { counts, store } = claiming(yield* TokenStore.makeMemory, () => ({ _tag: "Busy", left: -5 }))
    assert.strictEqual((yield* get(store)).text, "token-1")
    assert.isAtMost(counts.claims, 101)
  })
)

it.effect("has a token that is not used when its age is not a date, with one warning", () =>
  Effect.gen(function* () {
    const memory = yield* TokenStore.makeMemory
    const { text, world } = yield* get(memory)
    assert.strictEqual(text, "token-1")
    const { store } = claiming(memory, (claimed) => (claimed._tag === "Token" ? { ...claimed, age: 1e16 } : claimed))
    assert.strictEqual((yield* get(store, world)).text, "token-2")
    assert.strictEqual(warnings(world.logs).length, 1)
  })
)

it.effect("holds no replica without a token when somebody raised the level of a setback", () =>
  Effect.gen(function* () {
    const world = makeWorld()
    const memory = yield* TokenStore.makeMemory
    const values: Array<string> = []
    const recording: TokenStore.Service = {
      ...memory,
      release: (row, owner, setback) => {
        if (setback !== undefined) values.push(setback.value)
        return memory.release(row, owner, setback)
      }
    }
    world.answer = () => Effect.sync(() => json({}, 503))
    const fiber = yield* Effect.forkChild(Effect.flip((yield* replica(world, recording)).get()))
    yield* TestClock.adjust("900 millis")
    assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "ServerError")
    const [value = ""] = values
    world.answer = Effect.sync
    const { store } = claiming(memory, () => ({ _tag: "Held", value, left: 60_000 }))
    assert.strictEqual((yield* get(store, world)).text, "token-4")
  })
)
