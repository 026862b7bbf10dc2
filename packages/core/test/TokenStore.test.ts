// The steps of the store in memory. `TokenStoreContract` holds every store to the same rules.

import { assert, it } from "@effect/vitest"
import * as TokenStore from "@effect-itwin/core/TokenStore"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

const claim = { lease: 3_000, forget: "none", minLeft: 5_000, level: 1 } as const

it.effect("grants the lease to the next owner when its holder is lost", () =>
  Effect.gen(function* () {
    const store = yield* TokenStore.makeMemory
    assert.strictEqual((yield* store.claim("row", { ...claim, owner: "a" }))._tag, "Lease")
    yield* TestClock.adjust(2_999)
    assert.deepEqual(yield* store.claim("row", { ...claim, owner: "b" }), { _tag: "Busy", left: 1 })
    yield* TestClock.adjust(1)
    assert.strictEqual((yield* store.claim("row", { ...claim, owner: "b" }))._tag, "Lease")
  })
)

it.effect("keeps the token that lives longer when an owner publishes after its lease ended", () =>
  Effect.gen(function* () {
    const store = yield* TokenStore.makeMemory
    yield* store.claim("row", { ...claim, owner: "a" })
    yield* TestClock.adjust(3_000)
    yield* store.claim("row", { ...claim, owner: "b" })
    yield* store.publish("row", { owner: "b", value: "longer", age: 0, left: 60_000 })
    yield* store.publish("row", { owner: "a", value: "shorter", age: 0, left: 59_999 })
    const claimed = yield* store.claim("row", { ...claim, owner: "c" })
    assert.deepEqual(claimed, { _tag: "Token", value: "longer", version: "b", age: 0, left: 60_000 })
  })
)
