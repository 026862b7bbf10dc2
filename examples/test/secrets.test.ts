import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"
import { run } from "./spawn.ts"

const main = fileURLToPath(new URL("../secrets/main.ts", import.meta.url))

/** Runs the example against a fake of the platform in which the app is registered. */
const secrets = (variables: Record<string, string>) =>
  Effect.gen(function* () {
    const { environment, registerApp } = yield* FakeIms.FakeIms
    const { credentials } = yield* registerApp({ name: "Mine" })
    return yield* run([main], {
      ITWIN_TOKEN_ENDPOINT: environment.tokenEndpoint,
      ITWIN_API_URL: environment.apiBaseUrl,
      ITWIN_CLIENT_ID: credentials.clientId,
      ITWIN_CLIENT_SECRET: Redacted.value(credentials.clientSecret),
      ...variables
    })
  }).pipe(Effect.provide(FakeImsServer.layer()))

describe("examples/secrets", () => {
  it.live.each([{}, { ITWIN_SECRETS: "static" }, { ITWIN_SECRETS: "environment" }])(
    "prints the user when the secrets example runs with %j",
    (chosen) =>
      Effect.gen(function* () {
        const { code, stdout, stderr } = yield* secrets(chosen)
        assert.deepStrictEqual([code, stdout, stderr], [0, "I am Mine.\n", ""])
      })
  )

  it.live.each([
    [{ ITWIN_SECRETS: "key-vault" }, "ITWIN_KEY_VAULT_URL"],
    [{ ITWIN_SECRETS: "drawer" }, "ITWIN_SECRETS"],
    [
      {
        ITWIN_SECRETS: "key-vault",
        ITWIN_KEY_VAULT_URL: "https://my-vault.vault.azure.net",
        ITWIN_KEY_VAULT_CLIENT_ID: "service-1",
        ITWIN_KEY_VAULT_CLIENT_SECRET_NAME: "itwin-client-secret"
      },
      "ITWIN_KEY_VAULT_CREDENTIAL"
    ]
  ] as const)("names what is missing when the secrets example runs with %j", ([chosen, variable]) =>
    Effect.gen(function* () {
      const { code, stdout, stderr } = yield* secrets(chosen)
      assert.strictEqual(code, 1)
      assert.include(stderr, "ConfigError: ")
      assert.include(stderr, variable)
      assert.notMatch(stdout + stderr, /fake-secret-/)
    })
  )
})
