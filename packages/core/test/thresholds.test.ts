import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { defaults, thresholds } from "../src/internal/life/phase.ts"

const Life = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 86_400_000 }))
const Random = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999999 }))
const born = 1_000_000

describe("thresholds", () => {
  it.effect.prop("birth ≤ soft ≤ hard ≤ expiry, for every life and jitter", [Life, Random], ([life, random]) =>
    Effect.sync(() => {
      const { soft, hard } = thresholds(born, born + life, defaults, random)
      assert.isAtLeast(soft, born)
      assert.isAtLeast(hard, soft)
      assert.isAtMost(hard, born + life)
    })
  )

  it.effect.prop("hard is 10 % of the life, at most 60 s, before expiry", [Life], ([life]) =>
    Effect.sync(() => {
      const { hard } = thresholds(born, born + life, defaults, 0)
      assert.approximately(born + life - hard, Math.min(60_000, life / 10), 1e-6)
    })
  )

  it.effect.prop(
    "soft is 25 % of the life, at most 15 min, before expiry, and up to 10 % of it earlier",
    [Life, Random],
    ([life, random]) =>
      Effect.sync(() => {
        const { soft } = thresholds(born, born + life, defaults, random)
        assert.approximately(born + life - soft, Math.min(900_000, life / 4) + (random * life) / 10, 1e-6)
      })
  )

  it("margins larger than the life do not reach before its beginning", () => {
    const margins = { soft: { ofLife: 3, atMost: 1e9 }, hard: { ofLife: 2, atMost: 1e9 }, jitter: 1 }
    assert.deepStrictEqual(thresholds(born, born + 10_000, margins, 0.5), {
      soft: born,
      hard: born,
      last: born + 5_000
    })
  })
})
