// The phase of a token as a pure function of both clocks.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type Borders, borders, defaults, type Margins, type Phase, phaseOf } from "../src/internal/life/phase.ts"

const Life = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 86_400_000 }))
const Random = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999999 }))
const Moment = Schema.Int.check(Schema.isBetween({ minimum: -100_000_000, maximum: 100_000_000 }))

const minute = 60_000
const hour = 60 * minute

describe("borders", () => {
  it.effect.prop("returns 0 ≤ due ≤ late ≤ over ≤ life when life and jitter are anything", [Life, Random], (tried) =>
    Effect.sync(() => {
      const [life, random] = tried
      const { due, late, over } = borders(life, defaults, random)
      assert.isAtLeast(due, 0)
      assert.isAtLeast(late, due)
      assert.isAtLeast(over, late)
      assert.isAtMost(over, life)
    })
  )

  it.effect.prop("returns a late border of 10 % of the life, at most 60 s, before expiry", [Life], ([life]) =>
    Effect.sync(() => {
      assert.approximately(life - borders(life, defaults, 0).late, Math.min(minute, life / 10), 1e-6)
    })
  )

  it.effect.prop(
    "returns a due border of 25 % of the life, at most 15 min, before expiry, and up to 10 % of the life earlier",
    [Life, Random],
    ([life, random]) =>
      Effect.sync(() => {
        const expected = Math.min(15 * minute, life / 4) + (random * life) / 10
        assert.approximately(life - borders(life, defaults, random).due, expected, 1e-6)
      })
  )

  it.effect.prop("returns an over border of 5 s before expiry, but never before the late border", [Life], ([life]) =>
    Effect.sync(() => {
      const { late, over } = borders(life, defaults, 0)
      assert.strictEqual(over, Math.max(late, life - 5_000))
    })
  )

  it.each<readonly [string, number, Borders]>([
    ["5 minutes", 5 * minute, { due: 225_000, late: 270_000, over: 295_000 }],
    ["1 hour", hour, { due: 45 * minute, late: 59 * minute, over: 3_595_000 }],
    ["24 hours", 24 * hour, { due: 23.75 * hour, late: 24 * hour - minute, over: 24 * hour - 5_000 }],
    ["10 seconds", 10_000, { due: 7_500, late: 9_000, over: 9_000 }],
    ["0", 0, { due: 0, late: 0, over: 0 }]
  ])("returns the borders of the guide when the life is %s", (_name, life, expected) => {
    assert.deepStrictEqual(borders(life, defaults, 0), expected)
  })

  it("keeps a token fresh for a tenth of its life when the margins are larger than the life", () => {
    const margins: Margins = { soft: { ofLife: 3, atMost: 1e9 }, hard: { ofLife: 2, atMost: 1e9 }, jitter: 1 }
    assert.deepStrictEqual(borders(10_000, margins, 0.5), { due: 1_000, late: 1_000, over: 5_000 })
  })

  it("returns a due border that is not after the late border when the soft margin is smaller than the hard one", () => {
    const margins: Margins = { soft: { ofLife: 0.1, atMost: 1e9 }, hard: { ofLife: 0.5, atMost: 1e9 }, jitter: 0 }
    assert.deepStrictEqual(borders(100_000, margins, 0), { due: 50_000, late: 50_000, over: 95_000 })
  })
})

describe("phaseOf", () => {
  const issuedAt = { wall: 1_000_000, monotonic: 5_000 }
  const token = { issuedAt, ...borders(hour, defaults, 0) }
  const at = (wall: number, monotonic: number) =>
    phaseOf(token, { wall: issuedAt.wall + wall, monotonic: issuedAt.monotonic + monotonic })

  it.each<readonly [number, Phase]>([
    [0, "fresh"],
    [45 * minute - 1, "fresh"],
    [45 * minute, "due"],
    [59 * minute - 1, "due"],
    [59 * minute, "late"],
    [3_594_999, "late"],
    [3_595_000, "over"],
    [365 * 24 * hour, "over"]
  ])("phaseOf returns for the age of %i ms and a life of one hour: %s", (age, phase) => {
    assert.strictEqual(at(age, age), phase)
  })

  it.effect.prop("phaseOf takes the larger of both ages", [Moment, Moment], ([wall, monotonic]) =>
    Effect.sync(() => {
      const age = Math.max(wall, monotonic)
      const expected =
        age >= token.over ? "over" : age >= token.late || wall < 0 ? "late" : age >= token.due ? "due" : "fresh"
      assert.strictEqual(at(wall, monotonic), expected)
    })
  )

  it("phaseOf returns late when the wall clock is before the start of the token's life", () => {
    assert.strictEqual(at(-1, 0), "late")
    assert.strictEqual(at(-24 * hour, minute), "late")
  })

  it("phaseOf returns over when only the monotonic clock says so", () => {
    assert.strictEqual(at(-24 * hour, hour), "over")
    assert.strictEqual(at(0, hour), "over")
  })

  it("phaseOf returns over when only the wall clock says so, because the machine slept", () => {
    assert.strictEqual(at(hour, 1_000), "over")
  })

  it.effect.prop(
    "phaseOf never returns an earlier phase when both clocks go forward",
    [Life, Random, Life, Life],
    ([life, random, first, second]) =>
      Effect.sync(() => {
        const order: ReadonlyArray<Phase> = ["fresh", "due", "late", "over"]
        const some = { issuedAt, ...borders(life, defaults, random) }
        const [early = 0, later = 0] = [first, second].sort((a, b) => a - b)
        const phaseAt = (age: number) =>
          order.indexOf(phaseOf(some, { wall: issuedAt.wall + age, monotonic: issuedAt.monotonic + age }))
        assert.isAtMost(phaseAt(early), phaseAt(later))
      })
  )
})
