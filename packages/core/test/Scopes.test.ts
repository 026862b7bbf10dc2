import { assert, describe, it } from "@effect/vitest"
import { Scopes } from "@effect-itwin/core"
import { Effect, Result, Schema } from "effect"

const Token = Schema.String.check(Schema.isPattern(/^[\x21\x23-\x5B\x5D-\x7E]{1,8}$/))
const Tokens = Schema.NonEmptyArray(Token)

describe("Scopes", () => {
  it.effect.prop(
    "returns the same value when scope tokens differ in order, repetition and spacing only",
    [Tokens],
    ([tokens]) =>
      Effect.gen(function* () {
        const scopes = yield* Effect.fromResult(Scopes.parse(tokens.join(" ")))
        const shuffled = yield* Effect.fromResult(Scopes.parse(` ${[...tokens, ...tokens].reverse().join("  ")} `))
        assert.strictEqual(scopes, shuffled)
        assert.deepStrictEqual(Scopes.tokens(scopes), [...new Set(tokens)].sort())
        assert.strictEqual(Scopes.make(Scopes.format(scopes)), scopes)
      })
  )

  it.each(["", " ", "a\tb", "a\nb", 'a"b', "a\\b", "ümlaut", "a\u00a0b"])("rejects the scopes %j", (input) => {
    assert.isTrue(Result.isFailure(Scopes.parse(input)))
    assert.throws(() => Scopes.make(input), /RFC 6749/)
  })

  it("returns different values when scopes differ in case", () => {
    assert.notStrictEqual(Scopes.make("A"), Scopes.make("a"))
  })
})
