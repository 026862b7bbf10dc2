import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { get as httpGet, type IncomingMessage } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { FakeKeyVault, FakeKeyVaultServer } from "@effect-itwin/testing"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { call } from "./bin.ts"
import { wiring } from "./socketWiring.ts"
import { makeVaultTest, reads, vaultContract } from "./vaultContract.ts"
import { vaultOperations } from "./vaultOperations.ts"

const served = Layer.suspend(() => FakeKeyVaultServer.layer())

/** Runs the program in a child process that trusts the server's certificate and finds its metadata service there. */
const readInChild = (endpoint: FakeKeyVaultServer.Endpoint["Service"], name: string) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "fake-key-vault-"))),
    (directory) =>
      Effect.callback<{ readonly stdout: string; readonly stderr: string }>((resume) => {
        const ca = join(directory, "ca.pem")
        writeFileSync(ca, endpoint.certificate ?? "")
        const child = execFile(
          process.execPath,
          [fileURLToPath(new URL("./fixtures/readSecret.ts", import.meta.url)), endpoint.url, name],
          {
            env: {
              NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
              NODE_EXTRA_CA_CERTS: ca,
              AZURE_POD_IDENTITY_AUTHORITY_HOST: endpoint.url
            }
          },
          (_error, stdout, stderr) => resume(Effect.succeed({ stdout, stderr }))
        )
        return Effect.sync(() => child.kill())
      }),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )

/** Returns status and JSON of the answer to a request for this target, which may not be a URL. */
const getTarget = (server: string, target: string) =>
  Effect.promise(async () => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      httpGet(server, { path: target }, resolve).on("error", reject)
    })
    return [response.statusCode, JSON.parse(await text(response))]
  })

describe("FakeKeyVault on a socket", () => {
  const vaultTest = makeVaultTest(it.live, served, wiring)
  vaultContract(vaultTest)
  vaultOperations(vaultTest)

  it.live.each(["//", "http://[", "*"])("returns 404 for the target %s", (target) =>
    Effect.gen(function* () {
      const { url } = yield* FakeKeyVaultServer.Endpoint
      const error = { code: "NotFound", message: "The fake has no such route." }
      assert.deepStrictEqual(yield* getTarget(url, target), [404, { error }])
    }).pipe(Effect.provide(FakeKeyVaultServer.layer({ tls: false })))
  )

  it.live("returns its own tenant when the authority in a discovery request is not a URL", () =>
    Effect.gen(function* () {
      const { url } = yield* FakeKeyVaultServer.Endpoint
      const { tenantId } = yield* FakeKeyVault.FakeKeyVault
      const response = yield* HttpClient.get(`${url}/common/discovery/instance?authorization_endpoint=x`)
      assert.deepInclude(yield* response.json, {
        tenant_discovery_endpoint: `${url}/${tenantId}/v2.0/.well-known/openid-configuration`
      })
    }).pipe(Effect.provide([FakeKeyVaultServer.layer({ tls: false }), FetchHttpClient.layer]))
  )

  it.live("returns a token and the secret to a managed identity in another process", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
      const { stdout, stderr } = yield* readInChild(yield* FakeKeyVaultServer.Endpoint, "itwin")
      assert.deepStrictEqual([stdout, stderr], ["fake-secret-a+b/c=\n", ""])
      assert.deepStrictEqual(
        (yield* vault.tokenRequests).map(({ route, outcome }) => [route, outcome]),
        [["GET /metadata/identity/oauth2/token", "ok"]]
      )
      assert.deepStrictEqual(
        (yield* reads(vault)).map(({ outcome }) => outcome),
        ["challenge", "ok"]
      )
    }).pipe(Effect.provide(served))
  )

  it.live("answers over http as over https, and says that it is a fake", () =>
    Effect.gen(function* () {
      const { url, certificate } = yield* FakeKeyVaultServer.Endpoint
      const { tenantId, issueToken, setSecret } = yield* FakeKeyVault.FakeKeyVault
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
      assert.isUndefined(certificate)
      yield* setSecret("itwin", "fake-secret-a+b/c=")
      const challenge = yield* HttpClient.get(`${url}/secrets/itwin?api-version=7.6`)
      assert.strictEqual(challenge.headers["x-fake-key-vault"], "1")
      // The token endpoint is the fake's, so that no client sends its secret to Microsoft's.
      assert.strictEqual(
        challenge.headers["www-authenticate"],
        `Bearer authorization="${url}/${tenantId}", resource="https://vault.azure.net"`
      )
      const get = Effect.fnUntraced(function* (query: string) {
        const authorization = `Bearer ${Redacted.value(yield* issueToken())}`
        const response = yield* HttpClient.get(`${url}/secrets/itwin/${query}`, { headers: { authorization } })
        return [response.status, yield* response.json]
      })
      assert.deepInclude(yield* get("?api%2Dversion=7.6"), 200)
      assert.deepInclude(yield* get(""), 400)
      const unheaded = yield* HttpClient.get(`${url}/metadata/identity/oauth2/token?resource=r`)
      assert.strictEqual(unheaded.status, 400)
      assert.strictEqual((yield* HttpClient.get(`${url}/keys/k`)).status, 404)
    }).pipe(Effect.provide([FakeKeyVaultServer.layer({ tls: false }), FetchHttpClient.layer]))
  )

  it.live.each<readonly [FakeKeyVaultServer.Options, string]>([
    [{ host: "0.0.0.0" }, "does not listen on 0.0.0.0: it gives secrets away"],
    [{ host: "" }, "does not listen on every address"],
    [{ tls: { key: "no key", cert: "no certificate" } }, "The certificate or its key can't be used"]
  ])("does not start with %j", ([options, why]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Layer.build(FakeKeyVaultServer.layer(options)))
      assert.include(String(error.cause), why)
    }).pipe(Effect.scoped)
  )

  it.live("answers only requests for its own host, on every route", () =>
    Effect.gen(function* () {
      const { url } = yield* FakeKeyVaultServer.Endpoint
      const { journal } = yield* FakeKeyVault.FakeKeyVault
      const { port } = new URL(url)
      const routes = [
        "GET /secrets/itwin?api-version=7.6",
        "GET /secrets?api-version=7.6",
        "DELETE /secrets/itwin?api-version=7.6",
        "GET /tenant/discovery/v2.0/keys",
        "POST /tenant/oauth2/v2.0/token",
        "GET /common/discovery/instance",
        "GET /tenant/v2.0/.well-known/openid-configuration",
        "GET /metadata/identity/oauth2/token?resource=r",
        "GET /no/such/route"
      ]
      for (const route of routes) {
        for (const host of ["example.com", `example.com:${port}`, "127.0.0.1", "localhost:1"]) {
          const answer = yield* call(url, route, { headers: { host } })
          assert.strictEqual(answer.status, 421, `${route} for ${host}`)
          assert.include(answer.body.message, url)
        }
      }
      assert.deepStrictEqual(yield* journal, [])
      for (const host of [`127.0.0.1:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`]) {
        assert.strictEqual((yield* call(url, "GET /common/discovery/instance", { headers: { host } })).status, 200)
      }
    }).pipe(Effect.provide(FakeKeyVaultServer.layer({ tls: false })))
  )
})
