// Invalid options are programming errors, so they are defects.
import { assert, describe, it } from "@effect/vitest"
import type { TokenCache } from "@effect-itwin/core"
import { Cause, Effect, Exit } from "effect"
import { cached, get } from "./cacheSupport.ts"

describe("an invalid option", () => {
  it.effect.each<readonly [string, TokenCache.Options]>([
    ["maxKeys must be an integer of at least 1, not 0", { maxKeys: 0 }],
    ["maxKeys must be an integer of at least 1, not NaN", { maxKeys: Number.NaN }],
    ["jitter must be from 0 to 1, not 20", { jitter: 20 }],
    ["jitter must be from 0 to 1, not NaN", { jitter: Number.NaN }],
    ["soft.ofLife must be from 0 to 1, not 25", { soft: { ofLife: 25, atMost: "1 minute" } }],
    ["hard.ofLife must be from 0 to 1, not -1", { hard: { ofLife: -1, atMost: "1 minute" } }]
  ])("dies with a RangeError when the cache is built with an invalid option: %s", ([message, options]) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.provide(get(), cached(options)))
      assert.strictEqual(Exit.isFailure(exit) && String(Cause.squash(exit.cause)), `RangeError: TokenCache: ${message}`)
    })
  )
})
