import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"
import { run } from "./spawn.ts"

const main = fileURLToPath(new URL("../quickstart/main.ts", import.meta.url))

/** As `pnpm start` runs it. */
const quickstart = (variables: Record<string, string>) => run([main], variables)

const variablesOf = (environment: { tokenEndpoint: string; apiBaseUrl: string }, app: FakeIms.App) => ({
  ITWIN_TOKEN_ENDPOINT: environment.tokenEndpoint,
  ITWIN_API_URL: environment.apiBaseUrl,
  ITWIN_CLIENT_ID: app.credentials.clientId,
  ITWIN_CLIENT_SECRET: Redacted.value(app.credentials.clientSecret)
})

const withApp = <A, E>(
  use: (variables: ReturnType<typeof variablesOf>) => Effect.Effect<A, E, FakeIms.FakeIms>,
  scopes?: ReadonlyArray<string>
) =>
  Effect.gen(function* () {
    const fake = yield* FakeIms.FakeIms
    return yield* use(variablesOf(fake.environment, yield* fake.registerApp({ name: "Mine", scopes })))
  }).pipe(Effect.provide(FakeImsServer.layer()))

describe("pnpm start", () => {
  it.live("runs against a fake over HTTP when no credentials are set", () =>
    Effect.gen(function* () {
      const { code, stdout, stderr } = yield* quickstart({})
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
      assert.match(stdout, /Asked +http:\/\/127\.0\.0\.1:\d+\/connect\/token \(fake\)/)
      assert.match(stdout, /Granted +Bearer token, scope itwin-platform, life 1h/)
      assert.match(stdout, /Who am I +Quickstart/)
      assert.match(stdout, /Second get +the same token, from memory/)
      assert.match(stdout, /Requests +1 to the token endpoint/)
      assert.notMatch(stdout, /eyJ|fake-secret-/)
    })
  )

  it.live("prints what the README shows when no credentials are set", () =>
    Effect.gen(function* () {
      const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8")
      const generic = (text: string) => text.replace(/127\.0\.0\.1:\d+/g, "host").replace(/service-\w{25}/g, "client")
      assert.include(generic(readme), generic((yield* quickstart({})).stdout).trim())
    })
  )

  it.live("requests a token from the configured endpoint, and shows the app, when credentials are set", () =>
    withApp((variables) =>
      Effect.gen(function* () {
        const { code, stdout } = yield* quickstart(variables)
        assert.strictEqual(code, 0)
        assert.include(stdout, `${variables.ITWIN_TOKEN_ENDPOINT} (custom)`)
        assert.match(stdout, /Who am I +Mine/)
        assert.notInclude(stdout, variables.ITWIN_CLIENT_SECRET)
        assert.strictEqual((yield* (yield* FakeIms.FakeIms).tokenRequests).length, 1)
      })
    )
  )

  const nothing = { ITWIN_TOKEN_ENDPOINT: "http://127.0.0.1:2/connect/token", ITWIN_API_URL: "http://127.0.0.1:2" }

  it.live.each<readonly [string, Record<string, string | undefined>, string, string]>([
    ["a wrong secret", { ITWIN_CLIENT_SECRET: "fake-secret-wrong" }, "TokenError/InvalidClient", "regenerated"],
    ["an unknown client", { ITWIN_CLIENT_ID: "service-unknown" }, "TokenError/InvalidClient", "same app"],
    ["no secret", { ITWIN_CLIENT_SECRET: undefined }, "TokenError/SecretUnavailable", "ITWIN_CLIENT_SECRET is not set"],
    ["no id", { ITWIN_CLIENT_ID: undefined }, "TokenError/SecretUnavailable", "ITWIN_CLIENT_ID is not set"],
    [
      "an unknown host",
      { ITWIN_TOKEN_ENDPOINT: "https://ims.invalid/connect/token" },
      "TokenError/Transport",
      "resolved"
    ],
    ["nothing listening", nothing, "TokenError/Transport", "refused the connection"],
    ["an API as token endpoint", { ITWIN_TOKEN_ENDPOINT: "/users/me" }, "TokenError/UnexpectedStatus", "405"],
    ["half an environment", { ITWIN_API_URL: undefined }, "ConfigError", "ITWIN_API_URL"],
    ["an unknown environment", { ITWIN_ENVIRONMENT: "moon" }, "ConfigError", "ITWIN_ENVIRONMENT"]
  ])("exits with 1 and one readable error when it meets %s", ([_name, change, error, advice]) =>
    withApp((variables) =>
      Effect.gen(function* () {
        const changed = Object.entries({ ...variables, ...change }).flatMap(([name, value]) =>
          value === undefined ? [] : [[name, value.startsWith("/") ? variables.ITWIN_API_URL + value : value]]
        )
        const { code, stdout, stderr } = yield* quickstart(Object.fromEntries(changed))
        assert.strictEqual(code, 1)
        assert.include(stderr, `${error}: `)
        assert.include(stderr, advice)
        assert.notMatch(stderr, /\n\s+at .*[:(]/)
        assert.notInclude(stdout + stderr, variables.ITWIN_CLIENT_SECRET)
      })
    )
  )

  it.live("fails with InvalidScope, and says what to do, when a scope was not granted", () =>
    withApp(
      (variables) =>
        Effect.gen(function* () {
          const { code, stderr } = yield* quickstart(variables)
          assert.strictEqual(code, 1)
          assert.include(stderr, 'TokenError/InvalidScope: IMS did not grant the app the scope "itwin-platform"')
        }),
      ["users:read"]
    )
  )
})
