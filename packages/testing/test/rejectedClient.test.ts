// Journal and log explain why IMS rejected a client. Neither shows the secret.
import { assert, describe, it } from "@effect/vitest"
import { FakeIms, Profile } from "@effect-itwin/testing"
import { Effect, Logger, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { post, secretOf } from "./contract.ts"

const secret = "fake-secret-a+b/c=d%41"
const encode = (text: string) => new URLSearchParams({ "": text }).toString().slice(1)

const setUp = Effect.gen(function* () {
  const ims = yield* FakeIms.FakeIms
  const clientSecret = Redacted.make(secret)
  const app = yield* ims.registerApp({ name: "Mine", clientId: "service-mine", clientSecret })
  const other = yield* ims.registerApp({ name: "Other", clientId: "service-other" })
  return { ims, app, other }
})

type Setting = Effect.Success<typeof setUp>

const sendForm = (body: string, headers: Record<string, string> = {}) =>
  HttpClient.execute(
    HttpClientRequest.post("https://ims.bentley.com/connect/token", { headers }).pipe(
      HttpClientRequest.bodyText(`grant_type=client_credentials&${body}`, "application/x-www-form-urlencoded")
    )
  )
const sendBasic = (pair: string) => sendForm("", { authorization: `Basic ${btoa(pair)}` })
const send = (clientId: string, clientSecret: string) =>
  sendForm(`client_id=${encode(clientId)}&client_secret=${encode(clientSecret)}`)

const cases: ReadonlyArray<
  readonly [string, (setting: Setting) => Effect.Effect<unknown, unknown, HttpClient.HttpClient>, string]
> = [
  ["the client id is unknown", () => send("service-x", secret), "The client id is not registered."],
  [
    "id and secret are swapped",
    () => send(secret, "service-mine"),
    "The client id is a secret. Are id and secret swapped?"
  ],
  ["the secret is empty", () => sendForm("client_id=service-mine&client_secret="), "The client secret is empty."],
  ["there are no credentials", () => sendForm("scope=itwin-platform"), "The request contains no client credentials."],
  [
    "the header is malformed",
    () => sendForm("", { authorization: "Basic !" }),
    "The Authorization header is not a well-formed Basic header."
  ],
  ["the client id is empty", () => sendBasic(":x"), "The client id is empty."],
  [
    "the secret belongs to another app",
    ({ other }) => send("service-mine", secretOf(other)),
    "The secret belongs to another app: Other (service-other)."
  ],
  [
    "the secret was sent raw in the form",
    () => sendForm(`client_id=service-mine&client_secret=${secret}`),
    "The secret matches only when it is not form-decoded."
  ],
  [
    "the secret was sent raw by HTTP Basic",
    () => sendBasic(`service-mine:${secret}`),
    "The secret matches only when it is not form-decoded."
  ],
  [
    "the secret was encoded twice in the form",
    () => send("service-mine", encode(secret)),
    "The secret matches only when it is form-decoded twice."
  ],
  [
    "the secret was encoded twice by HTTP Basic",
    () => sendBasic(`service-mine:${encode(encode(secret))}`),
    "The secret matches only when it is form-decoded twice."
  ],
  [
    "the secret ends with a line break",
    () => send("service-mine", `${secret}\n`),
    "The secret matches only without the white space around it."
  ],
  [
    "the secret was cut",
    () => send("service-mine", secret.slice(0, -2)),
    "The secret is incomplete: its end is missing."
  ],
  ["the secret is another one", () => send("service-mine", "fake-secret-other"), "The secret is not one of this app."],
  [
    "the app is disabled",
    ({ ims }) => Effect.andThen(ims.disableApp("service-mine"), send("service-mine", secret)),
    "The app is disabled."
  ],
  [
    "the secret was revoked",
    ({ app, ims }) =>
      Effect.andThen(ims.revokeSecret("service-mine", app.credentials.clientSecret), send("service-mine", secret)),
    "The secret was revoked."
  ],
  [
    "the secret expired",
    ({ ims }) =>
      ims
        .regenerateSecret("service-mine", { overlap: "1 hour" })
        .pipe(Effect.andThen(TestClock.adjust("1 hour")), Effect.andThen(send("service-mine", secret))),
    "The secret expired, because a newer one replaced it."
  ]
]

describe("an invalid_client", () => {
  it.effect.each(cases)(
    "explains an invalid_client in the journal and in the log when %s",
    ([_name, request, explanation]) => {
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => {
        logged.push(String(message))
      })
      return Effect.gen(function* () {
        const setting = yield* setUp
        yield* request(setting)
        const entry = (yield* setting.ims.journal).at(-1)
        assert.strictEqual(entry?.outcome, "invalid_client")
        assert.include(entry?.explanation, explanation)
        assert.lengthOf(logged, 1)
        assert.include(logged[0], explanation)
        for (const text of [JSON.stringify(entry), String(logged)]) {
          for (const form of [secret, encode(secret), secretOf(setting.other), "a+b/c", "a b/c"]) {
            assert.notInclude(text, form)
          }
        }
      }).pipe(Effect.provide([FakeIms.layerTest(), Logger.layer([logger])]))
    }
  )
})

describe("the profile", () => {
  const statuses = Effect.gen(function* () {
    yield* setUp
    const encoded = yield* sendBasic(`service-mine:${encode(secret)}`)
    const raw = yield* sendBasic(`service-mine:${secret}`)
    return [encoded.status, raw.status]
  })

  it.effect.each<readonly [Profile.Profile["basicEncoding"], Array<number>]>([
    ["form", [200, 401]],
    ["raw", [401, 200]],
    ["either", [200, 200]]
  ])("accepts HTTP Basic with the encoding %s", ([basicEncoding, expected]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* statuses, expected)
    }).pipe(Effect.provide(FakeIms.layerTest({ profile: { basicEncoding } })))
  )

  it.effect("says that an encoded secret matches only when form-decoded, when the profile reads it raw", () =>
    Effect.gen(function* () {
      yield* statuses
      const [entry] = yield* (yield* FakeIms.FakeIms).journal
      assert.include(entry?.explanation, "matches only when it is form-decoded. This profile reads")
    }).pipe(Effect.provide(FakeIms.layerTest({ profile: { basicEncoding: "raw" } })))
  )

  it.effect("rejects clients with 400 and without a challenge when the profile is that of IdentityServer", () =>
    Effect.gen(function* () {
      const { app } = yield* setUp
      const byForm = yield* send("service-mine", "fake-secret-x")
      const byBasic = yield* sendBasic("service-mine:fake-secret-x")
      for (const { headers, status } of [byForm, byBasic]) {
        assert.strictEqual(status, 400)
        assert.notProperty(headers, "www-authenticate")
      }
      const granted = yield* post({
        grant_type: "client_credentials",
        client_id: app.credentials.clientId,
        client_secret: secret
      })
      assert.deepInclude(granted.body, { scope: "itwin-platform" })
    }).pipe(Effect.provide(FakeIms.layerTest({ profile: Profile.identityServer })))
  )
})
