import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Effect } from "effect"
import { freePort, makeBrowser, variablesOf } from "./browser.ts"
import { start } from "./spawn.ts"

const file = new URL("../native/main.ts", import.meta.url)

/** The example as a process, which has printed where to sign in. */
const startProgram = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  yield* fake.addUser({ email: "ada@example.com", givenName: "Ada", surname: "Lovelace" })
  const redirectUris = [`http://127.0.0.1:${yield* freePort}/first`, `http://127.0.0.1:${yield* freePort}/second`]
  const { credentials } = yield* fake.registerApp({ name: "Native", type: "native", redirectUris })
  const program = yield* start(
    [fileURLToPath(file)],
    { ...variablesOf(fake.environment, credentials), OPEN_BROWSER: "false", REDIRECT_URIS: redirectUris.join(",") },
    /Sign in at (\S+)/
  )
  return { fake, ...program }
})

describe("examples/native", () => {
  it.live("signs a person in, calls the platform, and signs out, over sockets", () =>
    Effect.gen(function* () {
      const { fake, outcome, url } = yield* startProgram
      const callback = yield* fake.signIn(url)
      const page = yield* makeBrowser(callback.origin).open(callback.href)
      assert.strictEqual(page.status, 200)
      assert.include(page.text, "You can close this window")
      const { code, stderr, stdout } = yield* outcome
      assert.strictEqual(code, 0, stdout + stderr)
      assert.include(stdout, "Hello Ada Lovelace")
      assert.strictEqual(stderr, "")
      assert.strictEqual(yield* fake.countRequests("POST /connect/revocation"), 1)
    }).pipe(Effect.scoped, Effect.provide(FakeImsServer.layer()))
  )

  it.live("ends with a message when the person declines", () =>
    Effect.gen(function* () {
      const { fake, outcome, url } = yield* startProgram
      const callback = yield* fake.signIn(url, { deny: true })
      const page = yield* makeBrowser(callback.origin).open(callback.href)
      assert.strictEqual(page.status, 403)
      const { code, stderr, stdout } = yield* outcome
      assert.strictEqual(code, 1)
      assert.include(stdout + stderr, "The user did not sign in or did not consent")
    }).pipe(Effect.scoped, Effect.provide(FakeImsServer.layer()))
  )
})

describe("docs/native-app.md", () => {
  it("shows main.ts as it is", () => {
    assert.include(
      readFileSync(new URL("../../docs/native-app.md", import.meta.url), "utf8"),
      readFileSync(file, "utf8")
    )
  })
})
