import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { SealedText } from "@effect-itwin/core"
import { Effect, Option, Redacted } from "effect"

const bytes = Buffer.from("0123456789abcdef0123456789\u00ff\u00fe~~~~", "latin1").subarray(0, 32)
const spellings = [
  bytes.toString("base64"),
  bytes.toString("base64url"),
  bytes.toString("base64").replace(/=+$/, ""),
  `${bytes.toString("base64")}\n`
]
const key = Redacted.make(bytes.toString("base64"))
const other = Redacted.make(Buffer.alloc(32, 7).toString("base64"))

describe("SealedText", () => {
  it.effect("opens what it sealed, with each spelling of the key", () =>
    Effect.gen(function* () {
      for (const text of ["", "a text", "é \u{1f600}", "x".repeat(50_000)]) {
        const sealed = yield* SealedText.make([key]).seal(text, "context")
        assert.match(sealed, /^[\w-]+$/)
        for (const spelling of spellings) {
          const opened = yield* SealedText.make([Redacted.make(spelling)]).open(sealed, "context")
          assert.deepStrictEqual(opened, Option.some(text))
        }
      }
    })
  )

  it.effect("seals a text differently each time, with the first key", () =>
    Effect.gen(function* () {
      const both = SealedText.make([key, other])
      const [one, two] = [yield* both.seal("text", "c"), yield* both.seal("text", "c")]
      assert.notStrictEqual(one, two)
      assert.isTrue(Option.isSome(yield* SealedText.make([key]).open(one, "c")))
      assert.isTrue(Option.isNone(yield* SealedText.make([other]).open(one, "c")))
      assert.isTrue(Option.isSome(yield* both.open(yield* SealedText.make([other]).seal("text", "c"), "c")))
    })
  )

  it.effect("opens nothing that was changed, or sealed for another context", () =>
    Effect.gen(function* () {
      const sealer = SealedText.make([key])
      const sealed = yield* sealer.seal("text", "c")
      const isClosed = (text: string, context = "c") => Effect.map(sealer.open(text, context), Option.isNone)
      assert.isTrue(yield* isClosed(sealed, "d"))
      assert.isTrue(yield* isClosed(sealed, ""))
      for (let at = 0; at < sealed.length; at++) {
        const changed = `${sealed.slice(0, at)}${sealed[at] === "A" ? "B" : "A"}${sealed.slice(at + 1)}`
        assert.isTrue(yield* isClosed(changed), `character ${at}`)
        assert.isTrue(yield* isClosed(sealed.slice(0, at)), `${at} characters`)
      }
      for (const text of [`${sealed}A`, `${sealed}=`, ` ${sealed}`, "%"]) assert.isTrue(yield* isClosed(text))
    })
  )

  it("throws a RangeError that does not quote the key when a key is invalid", () => {
    const secret = "fake-secret-a+b/c="
    for (const text of [
      secret,
      "",
      bytes.subarray(1).toString("base64"),
      `${bytes.toString("base64")}AAAA`,
      "é".repeat(43)
    ]) {
      try {
        SealedText.make([key, Redacted.make(text)])
        assert.fail(`accepted ${text}`)
      } catch (error) {
        assert.instanceOf(error, RangeError)
        if (text !== "") assert.notInclude(inspect(error, { showHidden: true }), text)
      }
    }
    assert.throws(() => SealedText.make([] as never), RangeError)
  })

  it("does not show its keys", () => {
    const sealer = SealedText.make([key])
    assert.notInclude(inspect(sealer, { showHidden: true, depth: 5 }), bytes.toString("base64"))
  })
})
