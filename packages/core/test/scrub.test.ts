// What a server echoes of a secret does not pass, in whatever mix of encodings, and however long secret and text are.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { redact, scrub, scrubText } from "../src/internal/shown/scrub.ts"

const percent = (char: string) =>
  Array.from(new TextEncoder().encode(char), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")

/** The ways to write a character. */
const forms: ReadonlyArray<(char: string) => string> = [
  (char) => char,
  percent,
  (char) => percent(char).toUpperCase(),
  (char) =>
    Array.from({ length: char.length }, (_, i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, "0")}`).join(""),
  (char) => `\\${char}`,
  (char) => `&#${char.codePointAt(0)};`,
  (char) => `&#X00${char.codePointAt(0)?.toString(16)};`
]

const Secret = Schema.String.check(Schema.isMinLength(8), Schema.isMaxLength(40))
const Choices = Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: forms.length - 1 })))

describe("scrubbing", () => {
  it.effect.prop("finds a secret whose characters are each encoded as the server likes", [Secret, Choices], (input) =>
    Effect.sync(() => {
      const [secret, choices] = input
      const echo = Array.from(secret, (char, i) => forms[choices[i % choices.length] ?? 0]?.(char) ?? char).join("")
      assert.strictEqual(redact(`(${echo})`, [secret]), "(<redacted>)")
    })
  )

  it("finds the secrets of one text, side by side, again and again, and in Base64", () => {
    const text = "one-secret&two/secret two%2Fsecret, one-secretone-secret b25lLXNlY3JldA=="
    const clean = "<redacted>&<redacted> <redacted>, <redacted><redacted> <redacted>=="
    assert.strictEqual(redact(text, ["one-secret", "two/secret"]), clean)
  })

  it("leaves what only begins like a secret, and what is none", () => {
    for (const text of [
      "fake-secre",
      "fake-secret-",
      "%66ake",
      "\\u0066",
      "&#102;",
      "&amp;",
      "a+b",
      "%",
      "\\",
      "&#;",
      "🙂"
    ]) {
      assert.strictEqual(redact(text, ["fake-secret-a+b/c=", ""]), text)
    }
  })

  it("takes tokens and texts of any length", () => {
    const token = `${"aB3-".repeat(60_000)}.end`
    assert.strictEqual(redact(`no ${token} here`, [token]), "no <redacted> here")
    assert.strictEqual(scrub("x".repeat(200_000), [token], 256), "x".repeat(256))
    assert.strictEqual(scrubText(`${"ü".repeat(255)}${token}`, [token], 256), `${"ü".repeat(255)}<`)
  })

  it("shows nothing of a text that makes the search long", () => {
    const ambiguous = `${"\\".repeat(2000)}b`
    for (const [text, secret] of [
      ["\\".repeat(4000), ambiguous],
      ["%".repeat(100_000), "fake-secret-a+b/c="],
      [`${"a".repeat(60_000)}&#${"0".repeat(250_000)};`, `${"a".repeat(30_000)}b`],
      ["a".repeat(60_000), `${"a".repeat(30_000)}b`]
    ] as const) {
      assert.strictEqual(redact(`text ${text}`, [secret]), "<redacted>")
    }
    assert.strictEqual(scrub(ambiguous, [ambiguous], 256), "<redacted>")
  })

  it("finds what HTML has a name for", () => {
    assert.strictEqual(redact("fake&plus;secret&sol;a&equals;&amp;", ["fake+secret/a=&"]), "<redacted>")
  })

  it("cuts after it has scrubbed, so that no part of a secret is left at the end", () => {
    const secret = "fake-secret-a+b/c="
    for (let before = 230; before <= 256; before++) {
      const text = scrub("y".repeat(before) + secret, [secret], 256)
      assert.match(text, /^y+<?r?e?d?a?c?t?e?d?>?$/)
      assert.isAtMost(text.length, 256)
    }
  })
})
