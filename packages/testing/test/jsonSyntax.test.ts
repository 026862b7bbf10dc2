import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { findSyntaxProblem } from "../src/internal/serve/jsonSyntax.ts"

describe("the first place at which a text is not JSON", () => {
  it.each<readonly [string, number, number, string]>([
    ["", 1, 1, "a value"],
    ["{", 1, 2, "a name in double quotes or }"],
    ["[", 1, 2, "a value or ]"],
    ["[1,]", 1, 4, "a value"],
    ["[1 2]", 1, 4, "a comma or ]"],
    ["[01]", 1, 3, "a comma or ]"],
    ["{'a':1}", 1, 2, "a name in double quotes or }"],
    ['{"a":1,}', 1, 8, "a name in double quotes"],
    ['{"a" 1}', 1, 6, "a colon"],
    ['{"a":1 "b":2}', 1, 8, "a comma or }"],
    ['{"a":}', 1, 6, "a value"],
    ['{\n  "a": [1,\n    // why\n    2]\n}', 3, 5, "a value"],
    ['{\r\n  "a": tru\r\n}', 2, 8, "a value"],
    ['["a\nb"]', 1, 2, "a value or ]"],
    ['["\\x"]', 1, 2, "a value or ]"],
    ["[]]", 1, 3, "the end"],
    ["1 2", 1, 3, "the end"],
    ["[NaN]", 1, 2, "a value or ]"],
    ["[1.]", 1, 3, "a comma or ]"]
  ])("of %j is line %i, column %i: expected %s", (text, line, column, expected) => {
    assert.deepStrictEqual(findSyntaxProblem(text), { line, column, expected })
  })

  const isJson = (text: string) => {
    try {
      JSON.parse(text)
      return true
    } catch {
      return false
    }
  }
  const characters = ["", ",", "]", "}", "{", '"', "\\", "0", "-", " ", "\n", "e", ":", "\u0001"]

  it.effect.prop(
    "finds a place where the text is not JSON exactly when JSON.parse fails",
    [Schema.Json, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 })), Schema.Literals(characters)],
    ([value, at, character]) =>
      Effect.sync(() => {
        const json = JSON.stringify(value, undefined, at % 3)
        const index = at % (json.length + 1)
        for (const text of [json, json.slice(0, index), json.slice(0, index) + character + json.slice(index + 1)]) {
          assert.strictEqual(findSyntaxProblem(text) === undefined, isJson(text), text)
        }
      }),
    { arbitrary: { runs: 1000 } }
  )
})
