import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { get } from "node:https"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { afterAll, beforeAll } from "vitest"
import { selfSigned } from "../src/internal/serve/certificate.ts"
import { type Bin, call, run, start, started } from "./bin.ts"
import { contract } from "./contract.ts"
import { faults } from "./faults.ts"
import { layerRemote } from "./remote.ts"
import { usersContract } from "./usersContract.ts"

const directory = mkdtempSync(join(tmpdir(), "fake-ims-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const fileOf = (name: string, content: unknown): string => {
  const path = join(directory, name)
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content))
  return path
}

const tokenOf = Effect.fnUntraced(function* ({ url, apps }: Bin["facts"], index = 0) {
  const app = apps[index]
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: app?.clientId ?? "",
    client_secret: app?.clientSecret ?? ""
  })
  return yield* call(url, "POST /connect/token", {
    text: form.toString(),
    headers: { "content-type": "application/x-www-form-urlencoded" }
  })
})

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const withToken = (answer: { readonly body: { readonly access_token: string } }) => ({
  headers: { authorization: `Bearer ${answer.body.access_token}` }
})

/** Reads the journal until it has an entry for the route. */
const arrived = (url: string, route: string): Effect.Effect<void> =>
  Effect.flatMap(call(url, "GET /__admin/journal"), ({ body }) =>
    body.some((entry: { route: string }) => entry.route === route)
      ? Effect.void
      : Effect.andThen(Effect.yieldNow, arrived(url, route))
  )

describe("fake-ims", () => {
  let bin: Bin
  beforeAll(async () => {
    bin = await start()
  })
  afterAll(async () => {
    bin.kill("SIGTERM")
    await bin.exited
  })

  describe("is the same fake as in process", () => {
    const remote = layerRemote(() => bin.facts)
    contract(it.live, remote)
    usersContract(it.live, remote)
    faults(it.live, remote, (effect) => effect)
  })

  it.live("says in one JSON line where it is, and which app it has", () =>
    Effect.gen(function* () {
      const { kill, exited, facts } = yield* started()
      assert.match(facts.url, /^http:\/\/127\.0\.0\.1:\d+$/)
      assert.deepInclude(facts, {
        ready: true,
        tokenEndpoint: `${facts.url}/connect/token`,
        apiBaseUrl: facts.url
      })
      assert.deepStrictEqual(
        facts.apps.map(({ name }) => name),
        ["Fake app"]
      )
      assert.deepStrictEqual(facts.users, ["user@example.com"])
      const me = yield* call(facts.url, "GET /users/me", withToken(yield* tokenOf(facts)))
      assert.strictEqual(me.body.user.givenName, "Fake app")
      kill("SIGTERM")
      assert.strictEqual((yield* Effect.promise(() => exited)).stdout, `${JSON.stringify(facts)}\n`)
    })
  )

  it.live.each<NodeJS.Signals>(["SIGINT", "SIGTERM", "SIGHUP"])(
    "ends with code 0 on %s, though a request hangs",
    (signal) =>
      Effect.gen(function* () {
        const { facts, kill, exited } = yield* started()
        const steps = [{ fault: { _tag: "Hang" } }]
        yield* call(facts.url, "POST /__admin/script", { json: { route: "GET /users/me", steps } })
        const hanging = yield* Effect.forkChild(Effect.exit(call(facts.url, "GET /users/me")))
        yield* arrived(facts.url, "GET /users/me")
        kill(signal)
        const { code, stderr } = yield* Effect.promise(() => exited)
        assert.strictEqual(code, 0)
        assert.strictEqual(stderr, "")
        assert.strictEqual((yield* Fiber.join(hanging))._tag, "Failure")
      }),
    // Below the time that a server waits for its connections when nobody closes them.
    15_000
  )

  it.live("warns on stderr of steps that were never used", () =>
    Effect.gen(function* () {
      const config = fileOf("unused.json", { script: { "GET /users/me": [{ fault: { _tag: "Hang" }, times: 1 }] } })
      const { facts, kill, exited } = yield* started(["--config", config])
      kill("SIGTERM")
      const { code, stdout, stderr } = yield* Effect.promise(() => exited)
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, `${JSON.stringify(facts)}\n`)
      assert.include(stderr, "GET /users/me")
    })
  )

  it.live("does as its file says: apps, iTwins, script", () =>
    Effect.gen(function* () {
      const config = fileOf("good.json", {
        apps: [
          {
            name: "Sync",
            scopes: ["itwin-platform", "itwins:read"],
            tokenLife: 60,
            claims: { tenant: "a" },
            clientId: "service-sync",
            clientSecret: "fake-secret-a+b/c="
          },
          { name: "Other" }
        ],
        iTwins: [
          {
            id: "11111111-1111-4111-8111-111111111111",
            displayName: "Bridge",
            roles: [{ displayName: "Reader", permissions: ["imodels_read"] }],
            members: [{ app: "Sync", roles: ["Reader"] }, { email: "someone@example.com" }]
          }
        ],
        script: { "POST /connect/token": [{ fault: { _tag: "Respond", status: 503 }, times: 1 }] },
        seed: "a",
        tokenLife: 120,
        algorithm: "EdDSA",
        profile: { scopeInResponse: true }
      })
      const { facts } = yield* started(["--config", config])
      assert.deepStrictEqual(facts.apps[0], {
        name: "Sync",
        clientId: "service-sync",
        clientSecret: "fake-secret-a+b/c="
      })
      const permissions = "GET /accesscontrol/itwins/11111111-1111-4111-8111-111111111111/permissions"
      const play = Effect.gen(function* () {
        assert.strictEqual((yield* tokenOf(facts)).status, 503)
        const token = yield* tokenOf(facts)
        assert.deepInclude(token.body, { expires_in: 60, scope: "itwin-platform itwins:read" })
        const [header = "", claims = ""] = token.body.access_token.split(".")
        assert.include(Buffer.from(claims, "base64url").toString(), '"tenant":"a"')
        assert.include(Buffer.from(header, "base64url").toString(), '"EdDSA"')
        const allowed = yield* call(facts.url, permissions, withToken(token))
        assert.deepStrictEqual(allowed.body.permissions, ["imodels_read"])
        const other = yield* tokenOf(facts, 1)
        assert.strictEqual(other.body.expires_in, 120)
        assert.strictEqual((yield* call(facts.url, permissions, withToken(other))).status, 404)
        return token
      })
      const old = yield* play
      // A reset brings all of it back, the script too.
      assert.strictEqual((yield* call(facts.url, "POST /__admin/reset")).status, 200)
      assert.strictEqual((yield* call(facts.url, "GET /users/me", withToken(old))).status, 401)
      yield* play
      const iTwins = yield* call(facts.url, "GET /__admin/itwins")
      assert.strictEqual(iTwins.body.length, 1)
      assert.deepInclude(iTwins.body[0], { id: "11111111-1111-4111-8111-111111111111", displayName: "Bridge" })
      // The same seed gives the same app in another process.
      const again = yield* started(["--config", config])
      assert.deepStrictEqual(again.facts.apps, facts.apps)
    })
  )

  it.live("signs in the users of its file to the apps of its file, also after a reset", () =>
    Effect.gen(function* () {
      const config = fileOf("users.json", {
        apps: [
          { name: "Viewer", type: "spa", clientId: "spa-viewer", redirectUris: ["http://localhost:5173/callback"] },
          {
            name: "Site",
            type: "web",
            redirectUris: ["https://a.example/x"],
            postLogoutRedirectUris: ["https://a.example/"]
          }
        ],
        users: [{ email: "ada@example.com", givenName: "Ada", surname: "Lovelace", organizationName: "Engines" }],
        profile: { signIn: "auto", codeLifeSeconds: 60 },
        algorithm: "EdDSA"
      })
      const { facts } = yield* started(["--config", config])
      assert.deepStrictEqual(facts.apps[0], { name: "Viewer", clientId: "spa-viewer" })
      assert.match(facts.apps[1]?.clientId ?? "", /^web-/)
      assert.match(facts.apps[1]?.clientSecret ?? "", /^fake-secret-/)
      assert.deepStrictEqual(facts.users, ["ada@example.com"])
      const [ada] = (yield* call(facts.url, "GET /__admin/users")).body
      assert.deepInclude(ada, { displayName: "Ada Lovelace", organizationName: "Engines" })
      const query = new URLSearchParams({
        response_type: "code",
        client_id: "spa-viewer",
        redirect_uri: "http://localhost:5173/callback",
        scope: "openid itwin-platform",
        code_challenge: "x".repeat(43),
        code_challenge_method: "S256"
      })
      assert.strictEqual((yield* call(facts.url, "POST /__admin/reset")).status, 200)
      assert.deepStrictEqual((yield* call(facts.url, "GET /__admin/users")).body, [ada])
      assert.strictEqual((yield* call(facts.url, `GET /connect/authorize?${query}`)).status, 302)
      const json = { url: `${facts.url}/connect/authorize?${query}`, deny: true }
      const { body } = yield* call(facts.url, "POST /__admin/authorize", { json })
      assert.match(body.location, /^http:\/\/localhost:5173\/callback\?error=access_denied&/)
    })
  )

  it.live("serves https with a given certificate", () =>
    Effect.gen(function* () {
      const { cert, key } = selfSigned(["127.0.0.1"])
      const [certFile, keyFile] = [fileOf("own.crt", cert), fileOf("own.key", key)]
      const { facts } = yield* started(["--tls-cert", certFile, "--tls-key", keyFile])
      assert.match(facts.url, /^https:\/\/127\.0\.0\.1:\d+$/)
      const health = Effect.promise(
        () =>
          new Promise<number | undefined>((resolve, reject) => {
            get(`${facts.url}/health`, { ca: cert, agent: false }, (response) => {
              response.resume()
              resolve(response.statusCode)
            }).on("error", reject)
          })
      )
      assert.strictEqual(yield* health, 200)
    })
  )

  it.live.each<readonly [ReadonlyArray<string>, string]>([
    [["--prot", "1"], "--prot"],
    [["--port", "x"], "--port"],
    [["--port", "65536"], "--port"],
    [["--token-life", "0"], "--token-life"],
    [["--log-level", "loud"], "loud"],
    [["serve"], "serve"]
  ])("ends with code 2 and an empty stdout for %j", ([args, expected]) =>
    Effect.promise(async () => {
      const { code, stdout, stderr } = await run(args)
      assert.deepStrictEqual([code, stdout], [2, ""])
      assert.include(stderr, expected)
      assert.include(stderr, '"fake-ims --help"')
      assert.notMatch(stderr, /^\s+at /m)
    })
  )

  it.live.each<readonly [string, string]>([
    ["--help", "--ready-file"],
    ["--version", "fake-ims v"],
    ["--completions=bash", "complete"]
  ])("prints %s on stdout and ends with code 0", ([flag, expected]) =>
    Effect.promise(async () => {
      const { code, stdout, stderr } = await run([flag])
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.include(stdout, expected)
    })
  )

  it.live("writes a file when it is ready, and removes it at the end", () =>
    Effect.gen(function* () {
      const path = fileOf("ready.json", "left by an earlier process")
      const { facts, kill, exited } = yield* started(["--ready-file", path])
      assert.deepStrictEqual(JSON.parse(readFileSync(path, "utf8")), facts)
      kill("SIGTERM")
      yield* Effect.promise(() => exited)
      assert.isFalse(existsSync(path))
    })
  )

  it.live("leaves nothing behind when the ready file can't be written", () =>
    Effect.promise(async () => {
      const folder = join(directory, "folder")
      mkdirSync(folder)
      const { code, stderr } = await run(["--ready-file", folder])
      assert.strictEqual(code, 1)
      assert.include(stderr, "it is a folder")
      assert.deepStrictEqual(
        readdirSync(directory).filter((name) => name.startsWith("folder")),
        ["folder"]
      )
    })
  )

  it.live("removes the ready file of an earlier process also when it does not start", () =>
    Effect.promise(async () => {
      const path = fileOf("stale.json", "left by an earlier process")
      assert.strictEqual((await run(["--ready-file", path, "--host", "0.0.0.0"])).code, 1)
      assert.isFalse(existsSync(path))
    })
  )

  describe("logs requests on stderr", () => {
    const play = Effect.fnUntraced(function* (level: string) {
      const { facts, kill, exited } = yield* started(["--log-level", level])
      const [app] = facts.apps
      yield* call(facts.url, "GET /health")
      yield* tokenOf(facts)
      yield* call(facts.url, `GET /users/me?access_token=${encodeURIComponent(app?.clientSecret ?? "")}`)
      kill("SIGTERM")
      const { stdout, stderr } = yield* Effect.promise(() => exited)
      assert.strictEqual(stdout, `${JSON.stringify(facts)}\n`)
      assert.notInclude(stderr, "fake-secret-")
      const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /
      return stderr
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => {
          assert.match(line, time)
          return line
            .replace(time, "")
            .replace(/\d+ ms$/, "ms")
            .replace(app?.clientId ?? "", "<client>")
        })
    })
    const token = "INFO POST /connect/token 200 ok <client> ms"
    const me = "INFO GET /users/me 401 HeaderNotFound - ms"

    it.live.each([
      ["info", [token, me]],
      ["debug", ["DEBUG GET /health 200 - - ms", token, me]],
      ["warn", []],
      ["none", []]
    ] as const)("with --log-level %s", ([level, lines]) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* play(level), [...lines])
      })
    )

    it.live("without the secrets and tokens that a path contains", () =>
      Effect.gen(function* () {
        const { facts, kill, exited } = yield* started(["--log-level", "info"])
        yield* call(facts.url, "GET /users/eyJfake.token/fake-secret-a%2Bb")
        kill("SIGTERM")
        assert.include((yield* Effect.promise(() => exited)).stderr, " INFO GET /users/<redacted>/<redacted> 404 ")
      })
    )

    it.live("also of requests without a response", () =>
      Effect.gen(function* () {
        const { facts, kill, exited } = yield* started(["--log-level", "info"])
        const steps = [{ fault: { _tag: "Reset", when: "before" }, times: 1 }]
        yield* call(facts.url, "POST /__admin/script", { json: { route: "GET /users/me", steps } })
        yield* Effect.exit(call(facts.url, "GET /users/me"))
        kill("SIGTERM")
        assert.match((yield* Effect.promise(() => exited)).stderr, / INFO GET \/users\/me - fault: Reset - \d+ ms\n$/)
      })
    )
  })

  it.live("serves a vault too, whose certificate is in its JSON", () =>
    Effect.gen(function* () {
      const { facts } = yield* started(["--vault", "--seed", "a"])
      const { vault } = facts
      if (vault === undefined) return assert.fail("The facts lack the vault.")
      assert.match(vault.url, /^https:\/\/127\.0\.0\.1:\d+$/)
      assert.match(vault.clientSecret, /^fake-secret-/)
      for (const host of ["127.0.0.1", "localhost", "[::1]"]) {
        const url = vault.url.replace("127.0.0.1", host)
        const challenge = yield* Effect.promise(
          () =>
            new Promise<string | undefined>((resolve, reject) => {
              get(`${url}/secrets/a?api-version=7.6`, { ca: vault.certificate, agent: false }, (response) => {
                response.resume()
                resolve(response.headers["www-authenticate"])
              }).on("error", reject)
            })
        )
        assert.include(challenge ?? "", `authorization="${vault.url}/${vault.tenantId}"`)
      }
    })
  )

  describe("in a container", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8")
    const guide = readFileSync(new URL("../../../docs/testing.md", import.meta.url), "utf8")
    const recipe = /command: npx -y @effect-itwin\/testing (.*)/.exec(guide)?.[1] ?? ""
    const config =
      /```json\n(\{\n {2}"apps": \[\n[\s\S]*?\n\})\n```/.exec(readme)?.[1]?.replace(/^ *"seed".*\n/m, "") ?? ""
    const check = /"(fetch\('http:\/\/127\.0\.0\.1:8080\/health'\)[^"\n]*)"/.exec(guide)?.[1] ?? ""

    it.live("serves its public URL, and is healthy, when the guide's recipe starts it", () =>
      Effect.gen(function* () {
        const args = recipe.split(" ")
        assert.deepStrictEqual(args, [
          ...["--host", "0.0.0.0", "--port", "8080", "--allow-remote"],
          ...["--public-url", "http://fake-ims:8080", "--config", "/fake.json", "--log-level", "info"]
        ])
        args[args.indexOf("/fake.json")] = fileOf("fake.json", config)
        // Another program of this machine may have the port of the recipe.
        const port = yield* freePort
        args[args.indexOf("8080")] = String(port)
        const { facts } = yield* started(args, { FAKE_IMS_ADMIN_TOKEN: "let-me-in" })
        assert.strictEqual(facts.url, "http://fake-ims:8080")
        assert.strictEqual(facts.tokenEndpoint, "http://fake-ims:8080/connect/token")
        const own = `http://127.0.0.1:${port}`
        const headers = { host: "fake-ims:8080" }
        const { body } = yield* call(own, "GET /.well-known/openid-configuration", { headers })
        assert.strictEqual(body.issuer, "http://fake-ims:8080")
        assert.strictEqual((yield* call(own, "GET /health")).status, 200)
        assert.strictEqual((yield* call(own, "GET /health", { headers: { host: "example.com:8080" } })).status, 421)
        assert.strictEqual((yield* call(own, "GET /__admin/apps", { headers })).status, 401)
        const { clientId, clientSecret } = facts.apps[1] ?? {}
        assert.include(guide, `ITWIN_CLIENT_ID: ${clientId}\n      ITWIN_CLIENT_SECRET: ${clientSecret}\n`)
        assert.notStrictEqual(check, "")
        execFileSync(process.execPath, ["-e", check.replace("8080", String(port))])
        assert.throws(() => execFileSync(process.execPath, ["-e", check.replace("8080", "1")]))
      })
    )
  })

  it.live("takes seed and life from its flags", () =>
    Effect.gen(function* () {
      const [one, two] = yield* Effect.all([started(["--seed", "x", "--token-life", "5"]), started(["--seed", "x"])])
      assert.deepStrictEqual(one.facts.apps, two.facts.apps)
      assert.strictEqual((yield* tokenOf(one.facts)).body.expires_in, 5)
    })
  )

  it.live.each<readonly [string, unknown, ReadonlyArray<string>]>([
    ["no JSON", '{\n  "apps": [,]}', ["line 2, column 12: This is not JSON. Expected a value or ]."]],
    ["a name that the platform refuses", { apps: [{ name: "a,b" }] }, ["apps[0].name: Expected an app name"]],
    ["a field it does not know", { apps: [{ name: "a", scope: "x" }] }, ["apps[0].scope"]],
    [
      "a secret that may be real",
      { apps: [{ name: "a", clientSecret: "c2VjcmV0" }] },
      ["apps[0].clientSecret", "starts with fake-secret-"]
    ],
    [
      "a client id twice",
      {
        apps: [
          { name: "a", clientId: "service-a" },
          { name: "b", clientId: "service-a" }
        ]
      },
      ["apps[1].clientId", "service-a"]
    ],
    [
      "a member that is not an app",
      { apps: [{ name: "a" }], iTwins: [{ displayName: "x", members: [{ app: "b" }] }] },
      ["iTwins[0].members[0].app", "not b"]
    ],
    [
      "a member that is a web app",
      {
        apps: [{ name: "b", type: "web", redirectUris: ["https://a.example/"] }],
        iTwins: [{ displayName: "x", members: [{ app: "b" }] }]
      },
      ["iTwins[0].members[0].app", "service apps, not b"]
    ],
    [
      "web apps whose redirect addresses are missing or not valid",
      {
        apps: [
          { name: "a", type: "web", redirectUris: ["https://a.example/"] },
          { name: "b", type: "web", redirectUris: ["http://a.example/"], postLogoutRedirectUris: ["x"] }
        ]
      },
      ["apps[1].redirectUris[0]: Expected https", "apps[1].postLogoutRedirectUris[0]: Expected an absolute URL"]
    ],
    ["a user without an e-mail", { users: [{ email: "ada" }] }, ["users[0].email: Expected an e-mail"]],
    [
      "a role that the iTwin lacks",
      { iTwins: [{ displayName: "x", members: [{ email: "a@example.com", roles: ["Owner"] }] }] },
      ["iTwins[0].members[0].roles", "not Owner"]
    ],
    [
      "a fault that does not exist",
      { script: { "GET /users/me": [{ fault: { _tag: "Respond", status: "x" } }] } },
      ['script["GET /users/me"][0].fault.status']
    ],
    ["a route that it lacks", { script: { "GET /no": [] } }, ['script["GET /no"]', "GET /users/me"]]
  ])("refuses a file with %s, and says where", ([name, content, expected]) =>
    Effect.promise(async () => {
      const config = fileOf(`${name}.json`, content)
      const { code, stdout, stderr } = await run(["--config", config])
      assert.strictEqual(code, 1)
      assert.strictEqual(stdout, "")
      for (const part of [config, ...expected]) assert.include(stderr, part)
      assert.notInclude(stderr, "c2VjcmV0")
      assert.notMatch(stderr, /^\s+at /m)
    })
  )

  const remote = ["--host", "0.0.0.0"]
  const allowed = [...remote, "--allow-remote"]
  it.live.each<readonly [string, ReadonlyArray<string>, Record<string, string>, string]>([
    ["another host than loopback", remote, {}, "--allow-remote"],
    ["every address", ["--host", ""], {}, "--allow-remote"],
    ["it without an admin token", allowed, {}, "FAKE_IMS_ADMIN_TOKEN"],
    ["it with a fixed seed", [...allowed, "--admin-token", "t", "--seed", "x"], {}, "seed"],
    ["it in production", allowed, { NODE_ENV: "production", FAKE_IMS_ADMIN_TOKEN: "t" }, "NODE_ENV is production"],
    ["an empty admin token", ["--admin-token", " "], {}, "empty"],
    ["a file that is not there", ["--config", "none.json"], {}, "none.json"],
    ["a certificate without its key", ["--tls-cert", "cert.pem"], {}, "--tls-key"],
    ["a port for a vault that is not served", ["--vault-port", "1"], {}, "Add --vault."],
    [
      "a file that is not a certificate",
      ["--tls-cert", fileOf("cert.pem", "x"), "--tls-key", fileOf("key.pem", "x")],
      {},
      "The certificate or its key"
    ],
    ["a public URL of another machine", ["--public-url", "http://example.com"], {}, "loopback"],
    ["a public URL without a scheme", ["--public-url", "example.com"], {}, '"example.com" is not a valid public URL'],
    ["a ready file in a folder that is not there", ["--ready-file", "none/ready.json"], {}, "none/ready.json"]
  ])("refuses %s", ([_name, args, env, expected]) =>
    Effect.promise(async () => {
      const { code, stdout, stderr } = await run(args, env)
      assert.strictEqual(code, 1)
      assert.strictEqual(stdout, "")
      assert.include(stderr, expected)
      assert.notMatch(stderr, /^\s+at /m)
    })
  )

  it.live("says so if its port is taken", () =>
    Effect.promise(async () => {
      const { port } = new URL(bin.facts.url)
      for (const args of [
        ["--port", port],
        ["--vault", "--vault-port", port]
      ]) {
        const { code, stdout, stderr } = await run(args)
        assert.deepStrictEqual([code, stdout], [1, ""])
        assert.include(stderr, `port ${port}: another program uses it`)
        assert.include(stderr, "EADDRINUSE")
        assert.notMatch(stderr, /^\s+at /m)
      }
    })
  )

  it.live("runs in production as long as nobody else can reach it", () =>
    Effect.gen(function* () {
      const { facts } = yield* started([], { NODE_ENV: "production" })
      assert.deepStrictEqual((yield* call(facts.url, "GET /health")).body, { status: "ok" })
    })
  )

  it.live("wants the admin token on /__admin, if there is one, and nowhere else", () =>
    Effect.gen(function* () {
      const { facts } = yield* started([], { FAKE_IMS_ADMIN_TOKEN: "let-me-in" })
      for (const headers of [{}, { authorization: "Bearer other" }, { authorization: "let-me-in" }]) {
        const answer = yield* call(facts.url, "GET /__admin/apps", { headers })
        assert.strictEqual(answer.status, 401)
        assert.include(answer.body.message, "Bearer")
      }
      const headers = { authorization: "Bearer let-me-in" }
      assert.strictEqual((yield* call(facts.url, "GET /__admin/apps", { headers })).status, 200)
      assert.strictEqual((yield* call(facts.url, "GET /health")).status, 200)
      assert.strictEqual((yield* tokenOf(facts)).status, 200)
    })
  )

  it.live("answers for its own host only, on every route", () =>
    Effect.gen(function* () {
      const { url } = bin.facts
      const { port } = new URL(url)
      for (const route of ["GET /health", "GET /__admin/apps", "GET /users/me", "POST /connect/token"]) {
        for (const host of ["example.com", `example.com:${port}`, "127.0.0.1", "localhost:1"]) {
          const answer = yield* call(url, route, { headers: { host } })
          assert.strictEqual(answer.status, 421)
          assert.include(answer.body.message, url)
        }
      }
      for (const host of [`localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`]) {
        assert.strictEqual((yield* call(url, "GET /health", { headers: { host } })).status, 200)
      }
    })
  )

  describe("/__admin", () => {
    const admin = (route: string, json?: unknown) =>
      Effect.suspend(() => call(bin.facts.url, route, json === undefined ? {} : { json }))
    const reset = Effect.flatMap(admin("POST /__admin/reset"), ({ body }) =>
      Effect.succeed({ ...bin.facts, apps: body.apps } as Bin["facts"])
    )

    it.live("keeps out what a page of another site can send", () =>
      Effect.gen(function* () {
        const { url } = bin.facts
        for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
          const answer = yield* call(url, "POST /__admin/clock", {
            text: '{"advance":1}',
            headers: { "content-type": type }
          })
          assert.strictEqual(answer.status, 415)
          assert.include(answer.body.message, "application/json")
        }
        assert.strictEqual((yield* call(url, "POST /__admin/clock", { text: '{"advance":1}' })).status, 415)
        const headers = { origin: "https://example.com" }
        assert.strictEqual((yield* call(url, "POST /__admin/reset", { headers })).status, 403)
        assert.strictEqual((yield* call(url, "POST /__admin/reset", { headers: { origin: url } })).status, 200)
        assert.strictEqual((yield* admin("GET /__admin/clock")).body.offset, 0)
      })
    )

    it.live.each<readonly [string, string, unknown, number, string]>([
      ["an unknown route", "GET /__admin/nothing", undefined, 404, "GET /__admin/nothing"],
      ["an unknown app", "POST /__admin/apps/service-x/disable", undefined, 404, "service-x"],
      ["a script for no route", "POST /__admin/script", { route: "GET /no", steps: [] }, 404, "GET /users/me"],
      ["a script without steps", "POST /__admin/script", { route: "GET /users/me" }, 400, "steps"],
      ["no number", "POST /__admin/clock", { advance: "1 hour" }, 400, "advance"],
      ["a way back in time", "POST /__admin/clock", { advance: -1 }, 400, "advance"],
      ["an invalid name", "POST /__admin/apps", { name: "a,b" }, 400, "name"],
      ["a secret that may be real", "POST /__admin/apps", { name: "a", clientSecret: "c2VjcmV0" }, 400, "clientSecret"]
    ])("refuses %s, and says why", ([_name, route, json, status, expected]) =>
      Effect.gen(function* () {
        const answer = yield* admin(route, json)
        assert.strictEqual(answer.status, status)
        assert.include(answer.body.message, expected)
        assert.notInclude(answer.body.message, "c2VjcmV0")
      })
    )

    it.live("refuses a body that is not JSON", () =>
      Effect.gen(function* () {
        const headers = { "content-type": "application/json" }
        const answer = yield* call(bin.facts.url, "POST /__admin/clock", { text: '{"advance', headers })
        assert.strictEqual(answer.status, 400)
        assert.include(answer.body.message, "JSON")
      })
    )

    it.live("moves the clock: tokens expire, and pending delays end", () =>
      Effect.gen(function* () {
        const facts = yield* reset
        const token = yield* tokenOf(facts)
        assert.strictEqual((yield* call(facts.url, "GET /users/me", withToken(token))).status, 200)
        const before = (yield* admin("GET /__admin/clock")).body
        const moved = yield* admin("POST /__admin/clock", { advance: 3_600_000 })
        assert.strictEqual(moved.body.offset, 3_600_000)
        assert.isAtLeast(moved.body.now, before.now + 3_600_000)
        const expired = yield* call(facts.url, "GET /users/me", withToken(token))
        assert.strictEqual(expired.status, 401)
        assert.include(JSON.stringify(expired.body), "expired")

        const steps = [{ fault: { _tag: "Delay", duration: 7_200_000 }, times: 1 }]
        yield* reset
        yield* admin("POST /__admin/script", { route: "POST /connect/token", steps })
        const delayed = yield* Effect.forkChild(tokenOf(facts))
        yield* arrived(facts.url, "POST /connect/token")
        yield* admin("POST /__admin/clock", { advance: 7_200_000 })
        assert.strictEqual((yield* Fiber.join(delayed)).status, 200)
      })
    )

    it.live("plays a script, verifies it, and keeps a journal of all but itself", () =>
      Effect.gen(function* () {
        const facts = yield* reset
        const steps = [{ fault: { _tag: "Respond", status: 503 }, times: 1 }]
        assert.strictEqual((yield* admin("POST /__admin/script", { route: "POST /connect/token", steps })).status, 200)
        const unused = yield* admin("GET /__admin/verify")
        assert.strictEqual(unused.status, 409)
        assert.include(unused.body.message, "POST /connect/token")
        assert.strictEqual((yield* tokenOf(facts)).status, 503)
        assert.strictEqual((yield* tokenOf(facts)).status, 200)
        assert.strictEqual((yield* admin("GET /__admin/verify")).status, 200)
        yield* call(facts.url, "GET /health")
        const { body } = yield* admin("GET /__admin/journal")
        assert.deepStrictEqual(
          body.map(({ route, status, outcome }: Record<string, unknown>) => [route, status, outcome]),
          [
            ["POST /connect/token", 503, "fault"],
            ["POST /connect/token", 200, "ok"]
          ]
        )
        assert.notInclude(JSON.stringify(body), "fake-secret-")

        yield* admin("POST /__admin/script", { route: "GET /users/me", steps })
        yield* admin("DELETE /__admin/script")
        assert.strictEqual((yield* admin("GET /__admin/verify")).status, 200)
      })
    )

    it.live("manages apps", () =>
      Effect.gen(function* () {
        yield* reset
        const made = yield* admin("POST /__admin/apps", { name: "Made", scopes: ["itwin-platform"], tokenLife: 60 })
        assert.strictEqual(made.status, 201)
        assert.match(made.body.clientSecret, /^fake-secret-.*\+.*\/.*=$/)
        const { clientId } = made.body
        const app = (part: object = {}) => tokenOf({ ...bin.facts, apps: [{ ...made.body, ...part }] })
        const token = yield* app()
        assert.strictEqual(token.body.expires_in, 60)
        const again = yield* admin("POST /__admin/apps", { name: "Twin", clientId })
        assert.strictEqual(again.status, 409)

        const one = yield* admin(`POST /__admin/apps/${clientId}/secret`, { overlapMillis: 60_000 })
        assert.strictEqual((yield* app()).status, 200)
        yield* admin("POST /__admin/clock", { advance: 60_000 })
        assert.strictEqual((yield* app()).status, 401)
        assert.strictEqual((yield* app(one.body)).status, 200)
        const two = yield* admin(`POST /__admin/apps/${clientId}/secret`)
        assert.strictEqual((yield* app(one.body)).status, 401)

        const good = yield* app(two.body)
        const me = call(bin.facts.url, "GET /users/me", withToken(good))
        assert.strictEqual((yield* me).status, 200)
        yield* admin(`POST /__admin/apps/${clientId}/disable`)
        assert.strictEqual((yield* app(two.body)).status, 401)
        assert.isFalse(
          (yield* admin("GET /__admin/apps")).body.find((app: { name: string }) => app.name === "Made").enabled
        )
        yield* admin(`POST /__admin/apps/${clientId}/enable`)
        assert.strictEqual((yield* me).status, 200)
        yield* admin(`POST /__admin/apps/${clientId}/revoke-tokens`)
        assert.strictEqual((yield* me).status, 401)
        assert.strictEqual((yield* admin(`DELETE /__admin/apps/${clientId}`)).status, 200)
        assert.strictEqual((yield* admin(`DELETE /__admin/apps/${clientId}`)).status, 404)
        const left = (yield* admin("GET /__admin/apps")).body
        assert.deepStrictEqual(
          left.map(({ name }: { name: string }) => name),
          ["Fake app"]
        )
      })
    )
  })
})
