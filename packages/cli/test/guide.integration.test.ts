// The screens of docs/cli.md are what the command prints, but for ids and the port of the fake.
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { itwinAuth } from "./harness.ts"

const guide = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8")

const screens = [...guide.matchAll(/^```console\n\$ (.*)\n([\s\S]*?)\n```$/gm)].map(
  ([, command = "", screen = ""]) => ({
    command,
    screen
  })
)

const generic = (text: string) =>
  text
    .replace(/eyJ[\w.-]+…?/g, "token")
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b/g, "id")
    .replace(/127\.0\.0\.1:\d+/g, "host")
    .replace(/\s+/g, " ")
    .trim()

/** Takes the variables before the command, as a shell does. */
const parse = (command: string) => {
  const words = command.split(" ")
  const at = words.indexOf("itwin-auth")
  const env = Object.fromEntries(
    words
      .slice(0, at)
      .filter((word) => word !== "env" && word !== "-u")
      .map((word) => word.split("="))
      .map(([name, value]) => [name, value])
  )
  return { env, args: words.slice(at + 1) }
}

const fixed = { name: "Sync", clientId: "service-fixed", clientSecret: Redacted.make("fake-secret-a+b/c=") }

const setUp = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  const app = yield* fake.registerApp(fixed)
  const { clientEmail: email } = app.credentials
  const [full, empty] = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"] as const
  yield* fake.createITwin({ displayName: "Bridge", id: full })
  const permissions = ["imodels_read", "itwins_read"]
  const { id } = yield* fake.addRole(full, { displayName: "Reader", permissions })
  yield* fake.addMember(full, { email, roleIds: [id] })
  yield* fake.createITwin({ displayName: "Empty", id: empty })
  yield* fake.addMember(empty, { email })
  return { app, environment: fake.environment }
})

describe("the guide of itwin-auth", () => {
  it("has screens of each command", () => {
    assert.isAbove(screens.length, 6)
    for (const name of ["token", "whoami", "doctor"]) {
      assert.isTrue(screens.some(({ command }) => command.includes(`itwin-auth ${name}`)))
    }
  })

  it.live.each(screens)("shows what the command prints: $command", ({ command, screen }) =>
    Effect.gen(function* () {
      const { app, environment } = yield* setUp
      const { args, env } = parse(command)
      const { stderr, stdout } = yield* itwinAuth(app, args, {
        terminals: ["stdout"],
        env: {
          NO_COLOR: "1",
          ITWIN_TOKEN_ENDPOINT: environment.tokenEndpoint,
          ITWIN_API_URL: environment.apiBaseUrl,
          ...env
        }
      })
      // What is said about the output comes before it.
      assert.strictEqual(generic(stderr + stdout), generic(screen))
    }).pipe(Effect.provide(Layer.merge(FakeImsServer.layer({ algorithm: "EdDSA" }), FetchHttpClient.layer)))
  )
})
