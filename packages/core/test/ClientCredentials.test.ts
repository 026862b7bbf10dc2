import { assert, describe, it } from "@effect/vitest"
import { ClientCredentials } from "@effect-itwin/core"
import { Effect, Redacted, Result, Schema } from "effect"

const secret = "fake-secret-a+b/c="

const decode = Schema.decodeUnknownResult(ClientCredentials.ClientCredentials)

/** What each of the three decoders says about the text; empty if it accepts the text. */
const problemsOf = (text: string): ReadonlyArray<string> => [
  Result.match(decode({ clientId: "service-1", clientSecret: text }), {
    onSuccess: () => "",
    onFailure: ({ message }) => message
  }),
  Result.match(ClientCredentials.clientSecretFromText(Redacted.make(text)), {
    onSuccess: () => "",
    onFailure: (advice) => advice
  }),
  Result.match(
    Result.try(() => new ClientCredentials.ClientCredentials({ clientId: "a", clientSecret: Redacted.make(text) })),
    { onSuccess: () => "", onFailure: String }
  )
]

describe("ClientCredentials", () => {
  it.effect.prop(
    "accepts a client secret when it has 1 to 1,024 characters of VSCHAR",
    [Schema.String.check(Schema.isPattern(/^[\x21-\x7E]{1,1024}$/))],
    ([text]) =>
      Effect.sync(() => {
        assert.deepStrictEqual(problemsOf(text), ["", "", ""])
      })
  )

  it.effect.each<readonly [what: string, text: string, problem: string]>([
    ["is empty", "", "Store the value shown under My Apps."],
    ["has 1,025 characters", "x".repeat(1025), "has more than 1,024 characters"],
    ["contains a line break", `${secret}\n${secret}`, "contains a line break or another character"],
    ["contains a character that is not ASCII", `${secret}é`, "another character"],
    ["contains a control character", `${secret}\x7f`, "another character"],
    ["is UTF-16", [...secret].join("\0"), "is UTF-16 text"],
    ["begins with a byte order mark", `\uFEFF${secret}`, "is UTF-16 text"]
  ])("fails without quoting the client secret when that %s", ([, text, problem]) =>
    Effect.sync(() => {
      const [decoded = "", fromText = "", made = ""] = problemsOf(text)
      assert.include(decoded, problem)
      assert.include(fromText, problem)
      assert.notStrictEqual(made, "")
      assert.notMatch(decoded + fromText + made, /fake-secret|xxx/)
    })
  )

  it.effect("drops one trailing newline of a text, and fails when there is other white space around it", () =>
    Effect.sync(() => {
      const read = (text: string) =>
        Result.map(ClientCredentials.clientSecretFromText(Redacted.make(text)), Redacted.value)
      for (const newline of ["", "\n", "\r\n"]) {
        assert.deepStrictEqual(read(secret + newline), Result.succeed(secret))
        assert.deepStrictEqual(ClientCredentials.clientIdFromText(`service-1${newline}`), Result.succeed("service-1"))
      }
      for (const text of [`${secret}\n\n`, ` ${secret}`, `${secret} `, "\n", " \t "]) {
        assert.isTrue(Result.isFailure(read(text)))
        assert.isTrue(Result.isFailure(ClientCredentials.clientIdFromText(text)))
      }
    })
  )

  it.effect("fails without quoting the text when it is not a client id", () =>
    Effect.sync(() => {
      const expected = "The value is not a client id. Are the id and the secret swapped?"
      assert.deepStrictEqual(ClientCredentials.clientIdFromText(secret), Result.fail(expected))
      const decoded = decode({ clientId: secret, clientSecret: secret })
      assert.isTrue(Result.isFailure(decoded) && decoded.failure.message.startsWith(expected))
    })
  )
})
