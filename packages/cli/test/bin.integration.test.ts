// The command as a process: the one that is published, in a folder without packages, and the one of this repository.
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { FakeIms, FakeImsServer, Fault } from "@effect-itwin/testing"
import { Effect } from "effect"
import { secretOf } from "./harness.ts"

const source = fileURLToPath(new URL("../src/bin.ts", import.meta.url))
const build = fileURLToPath(new URL("../build.ts", import.meta.url))

const folder = realpathSync(mkdtempSync(join(tmpdir(), "itwin-auth-")))
const bundle = join(folder, "bin.js")

// The limit only ends a build that hangs, also on a slow machine.
beforeAll(() => {
  execFileSync(process.execPath, [build, "--out", folder])
}, 60_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const inherited = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(ITWIN_|GITHUB_|NODE_EXTRA|NO_COLOR|FORCE_COLOR)|_PROXY$/i.test(name)
  )
)

/** Starts the command. `use` is called when it runs. */
const start = (
  file: string,
  args: ReadonlyArray<string>,
  env: Record<string, string>,
  use: (child: ReturnType<typeof spawn>) => void = () => {}
): Effect.Effect<Outcome> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [file, ...args], { env: { ...inherited, ...env }, cwd: folder })
    const text = { stdout: "", stderr: "" }
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        text[name] += chunk
      })
    }
    child.on("close", (code) => resume(Effect.succeed({ code, ...text })))
    use(child)
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const withApp = <A, E>(use: (env: Record<string, string>, fake: FakeIms.FakeIms["Service"]) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fake = yield* FakeIms.FakeIms
    const app = yield* fake.registerApp({ name: "Mine" })
    const { apiBaseUrl, tokenEndpoint } = fake.environment
    return yield* use(
      {
        ITWIN_TOKEN_ENDPOINT: tokenEndpoint,
        ITWIN_API_URL: apiBaseUrl,
        ITWIN_CLIENT_ID: app.credentials.clientId,
        ITWIN_CLIENT_SECRET: secretOf(app)
      },
      fake
    )
  }).pipe(Effect.provide(FakeImsServer.layer({ algorithm: "EdDSA" })))

/** A proxy that counts the requests, and forwards them. */
const withProxy = <A, E>(use: (url: string, seen: ReadonlyArray<string>) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.callback<{ readonly url: string; readonly seen: Array<string>; readonly close: () => void }>((resume) => {
      const seen: Array<string> = []
      const server = createServer((incoming, outgoing) => {
        seen.push(`${incoming.method} ${incoming.url}`)
        const { headers, method } = incoming
        incoming.pipe(
          request(incoming.url ?? "", { headers, method }, (response) => {
            outgoing.writeHead(response.statusCode ?? 502, response.headers)
            response.pipe(outgoing)
          })
        )
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const close = () => {
          server.close()
          server.closeAllConnections()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, seen, close }))
      })
    }),
    ({ seen, url }) => use(url, seen),
    ({ close }) => Effect.sync(close)
  )

describe("the process itwin-auth", () => {
  describe.skipIf(process.platform === "win32")("with a pipe as the file of the secret", () => {
    const pipe = join(folder, "pipe")
    const ofPipe = ({ ITWIN_CLIENT_SECRET: _, ...env }: Record<string, string>) => ({
      ...env,
      ITWIN_CLIENT_SECRET_FILE: pipe
    })
    beforeAll(() => void execFileSync("mkfifo", ["-m", "600", pipe]))

    it.live("ends with the time limit when nobody writes to the pipe", () =>
      withApp((env) =>
        Effect.gen(function* () {
          const { code, stderr, stdout } = yield* start(source, ["token", "--timeout", "1"], ofPipe(env))
          assert.include(stderr, "did not return within")
          assert.deepStrictEqual([code, stdout], [1, ""])
        })
      )
    )

    it.live("waits for the process that writes the secret", () =>
      withApp((env) =>
        Effect.gen(function* () {
          const writing = () =>
            void spawn("sh", ["-c", `printf %s "$SECRET" > "${pipe}"`], {
              env: { ...inherited, SECRET: env.ITWIN_CLIENT_SECRET }
            })
          const { code, stderr, stdout } = yield* start(source, ["token"], ofPipe(env), writing)
          assert.strictEqual(stderr, "")
          assert.match(stdout, /^eyJ/)
          assert.strictEqual(code, 0)
        })
      )
    )
  })

  it.live.each([
    ["published", () => bundle],
    ["in the repository", () => source]
  ] as const)("prints a header that an API accepts when it runs as it is %s", ([_name, file]) =>
    withApp((env, fake) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* start(file(), ["token", "--format", "header"], env)
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        const [, authorization = ""] = /^Authorization: (Bearer \S+)\n$/.exec(stdout) ?? []
        const response = yield* Effect.promise(() =>
          fetch(`${fake.environment.apiBaseUrl}/users/me`, {
            headers: { authorization, accept: "application/vnd.bentley.itwin-platform.v1+json" }
          })
        )
        assert.strictEqual(response.status, 200)
      })
    )
  )

  it.live("prints nothing on stdout, one line on stderr and no stack when it fails", () =>
    withApp((env) =>
      Effect.gen(function* () {
        const wrong = { ...env, ITWIN_CLIENT_SECRET: "fake-secret-w+r/o=" }
        const vault = {
          ITWIN_KEY_VAULT_URL: "https://fake-vault.vault.azure.net",
          ITWIN_KEY_VAULT_JSON_NAME: "itwin",
          ITWIN_KEY_VAULT_CREDENTIAL: "managed-identity"
        }
        const nobody = { ITWIN_API_URL: "http://127.0.0.1:2", ITWIN_TOKEN_ENDPOINT: "http://127.0.0.1:2" }
        const failures = yield* Effect.all(
          [
            start(bundle, ["token"], wrong),
            start(bundle, ["token"], { ...env, ...nobody }),
            start(bundle, ["token", "--provider", "keyvault"], { ...env, ...vault }),
            start(bundle, ["token", "--format", "xml"], env),
            start(bundle, ["token"], { ...env, HTTPS_PROXY: "fake-secret-p+r/o=" })
          ],
          { concurrency: 2 }
        )
        assert.deepStrictEqual(
          failures.map(({ code }) => code),
          [1, 1, 2, 2, 2]
        )
        const reasons = [
          "regenerated",
          "ECONNREFUSED",
          "npm install @azure/identity",
          `"raw" | "header"`,
          "HTTPS_PROXY"
        ]
        failures.forEach(({ stderr, stdout }, i) => {
          assert.strictEqual(stdout, "")
          assert.match(stderr, /^itwin-auth: /)
          assert.include(stderr, reasons[i] ?? "?")
          assert.notMatch(stderr, /fake-secret|\n\s+at /)
        })
      })
    )
  )

  it.live("ends with 130 or 143 and says nothing when it is interrupted or terminated", () =>
    withApp((env, fake) =>
      Effect.gen(function* () {
        yield* fake.script("POST /connect/token", Fault.always(Fault.hang))
        for (const [signal, expected] of [
          ["SIGINT", 130],
          ["SIGTERM", 143]
        ] as const) {
          let child: ReturnType<typeof spawn> | undefined
          const running = start(bundle, ["token"], env, (started) => {
            child = started
          })
          const before = (yield* fake.tokenRequests).length
          const outcome = yield* Effect.all(
            [
              running,
              Effect.andThen(
                fake.awaitRequest("POST /connect/token", before + 1),
                Effect.sync(() => child?.kill(signal))
              )
            ],
            { concurrency: 2 }
          )
          assert.deepStrictEqual(outcome[0], { code: expected, stdout: "", stderr: "" })
        }
      })
    )
  )

  it.live("says that stdout was closed when its reader is gone", () =>
    withApp((env) =>
      Effect.gen(function* () {
        const { code, stderr } = yield* start(bundle, ["token"], env, (child) => child.stdout?.destroy())
        assert.strictEqual(stderr, "itwin-auth: Standard output was closed before everything was written.\n")
        assert.strictEqual(code, 1)
      })
    )
  )

  it.live("sends its requests through the proxy that HTTP_PROXY names, unless NO_PROXY lists the host", () =>
    withApp((env, fake) =>
      withProxy((proxy, seen) =>
        Effect.gen(function* () {
          const { tokenEndpoint } = fake.environment
          const through = yield* start(bundle, ["token"], { ...env, HTTP_PROXY: proxy })
          assert.strictEqual(through.code, 0)
          assert.deepStrictEqual(seen, [`POST ${tokenEndpoint}`])
          const direct = yield* start(bundle, ["token"], { ...env, HTTP_PROXY: proxy, NO_PROXY: "127.0.0.1" })
          assert.strictEqual(direct.code, 0)
          assert.strictEqual(seen.length, 1)
        })
      )
    )
  )

  it.live("prints a script for the shell with --completions", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* start(bundle, ["--completions", "bash"], {})
      assert.match(stdout, /itwin-auth[\s\S]*--token-endpoint[\s\S]*complete /)
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
    })
  )
})
