import { assert, describe, it } from "@effect/vitest"
import { Fault } from "@effect-itwin/testing"
import { Effect } from "effect"
import packageJson from "../package.json" with { type: "json" }
import { itwinAuth, withApp } from "./harness.ts"

const url = "http://127.0.0.1:1"

describe("itwin-auth", () => {
  it.effect.each<readonly [string, ReadonlyArray<string>, string]>([
    ["without a command", [], "USAGE"],
    ["with an unknown command", ["tokn"], `The command "tokn" does not exist. Did you mean token?`],
    ["with a secret as command", ["fake-secret-a+b/c="], "The command does not exist."],
    ["with an unknown option", ["token", "--forma"], `The option "forma" does not exist. Did you mean --format?`],
    ["with the secret as option", ["token", "--client-secret", "fake-secret-a+b/c="], "Set ITWIN_CLIENT_ID and"],
    ["with the secret in an option", ["token", "--client-secret=fake-secret-a+b/c="], "Set ITWIN_CLIENT_ID and"],
    [
      "with the secret in the name of an option",
      ["token", "--client-secretfake-secret-a+b"],
      "Set ITWIN_CLIENT_ID and"
    ],
    ["with one argument too many", ["token", "fake-secret-a+b/c="], "There is an unexpected argument."],
    ["with an unknown format", ["token", "--format", "fake-secret-a+b/c="], `Expected "raw" | "header" | "json".`],
    ["without the value of an option", ["token", "--format"], "The option --format needs a value."],
    ["with two formats", ["token", "--json", "--format", "header"], "contradict each other"],
    ["with a scope that can't be one", ["token", "--scope", `"`], "The value of --scope can't be used."],
    ["with no time", ["token", "--timeout", "0"], "Expected more than 0, up to 3600."],
    ["with a time that is no number", ["token", "--timeout", "soon"], "Expected a number."],
    ["with one URL", ["token", "--api-url", url], "belong together"],
    ["with two environments", ["token", "--environment", "qa", "--api-url", url, "--token-endpoint", url], "not both"],
    [
      "with a password in a URL",
      ["token", "--api-url", url, "--token-endpoint", "https://me:fake-secret-p+w@ims.example"],
      "The value of --token-endpoint can't be used. Expected a URL without user info, query or fragment."
    ],
    ["with something else than an id of an iTwin", ["doctor", "--itwin", "Bridge"], "is not an iTwin's id"]
  ])("prints nothing on stdout and ends with 2 when it is run %s", ([_name, args, reason]) =>
    withApp((app, fake) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* itwinAuth(app, args)
        assert.strictEqual(stdout, "")
        assert.include(stderr, reason)
        assert.strictEqual(code, 2)
        assert.notInclude(stderr, "fake-secret")
        assert.deepStrictEqual(yield* fake.journal, [])
      })
    )
  )

  it.effect("prints help and version on stdout when they are asked for", () =>
    withApp((app) =>
      Effect.gen(function* () {
        for (const [args, text] of [
          [["--help"], "SUBCOMMANDS"],
          [["token", "--help"], "--format"],
          [["doctor", "-h"], "--itwin"],
          [["--version"], `itwin-auth ${packageJson.version}\n`]
        ] as const) {
          const { code, stderr, stdout } = yield* itwinAuth(app, args)
          assert.include(stdout, text)
          assert.strictEqual(stderr, "")
          assert.strictEqual(code, 0)
        }
      })
    )
  )

  it.effect("takes the shared options before and after the command", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const shared = ["--environment", "production", "--timeout", "5", "--provider", "env", "--json"]
        for (const args of [
          [...shared, "whoami"],
          ["whoami", ...shared]
        ]) {
          const { stdout } = yield* itwinAuth(app, args, { env: { ITWIN_ENVIRONMENT: "qa" } })
          assert.strictEqual(JSON.parse(stdout).environment, "production")
        }
      })
    )
  )
})

describe("itwin-auth whoami", () => {
  it.effect.each(["whoami", "doctor"])("replaces control characters in the name of the app with %s", (command) =>
    withApp((app, fake) =>
      Effect.gen(function* () {
        const user = { id: "1", givenName: "Mine\u001b]0;x\u0007\r\u009b2J\u202e" }
        yield* fake.script("GET /users/me", Fault.always(Fault.respond({ status: 200, body: { user } })))
        const { code, stdout } = yield* itwinAuth(app, [command])
        assert.include(stdout, "Mine\uFFFD]0;x\uFFFD\uFFFD\uFFFD2J\uFFFD")
        assert.strictEqual(code, 0)
      })
    )
  )

  it.effect("prints the app", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* itwinAuth(app, ["whoami"])
        const { clientEmail, clientId } = app.credentials
        assert.match(
          stdout,
          new RegExp(
            `^name         Mine\ne-mail       ${clientEmail}\nuser id      [0-9a-f-]{36}\nclient id    ${clientId}\nenvironment  production\n$`
          )
        )
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
      })
    )
  )

  it.effect("prints the app as JSON with --json", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const { stdout } = yield* itwinAuth(app, ["whoami", "--json"])
        const { clientEmail, clientId } = app.credentials
        assert.include(JSON.parse(stdout), {
          givenName: "Mine",
          email: clientEmail,
          clientId,
          environment: "production"
        })
      })
    )
  )

  it.effect("ends with 1 when the API rejects the token", () =>
    withApp(
      (app) =>
        Effect.gen(function* () {
          const { code, stderr, stdout } = yield* itwinAuth(app, ["whoami", "--scope", "itwins:read"])
          assert.strictEqual(stdout, "")
          assert.match(stderr, /^itwin-auth: The (API|app|token) .*status 40[13]/)
          assert.strictEqual(code, 1)
        }),
      ["itwins:read"]
    )
  )
})
