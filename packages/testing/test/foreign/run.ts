/**
 * Runs clients in Python, which were not written for this package, against the fakes: azure-keyvault-secrets against
 * `FakeKeyVaultServer`, and authlib against the command `fake-ims`. Also runs the guide's example in Python. Exits with 1
 * if one of them fails.
 *
 * The clients come from Debian. Those that are missing are installed with apt. A client that can't be installed is a
 * failure.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { FakeKeyVault, FakeKeyVaultServer } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"
import { started } from "../bin.ts"

/** Is Debian's Python. The first one in PATH may be another one, which cannot use Debian's packages. */
const python = "/usr/bin/python3"

const debianPackages = ["python3-azure", "python3-authlib", "python3-requests"]

/** Runs a program to its end. Returns whether it succeeded. */
const run = (
  command: string,
  args: ReadonlyArray<string>,
  env?: Record<string, string>,
  errors: "inherit" | "ignore" = "inherit"
): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", errors],
      timeout: 240_000
    })
    child.on("error", (error) => {
      console.error(`${command} can't be run: ${error.message}`)
      resume(Effect.succeed(false))
    })
    child.on("close", (code) => resume(Effect.succeed(code === 0)))
    return Effect.sync(() => child.kill())
  })

const isInstalled = run(
  python,
  ["-c", "import azure.identity, azure.keyvault.secrets, authlib.integrations.requests_client"],
  {},
  "ignore"
)

const apt = (...args: ReadonlyArray<string>): Effect.Effect<boolean> => {
  const command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", ...args]
  const [first = "env", ...rest] = process.getuid?.() === 0 ? command : ["sudo", ...command]
  return run(first, rest)
}

const install = Effect.gen(function* () {
  if (yield* isInstalled) return true
  console.log(`Installing ${debianPackages.join(", ")} with apt ...`)
  yield* apt("update", "-qq")
  yield* apt("install", "-y", "-qq", "--no-install-recommends", ...debianPackages)
  if (yield* isInstalled) return true
  console.error(`The clients could not be installed. Install ${debianPackages.join(", ")} on a Debian machine.`)
  return false
})

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const keyVault = Effect.gen(function* () {
  const vault = yield* FakeKeyVault.FakeKeyVault
  const { url, certificate = "" } = yield* FakeKeyVaultServer.Endpoint
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "foreign-clients-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const file = join(directory, "certificate.pem")
  writeFileSync(file, certificate)
  const passed = yield* run(python, [script("azure_keyvault.py"), url, file, vault.tenantId, vault.clientId], {
    FAKE_CLIENT_SECRET: Redacted.value(vault.clientSecret)
  })
  const journal = yield* vault.journal
  const routes = new Set(journal.map(({ route }) => route))
  console.log(`The vault served ${journal.length} requests to ${routes.size} routes.`)
  if (routes.has("none")) console.error("The client sent requests that the fake has no route for.")
  if (/fake-secret-|eyJ/.test(JSON.stringify(journal))) console.error("The journal shows a secret.")
  return passed && !routes.has("none") && !/fake-secret-|eyJ/.test(JSON.stringify(journal))
}).pipe(Effect.provide(FakeKeyVaultServer.layer()), Effect.scoped)

const ims = Effect.gen(function* () {
  const { facts } = yield* started()
  const [app] = facts.apps
  return yield* run(python, [script("authlib_ims.py"), facts.url, app?.clientId ?? ""], {
    FAKE_CLIENT_SECRET: app?.clientSecret ?? ""
  })
}).pipe(Effect.scoped)

/** Runs the example of the guide, and checks in its place of tests that the script was added. */
const guide = Effect.suspend(() => {
  const text = readFileSync(new URL("../../../../docs/testing.md", import.meta.url), "utf8")
  const example = /```py\n([\s\S]*?)```/.exec(text)?.[1] ?? "raise SystemExit('The guide has no example in Python.')"
  const command = JSON.stringify([
    process.execPath,
    fileURLToPath(new URL("../../src/internal/serve/bin.ts", import.meta.url))
  ])
  const check = `
try:
    urllib.request.urlopen(facts["tokenEndpoint"], b"")
    raise SystemExit("The script was not applied.")
except urllib.error.HTTPError as error:
    assert error.code == 503, error.code
print("The guide's example in Python works.")
`
  return run(python, [
    "-c",
    example.replace('["node_modules/.bin/fake-ims"]', command).replace("# … tests …\n", `${check}\n`)
  ])
})

const program = Effect.gen(function* () {
  if (!(yield* install)) return false
  const results = [yield* keyVault, yield* ims, yield* guide]
  return results.every((passed) => passed)
})

if (!(await Effect.runPromise(program))) process.exitCode = 1
