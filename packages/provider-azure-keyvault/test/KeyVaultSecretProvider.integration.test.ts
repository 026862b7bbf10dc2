import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { SecretProvider } from "@effect-itwin/core"
import { KeyVaultSecretProvider } from "@effect-itwin/provider-azure-keyvault"
import * as TestTransport from "@effect-itwin/provider-azure-keyvault/TestTransport"
import { FakeKeyVault, FakeKeyVaultServer, Fault } from "@effect-itwin/testing"
import { Effect, Layer, Redacted } from "effect"
import { credentialOf, logged, name, secret } from "./support.ts"

const served = Layer.suspend(() => FakeKeyVaultServer.layer())

const run = (fixture: string, args: ReadonlyArray<string>, variables: Record<string, string>) =>
  Effect.callback<{ readonly stdout: string; readonly stderr: string }>((resume) => {
    const child = execFile(
      process.execPath,
      [fileURLToPath(new URL(`./fixtures/${fixture}`, import.meta.url)), ...args],
      { env: { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, ...variables } },
      (_error, stdout, stderr) => resume(Effect.succeed({ stdout, stderr }))
    )
    return Effect.sync(() => child.kill())
  })

/** Reads in a child process that trusts the server, and finds its metadata service at `metadata`. */
const readInChild = (options?: {
  readonly metadata?: string
  readonly attempts?: number
  readonly attemptMillis?: number
  readonly kind?: "DefaultAzure"
}) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "key-vault-provider-"))),
    (directory) =>
      Effect.gen(function* () {
        const { url, certificate = "" } = yield* FakeKeyVaultServer.Endpoint
        const ca = join(directory, "ca.pem")
        writeFileSync(ca, certificate)
        return yield* run(
          "readCredentials.ts",
          [
            url,
            name,
            String(options?.attempts ?? 1),
            String(options?.attemptMillis ?? 4000),
            options?.kind ?? "ManagedIdentity"
          ],
          { NODE_EXTRA_CA_CERTS: ca, AZURE_POD_IDENTITY_AUTHORITY_HOST: options?.metadata ?? url }
        )
      }),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )

describe("KeyVaultSecretProvider with a managed identity, over https", () => {
  it.live("reads the secret over https with a managed identity, and logs which identity it uses", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      const { stdout, stderr } = yield* readInChild()
      assert.strictEqual(stderr, "")
      assert.include(stdout, "with the system-assigned managed identity.")
      assert.include(stdout, `read service-1 ${secret}\n`)
      assert.deepStrictEqual(
        (yield* vault.tokenRequests).map(({ route, outcome }) => [route, outcome]),
        [["GET /metadata/identity/oauth2/token", "ok"]]
      )
    }).pipe(Effect.provide(served))
  )

  it.live("retries after a reset and a 503, with one token", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* vault.script("GET /secrets/:name", Fault.once(Fault.reset), Fault.once(Fault.html(503, secret)))
      const { stdout } = yield* readInChild({ attempts: 4 })
      assert.include(stdout, `read service-1 ${secret}\n`)
      yield* vault.verify
      assert.strictEqual((yield* vault.tokenRequests).length, 1)
    }).pipe(Effect.provide(served))
  )

  const withoutIdentity = (vault: FakeKeyVault.FakeKeyVault["Service"]) =>
    vault.script(
      "GET /metadata/identity/oauth2/token",
      Fault.always(
        Fault.respond({
          status: 400,
          body: { error: "invalid_request", error_description: `Identity not found ${secret}` }
        })
      )
    )

  const failures: ReadonlyArray<
    readonly [
      what: string,
      prepare: (vault: FakeKeyVault.FakeKeyVault["Service"]) => Effect.Effect<unknown>,
      tag: string,
      text: string,
      options?: Parameters<typeof readInChild>[0]
    ]
  > = [
    ["a denied request", (_) => _.deny("ForbiddenByRbac"), "AccessDenied", "Key Vault Secrets User"],
    ["a disabled secret", (_) => _.disableVersion(name), "Disabled", "newest version is disabled"],
    [
      "a truncated 200",
      (_) => _.script("GET /secrets/:name", Fault.always(Fault.truncate)),
      "Unavailable",
      "is incomplete"
    ],
    [
      "a break within the body",
      (_) => _.script("GET /secrets/:name", Fault.always(Fault.resetAmidBody)),
      "Unavailable",
      "127.0.0.1"
    ],
    [
      "a vault that does not respond",
      (_) => _.script("GET /secrets/:name", Fault.always(Fault.hang)),
      "Unavailable",
      "did not respond within",
      { attemptMillis: 2000 }
    ],
    [
      "a metadata service that does not respond",
      (_) => _.script("GET /metadata/identity/oauth2/token", Fault.always(Fault.hang)),
      "Unavailable",
      "The metadata service of managed identities did not respond",
      { attemptMillis: 2000 }
    ],
    [
      "a metadata service that hangs up",
      (_) => _.script("GET /metadata/identity/oauth2/token", Fault.always(Fault.reset)),
      "Unavailable",
      "The metadata service of managed identities did not respond"
    ],
    [
      "no metadata service",
      () => Effect.void,
      "Unavailable",
      "The metadata service of managed identities did not respond",
      { metadata: "http://127.0.0.1:2" }
    ],
    [
      "a metadata service that fails",
      (_) => _.script("GET /metadata/identity/oauth2/token", Fault.always(Fault.html(500, secret))),
      "Unavailable",
      "The metadata service returned 500"
    ],
    [
      "a metadata service that limits the rate",
      (_) => _.script("GET /metadata/identity/oauth2/token", Fault.always(Fault.rateLimit())),
      "Throttled",
      "The metadata service limits the rate"
    ],
    ["a machine without an identity", withoutIdentity, "CredentialUnavailable", "Tried: managed identity. Assign one"],
    [
      "a chain that finds nothing",
      withoutIdentity,
      "CredentialUnavailable",
      "Tried: DefaultAzureCredential (",
      { kind: "DefaultAzure" }
    ]
  ]

  it.live.each(failures)("says what to do about %s, and shows no secret", ([, prepare, tag, text, options]) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* prepare(vault)
      const { stdout, stderr } = yield* readInChild(options)
      assert.strictEqual(stderr, "")
      assert.include(stdout, `"_tag":"${tag}"`)
      assert.include(stdout, text)
      assert.notMatch(stdout, /fake-secret-|eyJ/)
    }).pipe(Effect.provide(served))
  )
})

describe("KeyVaultSecretProvider", () => {
  it.live("reads the secret over https with the client secret of an app", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const { url, certificate } = yield* FakeKeyVaultServer.Endpoint
      yield* vault.setSecret(name, secret)
      const layer = KeyVaultSecretProvider.layer({
        vaultUrl: url,
        customDomain: true,
        clientId: { literal: "service-1" },
        clientSecret: name,
        credential: credentialOf(vault)
      }).pipe(Layer.provide(TestTransport.layer({ certificate, authorityHost: url, trustAnyChallenge: true })))
      const { lines, layer: log } = logged()
      const credentials = yield* Effect.flatMap(SecretProvider.SecretProvider, (_) => _.credentials).pipe(
        Effect.provide(Layer.provide(layer, log))
      )
      assert.include(lines[0]?.text, `with a client secret of app ${vault.clientId}`)
      assert.strictEqual(Redacted.value(credentials.clientSecret), secret)
      assert.deepInclude((yield* vault.tokenRequests)[0], { route: "POST /:tenant/oauth2/v2.0/token", outcome: "ok" })
    }).pipe(Effect.provide(served))
  )

  it.live("loads the Azure SDK at the first read, not at the import", () =>
    Effect.gen(function* () {
      const { stdout, stderr } = yield* run("listModules.ts", [], {})
      assert.strictEqual(stderr, "")
      const { before, after } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "")
      assert.deepStrictEqual(before, [])
      assert.includeMembers(after, ["@azure/identity", "@azure/keyvault-secrets"])
    })
  )
})
