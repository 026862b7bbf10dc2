import { assert, describe, it } from "@effect/vitest"
import { Environment } from "@effect-itwin/core"
import { Config, ConfigProvider, Effect, Exit } from "effect"

const custom = (tokenEndpoint: string) => Environment.custom({ tokenEndpoint, apiBaseUrl: "https://api.example.com" })

const load = (variables: Record<string, string>) => Environment.config.parse(ConfigProvider.fromEnvRecord(variables))

describe("Environment", () => {
  it.effect("returns production when no environment is provided", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Environment.Environment, Environment.production)
      assert.strictEqual(
        yield* Effect.provide(Environment.Environment, Environment.layer(Environment.qa)),
        Environment.qa
      )
    })
  )

  it.each([
    "https://ims.example.com/connect/token",
    "http://127.0.0.1:8080/connect/token",
    "http://127.8.9.10/connect/token",
    "http://[::1]:1/connect/token",
    "http://localhost/connect/token"
  ])("accepts the token endpoint %s", (url) => {
    assert.strictEqual(custom(url).tokenEndpoint, url)
  })

  it.each([
    ["connect/token", "absolute"],
    ["", "absolute"],
    ["ftp://ims.example.com/x", "https"],
    ["http://ims.example.com/connect/token", "loopback|127"],
    ["http://localhost.example.com/x", "127"],
    ["http://127.0.0.1.example.com/x", "127"],
    ["http://128.0.0.1/x", "127"],
    ["http://[::2]/x", "127"],
    ["https://user@ims.example.com/x", "user info"],
    ["https://user:word@ims.example.com/x", "user info"],
    ["https://:word@ims.example.com/x", "user info"],
    ["https://ims.example.com/x?a=b", "query"],
    ["https://ims.example.com/x#f", "fragment"]
  ])("rejects the token endpoint %j, and says why", (url, why) => {
    assert.throws(() => custom(url), new RegExp(why))
    assert.throws(() => custom(url), /tokenEndpoint/)
  })

  it("names the issuer and the endpoints of users", () => {
    assert.deepInclude(Environment.production, {
      issuer: "https://ims.bentley.com",
      authorizationEndpoint: "https://ims.bentley.com/connect/authorize",
      userinfoEndpoint: "https://ims.bentley.com/connect/userinfo",
      revocationEndpoint: "https://ims.bentley.com/connect/revocation",
      endSessionEndpoint: "https://ims.bentley.com/connect/endsession"
    })
    assert.strictEqual(Environment.qa.authorizationEndpoint, "https://qa-ims.bentley.com/connect/authorize")
    assert.strictEqual(Environment.qa.issuer, "https://qa-ims.bentley.com")
  })

  const endpoints = ["authorizationEndpoint", "userinfoEndpoint", "revocationEndpoint", "endSessionEndpoint"] as const

  it("derives what is not given from the token endpoint", () => {
    const derived = custom("https://ims.example.com/tenant/token")
    assert.strictEqual(derived.issuer, "https://ims.example.com")
    assert.strictEqual(derived.authorizationEndpoint, "https://ims.example.com/tenant/authorize")
    assert.strictEqual(derived.userinfoEndpoint, "https://ims.example.com/tenant/userinfo")
    assert.strictEqual(derived.revocationEndpoint, "https://ims.example.com/tenant/revocation")
    assert.strictEqual(derived.endSessionEndpoint, "https://ims.example.com/tenant/endsession")
    for (const field of [...endpoints, "issuer"] as const) {
      const url = "https://other.example.com/x"
      assert.deepStrictEqual(Environment.custom({ ...derived, [field]: url }), { ...derived, [field]: url })
      assert.strictEqual(Environment.custom({ ...derived, [field]: undefined })[field], derived[field])
    }
  })

  it("keeps the issuer as it is given, because it is compared as text", () => {
    const given = { tokenEndpoint: "https://ims.example.com/t", apiBaseUrl: "https://api.example.com" }
    for (const issuer of ["https://ims.example.com", "https://ims.example.com/", "https://IMS.example.com/tenant"]) {
      assert.strictEqual(Environment.custom({ ...given, issuer }).issuer, issuer)
    }
  })

  it.each([...endpoints, "issuer"] as const)("applies the rules of the token endpoint to %s", (field) => {
    const given = { tokenEndpoint: "https://ims.example.com/t", apiBaseUrl: "https://api.example.com" }
    for (const url of [
      "http://ims.example.com/x",
      "x",
      "https://a@b.example/",
      "https://b.example/?x",
      "https://b.example/#x"
    ]) {
      assert.throws(() => Environment.custom({ ...given, [field]: url }), new RegExp(field))
    }
    const insecure = { ...given, [field]: "http://ims.example.com/x", [Environment.allowInsecureHttp]: true }
    assert.strictEqual(Environment.custom(insecure)[field], "http://ims.example.com/x")
  })

  it("drops the trailing slash of the API's URL", () => {
    const { apiBaseUrl } = Environment.custom({
      tokenEndpoint: "https://ims.example.com/t",
      apiBaseUrl: "https://api.example.com/v1//"
    })
    assert.strictEqual(apiBaseUrl, "https://api.example.com/v1")
  })

  it("permits http to other hosts when the option has the symbol as its key", () => {
    const options = { tokenEndpoint: "http://ims.internal/t", apiBaseUrl: "http://api.internal" }
    assert.throws(() => Environment.custom(options))
    assert.throws(() => Environment.custom(JSON.parse(JSON.stringify({ ...options, allowInsecureHttp: true }))))
    const environment = Environment.custom({ ...options, [Environment.allowInsecureHttp]: true })
    assert.strictEqual(environment.tokenEndpoint, options.tokenEndpoint)
  })

  it.effect("fails when an environment that breaks the rules is read", () =>
    Effect.gen(function* () {
      const read = (environment: Environment.Environment) =>
        Effect.exit(Effect.provide(Environment.current, Environment.layer(environment)))
      const hand = JSON.parse(
        '{"name":"hand","tokenEndpoint":"http://ims.example/t","apiBaseUrl":"https://api.example"}'
      )
      assert.include(String(yield* read(hand)), "Expected an https URL")
      const made = Environment.custom({ ...hand, [Environment.allowInsecureHttp]: true })
      assert.deepStrictEqual(yield* read(made), Exit.succeed(made))
      assert.include(String(yield* read({ ...made })), "Expected an https URL")
    })
  )

  describe("config", () => {
    it.effect("returns the environment when the variables have a name, two URLs, or nothing", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* load({}), Environment.production)
        assert.strictEqual(yield* load({ ITWIN_ENVIRONMENT: "" }), Environment.production)
        assert.strictEqual(yield* load({ ITWIN_ENVIRONMENT: "production" }), Environment.production)
        assert.strictEqual(yield* load({ ITWIN_ENVIRONMENT: "qa" }), Environment.qa)
        assert.deepStrictEqual(
          yield* load({ ITWIN_TOKEN_ENDPOINT: "http://localhost:1/t", ITWIN_API_URL: "http://localhost:2/" }),
          {
            name: "custom",
            tokenEndpoint: "http://localhost:1/t",
            apiBaseUrl: "http://localhost:2",
            issuer: "http://localhost:1",
            authorizationEndpoint: "http://localhost:1/authorize",
            userinfoEndpoint: "http://localhost:1/userinfo",
            revocationEndpoint: "http://localhost:1/revocation",
            endSessionEndpoint: "http://localhost:1/endsession"
          }
        )
      })
    )

    it.effect.each([
      [{ ITWIN_ENVIRONMENT: "staging" }, "ITWIN_ENVIRONMENT"],
      [{ ITWIN_ENVIRONMENT: " " }, "ITWIN_ENVIRONMENT"],
      [{ ITWIN_TOKEN_ENDPOINT: "https://a.example/t" }, "together: ITWIN_API_URL is not set"],
      [{ ITWIN_API_URL: "https://a.example" }, "together: ITWIN_TOKEN_ENDPOINT is not set"],
      [
        { ITWIN_ENVIRONMENT: "qa", ITWIN_TOKEN_ENDPOINT: "https://a.example/t", ITWIN_API_URL: "https://a.example" },
        "not both"
      ],
      [{ ITWIN_TOKEN_ENDPOINT: "http://a.example/t", ITWIN_API_URL: "https://a.example" }, "https URL"]
    ] as const)("fails with a ConfigError when the variables are %j", ([variables, why]) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(load(variables))
        assert.instanceOf(error, Config.ConfigError)
        assert.include(error.message, why)
      })
    )
  })
})
