import { assert, describe, it } from "@effect/vitest"
import { AccessTokenVerifier } from "@effect-itwin/verify"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { attacks, key } from "./attacks.ts"
import { clientId, ims, keySet, outcome } from "./support.ts"

describe("the attack table", () => {
  it.effect.each(attacks)("has the outcome $outcome when: $name", ({ at, keys, options, outcome: expected, token }) => {
    const body = keys?.() ?? keySet(key)
    const { layer } = ims(() => new Response(typeof body === "string" ? body : JSON.stringify(body)))
    const Verifier = AccessTokenVerifier.layer({ clientIds: [clientId], ...options }).pipe(Layer.provide(layer))
    return Effect.gen(function* () {
      if (at !== undefined) yield* TestClock.setTime(at * 1000)
      const text = token()
      assert.strictEqual(yield* outcome(text), expected)
      // The second time a result or a key may be kept.
      assert.strictEqual(yield* outcome(text), expected)
    }).pipe(Effect.provide(Verifier))
  })
})
