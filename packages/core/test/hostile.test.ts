// The table of docs/hostile-answers.md, row by row, in process.
import { assert, describe, it } from "@effect/vitest"
import { ClientCredentials, TokenRequest } from "@effect-itwin/core"
import { Effect, Fiber, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { againOf, answers, credentials, outcomeOf, requested, table } from "./hostileAnswers.ts"
import { scripted } from "./support.ts"

/** Lets the streams of web responses run, which do not use virtual time. */
const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

const inProcess = table.filter(({ stage }) => stage !== "connection")

describe("hostile answers: the response", () => {
  it("has the rows that the documentation has about responses", () => {
    assert.deepStrictEqual(
      inProcess.map(({ stage, comes }) => [stage, comes]),
      answers.map(([stage, comes]) => [stage, comes])
    )
    assert.strictEqual(new Set(table.map(({ stage, comes }) => `${stage} ${comes}`)).size, table.length)
  })

  for (const [stage, comes, ...steps] of answers) {
    const row = inProcess.find((row) => row.stage === stage && row.comes === comes)
    it.effect(`returns ${row?.outcome} for: ${stage}, ${comes} (retried: ${row?.again})`, () =>
      Effect.gen(function* () {
        const script = scripted(...steps)
        const fiber = yield* Effect.forkChild(
          TokenRequest.send({ credentials, scopes: requested }).pipe(Effect.provide(script.layer), Effect.exit)
        )
        while (fiber.pollUnsafe() === undefined) {
          for (let i = 0; i < 10; i++) yield* turn
          yield* TestClock.adjust("50 millis")
        }
        assert.strictEqual(outcomeOf(yield* Fiber.join(fiber)), row?.outcome)
        assert.strictEqual(againOf(script.requests.length), row?.again)
      })
    )
  }
})

describe("id and secret", () => {
  const endpoint = "https://ims.bentley.com/connect/token"
  const encode = (clientId: string, secret: string, authentication: TokenRequest.ClientAuthentication) =>
    TokenRequest.encode({
      credentials: new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make(secret) }),
      scopes: requested,
      endpoint,
      correlationId: "id",
      authentication
    })

  const Id = Schema.NonEmptyArray(Schema.Literals([..."abcXYZ0189_.-"]))
  /** The code points that a secret may have: printable ASCII. */
  const Printable = Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 0x20, maximum: 0x7e })))

  it.effect.prop(
    "sends id and secret unchanged in a form, whatever characters the secret has",
    [Id, Printable],
    ([letters, ...all]) =>
      Effect.sync(() => {
        const id = letters.join("")
        for (const secret of all.map((points) => String.fromCodePoint(...points))) {
          const { body, headers, url } = encode(id, secret, "client_secret_post")
          const form = new URLSearchParams(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "")
          assert.deepStrictEqual([...form.keys()], ["grant_type", "scope", "client_id", "client_secret"])
          assert.strictEqual(form.get("client_id"), id)
          assert.strictEqual(form.get("client_secret"), secret)
          assert.isUndefined(headers.authorization)
          assert.strictEqual(url, endpoint)
        }
      })
  )

  it.effect.prop(
    "sends id and secret unchanged by Basic, whatever characters the secret has",
    [Id, Printable],
    ([letters, ...all]) =>
      Effect.sync(() => {
        const id = letters.join("")
        for (const secret of all.map((points) => String.fromCodePoint(...points))) {
          const { body, headers } = encode(id, secret, "client_secret_basic")
          const pair = /^Basic ([A-Za-z0-9+/]+=*)$/.exec(headers.authorization ?? "")?.[1] ?? ""
          // Decodes as a server does: Base64, the first colon, and then each half as a form value.
          const [, ...halves] = /^([^:]*):(.*)$/s.exec(atob(pair)) ?? []
          assert.deepStrictEqual(
            halves.map((half) => new URLSearchParams(`v=${half}`).get("v")),
            [id, secret]
          )
          const form = new URLSearchParams(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "")
          assert.deepStrictEqual([...form.keys()], ["grant_type", "scope"])
        }
      })
  )
})
