import { assert, describe, it } from "@effect/vitest"
import { Fault } from "@effect-itwin/testing"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { itwinAuth, secretOf, withApp } from "./harness.ts"

const jwt = /^[\w-]+\.[\w-]+\.[\w-]*$/

describe("itwin-auth token", () => {
  it.effect("prints the token and a line break, and nothing else", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* itwinAuth(app, ["token"])
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        assert.isTrue(stdout.endsWith("\n"))
        assert.match(stdout.slice(0, -1), jwt)
      })
    )
  )

  it.effect("prints a header that curl reads with --format header", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const { stdout } = yield* itwinAuth(app, ["token", "--format", "header"])
        assert.match(stdout, /^Authorization: Bearer [\w.-]+\n$/)
      })
    )
  )

  for (const args of [
    ["token", "--format", "json"],
    ["token", "--json"],
    ["--json", "token"]
  ]) {
    it.effect(`prints the token with its expiry and scope with ${args.join(" ")}`, () =>
      withApp((app) =>
        Effect.gen(function* () {
          const { stdout } = yield* itwinAuth(app, args)
          const { access_token, ...rest } = JSON.parse(stdout)
          assert.match(access_token, jwt)
          assert.deepStrictEqual(rest, {
            token_type: "Bearer",
            expires_in: 3600,
            expires_at: "1970-01-01T01:00:00.000Z",
            scope: "itwin-platform",
            client_id: app.credentials.clientId
          })
        })
      )
    )
  }

  it.effect("requests each scope that is given", () =>
    withApp(
      (app) =>
        Effect.gen(function* () {
          const { stdout } = yield* itwinAuth(app, [
            "token",
            "--json",
            "--scope",
            "users:read",
            "--scope",
            "itwins:read"
          ])
          assert.strictEqual(JSON.parse(stdout).scope, "itwins:read users:read")
        }),
      ["users:read", "itwins:read"]
    )
  )

  it.effect("reads the secret from the file that ITWIN_CLIENT_SECRET_FILE names", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const { code } = yield* itwinAuth(app, ["token"], {
          env: { ITWIN_CLIENT_SECRET: undefined, ITWIN_CLIENT_SECRET_FILE: "/run/secret" },
          files: { "/run/secret": `${secretOf(app)}\n` }
        })
        assert.strictEqual(code, 0)
      })
    )
  )

  it.effect("masks the token on stderr before it is printed when GitHub Actions runs it", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const { stderr, stdout } = yield* itwinAuth(app, ["token"], { env: { GITHUB_ACTIONS: "true" } })
        assert.strictEqual(stderr, `::add-mask::${stdout}`)
        // Nothing was printed, and the mask is there.
        const closed = yield* itwinAuth(app, ["token"], { env: { GITHUB_ACTIONS: "true" }, isClosed: true })
        assert.match(closed.stderr, /^::add-mask::[\w.-]+\nitwin-auth: Standard output was closed/)
        assert.strictEqual(closed.code, 1)
      })
    )
  )

  it.effect("warns on stderr when stdout is a terminal", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const { stderr, stdout } = yield* itwinAuth(app, ["token"], { terminals: ["stdout"] })
        assert.include(stderr, "The token is shown on a terminal.")
        assert.match(stdout.trim(), jwt)
        assert.notInclude(stderr, stdout.trim())
      })
    )
  )

  it.effect("shows a spinner on the terminal at stderr while IMS takes long, and removes it", () =>
    withApp((app, fake) =>
      Effect.gen(function* () {
        const [at, off] = yield* Effect.forEach([["stderr" as const], []], (terminals) =>
          Effect.gen(function* () {
            yield* fake.script("POST /connect/token", Fault.once(Fault.delay("2 seconds")))
            const fiber = yield* Effect.forkChild(itwinAuth(app, ["token"], { terminals }))
            yield* TestClock.adjust("2 seconds")
            return yield* Fiber.join(fiber)
          })
        )
        assert.include(at?.stderr, "⠙ Requesting a token")
        assert.isTrue(at?.stderr.endsWith("\r\u001B[2K"))
        assert.match(at?.stdout.trim() ?? "", jwt)
        assert.strictEqual(off?.stderr, "")
      })
    )
  )

  it.effect("shows no spinner when the token comes at once", () =>
    withApp((app) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* itwinAuth(app, ["token"], { terminals: ["stderr"] })).stderr, "")
      })
    )
  )

  const unset = { ITWIN_CLIENT_ID: undefined, ITWIN_CLIENT_SECRET: undefined }

  it.effect.each<readonly [string, number, string, ReadonlyArray<string>, Record<string, string | undefined>]>([
    ["the secret is wrong", 1, "IMS rejected the client id", [], { ITWIN_CLIENT_SECRET: "fake-secret-w+r/o=" }],
    ["the scope was not granted", 1, `did not grant the app the scope "x:y"`, ["--scope", "x:y"], {}],
    ["no credentials are set", 2, "with --provider keyvault. See", [], unset],
    ["only a vault is named", 2, "ITWIN_KEY_VAULT_URL is set: add", [], { ...unset, ITWIN_KEY_VAULT_URL: "x" }],
    ["other software has the credentials", 2, "IMJS_CLIENT_ID is set, but", [], { ...unset, IMJS_CLIENT_ID: "x" }],
    ["the secret is not set", 2, "ITWIN_CLIENT_SECRET is not set", [], { ITWIN_CLIENT_SECRET: undefined }],
    ["id and secret are swapped", 2, "swapped", [], { ITWIN_CLIENT_ID: "fake-secret-i+d/=" }],
    ["the environment is unknown", 2, `ITWIN_ENVIRONMENT: Expected "production"`, [], { ITWIN_ENVIRONMENT: "moon" }],
    ["one URL is missing", 2, "ITWIN_TOKEN_ENDPOINT and ITWIN_API_URL together", [], { ITWIN_API_URL: "https://a" }],
    ["the vault is not named", 2, "ITWIN_KEY_VAULT_URL is not set", ["--provider", "keyvault"], {}],
    ["the proxy is not a URL", 2, "HTTPS_PROXY is not the URL of a proxy", [], { HTTPS_PROXY: "fake-secret-p+r/o=" }]
  ])("prints nothing on stdout, and the reason on stderr, when %s", ([_name, expected, reason, args, env]) =>
    withApp((app) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* itwinAuth(app, ["token", ...args], { env })
        assert.strictEqual(stdout, "")
        assert.match(stderr, /^itwin-auth: [A-Z]\S+ .*\.|See docs/)
        assert.include(stderr, reason)
        assert.strictEqual(stderr.split("\n").length, 2)
        assert.strictEqual(code, expected)
        assert.notMatch(stderr, /fake-secret|\n\s+at /)
      })
    )
  )

  it.effect("ends after the time limit of --timeout, and says which flag sets it", () =>
    withApp((app, fake) =>
      Effect.gen(function* () {
        yield* fake.script("POST /connect/token", Fault.times(Fault.hang, 9))
        const fiber = yield* Effect.forkChild(itwinAuth(app, ["token", "--timeout", "2"]))
        yield* TestClock.adjust("2 seconds")
        const { code, stderr } = yield* Fiber.join(fiber)
        assert.include(stderr, "within 2 s.")
        assert.include(stderr, "--timeout sets this limit.")
        assert.strictEqual(code, 1)
      })
    )
  )

  it.effect("names the proxy when the connection fails", () =>
    withApp((app, fake) =>
      Effect.gen(function* () {
        yield* fake.script("POST /connect/token", Fault.times(Fault.reset, 9))
        const fiber = yield* Effect.forkChild(
          itwinAuth(app, ["token"], { env: { HTTPS_PROXY: "http://me:fake-secret-p+w@proxy.example:3128" } })
        )
        yield* TestClock.adjust("20 seconds")
        const { stderr } = yield* Fiber.join(fiber)
        assert.include(stderr, "goes through the proxy proxy.example:3128 (HTTPS_PROXY)")
        assert.notInclude(stderr, "fake-secret")
      })
    )
  )
})
