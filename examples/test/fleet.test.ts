// The fleets of docs/life-of-a-token.md, with fewer replicas, and of docs/fleets.md.
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { tables } from "../fleet/shared.ts"
import { type Options, peak, requestsIn, simulate, type Trouble, troubles } from "../fleet/simulation.ts"

const minute = 60
const hour = 3600

const fleet: Options = { replicas: 10, hours: 24, every: minute, phase: "own" }

const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((total, n) => total + n, 0)

describe("a fleet of replicas in 24 hours of virtual time", () => {
  it.live(
    "makes one token request per replica and token life, without a failed call, in 24 hours of virtual time",
    () =>
      Effect.gen(function* () {
        const figures = yield* simulate(fleet)
        assert.strictEqual(figures.calls, fleet.replicas * 24 * 60)
        assert.strictEqual(sum(figures.failed), 0)
        // A token of one hour is renewed after 39 to 45 minutes, by the next call: after 42.5 on average.
        const expected = (fleet.replicas * 24 * 60) / 42.5
        assert.isAbove(figures.requests, expected * 0.97)
        assert.isBelow(figures.requests, expected * 1.03)
      })
  )

  it.live("spreads the renewals when the replicas of a fleet start together", () =>
    Effect.gen(function* () {
      const shared: Options = { ...fleet, replicas: 40, hours: 3, phase: "same" }
      const without = peak(yield* simulate({ ...shared, jitter: 0 }), 2 * minute)
      const jittered = peak(yield* simulate(shared), 2 * minute)
      assert.strictEqual(without, shared.replicas)
      assert.isBelow(jittered, without / 2)
    })
  )

  it.live(
    "fails no call in outages of 4 and 12 minutes, and fails calls when the tokens of a revoked secret have expired",
    () =>
      Effect.gen(function* () {
        const figures = yield* simulate({ ...fleet, troubles })
        const [down, silent, revoked = 0, otherwise] = figures.failed
        assert.deepStrictEqual([down, silent, otherwise], [0, 0, 0])
        // Replicas use their tokens at first. A failed call makes at most one request.
        assert.isAbove(revoked, 0)
        assert.isBelow(revoked, fleet.replicas * 50)
        assert.isAtMost(requestsIn(figures, 12 * hour, hour), fleet.replicas * 61)
      })
  )

  it.live("fails no call when an outage of 12 minutes begins at any minute of a token's life", () =>
    Effect.gen(function* () {
      for (const kind of ["down", "silent"] as const) {
        for (let start = 1; start <= 60; start++) {
          const outage: Trouble = { kind, from: start * minute, seconds: 12 * minute }
          const figures = yield* simulate({ ...fleet, replicas: 4, hours: 2, troubles: [outage] })
          assert.deepStrictEqual(figures.failed, [0, 0], `${kind} from minute ${start}`)
        }
      }
    })
  )

  it.live("fails calls when an outage lasts longer than the tokens", () =>
    Effect.gen(function* () {
      const outage: Trouble = { kind: "down", from: 39 * minute, seconds: 40 * minute }
      const figures = yield* simulate({ ...fleet, hours: 2, troubles: [outage] })
      assert.isAbove(figures.failed[0] ?? 0, 0)
      assert.strictEqual(figures.failed[1], 0)
    })
  )
})

describe("a fleet that shares its tokens", () => {
  it.live(
    "makes as many requests as docs/fleets.md says; if not, replace the tables by what `node examples/fleet/shared.ts` prints",
    () =>
      Effect.gen(function* () {
        const guide = readFileSync(new URL("../../docs/fleets.md", import.meta.url), "utf8")
        const [, written] = /<!-- fleets -->\n\n([\s\S]*?)\n\n<!-- \/fleets -->/.exec(guide) ?? []
        assert.strictEqual(written, yield* tables(100))
      }),
    180_000
  )

  it.live("fails no call when IMS is down for 29 minutes from any minute of a token's life", () =>
    Effect.gen(function* () {
      for (let start = 1; start <= 60; start += 4) {
        const outage: Trouble = { kind: "down", from: start * minute, seconds: 29 * minute }
        const figures = yield* simulate({ ...fleet, hours: 2, troubles: [outage], store: true })
        assert.deepStrictEqual(figures.failed, [0, 0], `from minute ${start}`)
      }
    })
  )
})
