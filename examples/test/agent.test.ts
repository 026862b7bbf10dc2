import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"
import { run, start } from "./spawn.ts"

const main = fileURLToPath(new URL("../agent/main.ts", import.meta.url))

/** Sends a request to the socket, as `curl --unix-socket` does. */
const ask = (socketPath: string, path: string) =>
  Effect.callback<{ readonly status: number | undefined; readonly text: string }>((resume) => {
    request({ socketPath, path, headers: { host: "agent" } }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk
      })
      response.on("end", () => resume(Effect.succeed({ status: response.statusCode, text })))
    }).end()
  })

const withFolder = <A, E, R>(use: (folder: string) => Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "itwin-agent-"))),
    use,
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

const variables = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  const { credentials } = yield* fake.registerApp({ name: "Agent" })
  return {
    ITWIN_TOKEN_ENDPOINT: fake.environment.tokenEndpoint,
    ITWIN_API_URL: fake.environment.apiBaseUrl,
    ITWIN_CLIENT_ID: credentials.clientId,
    ITWIN_CLIENT_SECRET: Redacted.value(credentials.clientSecret)
  }
})

describe("examples/agent", () => {
  it.live("gives one token to all who ask on a socket that only its user can open, and removes the socket", () =>
    withFolder((folder) =>
      Effect.gen(function* () {
        const socket = join(folder, "agent.sock")
        const env = { ...(yield* variables), ITWIN_AGENT_SOCKET: socket }
        const agent = yield* start([main], env, /Listening on (\S+)/)
        assert.strictEqual(statSync(socket).mode & 0o777, 0o600)
        const answers = yield* Effect.all([ask(socket, "/token"), ask(socket, "/token")], { concurrency: 2 })
        assert.deepStrictEqual(answers[0], answers[1])
        const { text } = yield* ask(socket, "/header")
        assert.strictEqual(text, `Authorization: Bearer ${answers[0].text}`)
        yield* (yield* FakeIms.FakeIms).assertTokenRequests(1)

        const second = yield* run([main], env)
        assert.include(second.stdout, "listens on")
        assert.strictEqual(second.code, 1)

        yield* agent.kill("SIGTERM")
        const { code, stderr, stdout } = yield* agent.outcome
        assert.strictEqual(code, 0)
        assert.notInclude(stdout + stderr, answers[0].text.trim())
        assert.isUndefined(statSync(socket, { throwIfNoEntry: false }))
      })
    ).pipe(Effect.scoped, Effect.provide(FakeImsServer.layer()))
  )

  it.live("replaces the socket that a killed agent left, and no other file", () =>
    withFolder((folder) =>
      Effect.gen(function* () {
        const socket = join(folder, "agent.sock")
        const env = { ...(yield* variables), ITWIN_AGENT_SOCKET: socket }
        const killed = yield* start([main], env, /Listening on (\S+)/)
        yield* killed.kill("SIGKILL")
        yield* killed.outcome
        assert.isTrue(statSync(socket).isSocket())
        yield* start([main], env, /Listening on (\S+)/)
        assert.strictEqual((yield* ask(socket, "/token")).status, 200)

        const file = join(folder, "file")
        writeFileSync(file, "")
        const refused = yield* run([main], { ...env, ITWIN_AGENT_SOCKET: file })
        assert.include(refused.stdout, "is not a socket")
        assert.strictEqual(refused.code, 1)
        assert.isTrue(statSync(file).isFile())
      })
    ).pipe(Effect.scoped, Effect.provide(FakeImsServer.layer()))
  )
})
