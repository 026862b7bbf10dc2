// The limits of requests and secret reads for each kind of failure.
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { kinds, measure, type Row, toMarkdown } from "./storms.ts"

describe("100 callers without a token", () => {
  const rows: Array<Row> = []

  it.live.each(kinds)(
    "makes at most 20 requests in the first minute and 6 in each later one for 100 callers without a token: $name",
    (kind) =>
      Effect.gen(function* () {
        const row = yield* measure(kind)
        rows.push(row)
        for (const { first, later } of [row.get.requests, row.get.reads]) {
          assert.isAtMost(first, 20)
          assert.isAtMost(later, 6)
        }
        for (const { first, later } of [row.refresh.requests, row.refresh.reads]) {
          assert.isAtMost(first, 20)
          assert.isAtMost(later, 20)
        }
        // At least one, which shows that requests are counted.
        assert.isAbove(row.get.reads.first, 0)
      })
  )

  it("makes as many requests as docs/life-of-a-token.md says; if not, run `node scripts/storms.ts --write`", () => {
    const guide = readFileSync(new URL("../../../docs/life-of-a-token.md", import.meta.url), "utf8")
    assert.include(guide, toMarkdown(rows))
  })
})
