/**
 * Starts the real `IModelHost` of iTwin.js with `ServiceAuthorizationClient`, against `fake-ims`, with a right and with a
 * wrong secret. Exits with 1 if a token is not what it must be.
 *
 * core is packed and installed with npm into an empty project, next to iTwin.js (240 MB) and the Nodes that iTwin.js
 * supports (390 MB). The program is compiled with TypeScript 5.8, against the types of iTwin.js and of the iModels client,
 * and runs as a module and as CommonJS.
 */
import { execFile, spawn } from "node:child_process"
import { cpSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { emptyProject, install, type NodeMajor, nodeBinary, nodeSpecifier, pack, root, run } from "../pack.ts"

/** iTwin.js asks for exact versions of its peers, of which core-quantity has no 5.7.3. `--legacy-peer-deps` accepts that. */
const itwinJs = "5.7.3"
const native = "5.7.13"
const quantity = "5.7.2"
const addon = `@bentley/imodeljs-${process.platform}-${process.arch}`

interface Result {
  readonly node: string
  /** Two of `IModelHost.getAccessToken`, and one of the callback of the iModels clients; empty after a failure. */
  readonly headers: ReadonlyArray<string>
  /** What `onError` got. */
  readonly errors: ReadonlyArray<string>
}

interface Ready {
  readonly url: string
  readonly tokenEndpoint: string
  readonly apiBaseUrl: string
  readonly apps: ReadonlyArray<{ readonly clientId: string; readonly clientSecret: string }>
}

const project = emptyProject("itwin-js")
const fake = spawn(process.execPath, [join(root, "packages/testing/src/internal/serve/bin.ts")], {
  stdio: ["ignore", "pipe", "inherit"]
})

const runProgram = async (major: NodeMajor, file: string, variables: Readonly<Record<string, string>>) => {
  const { stdout } = await promisify(execFile)(nodeBinary(project, major), [file], {
    cwd: project,
    env: { ...process.env, ...variables, CACHE: join(project, "cache") },
    timeout: 60_000
  })
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Result
}

/** Asks the fake platform whether it accepts the header. */
const isAccepted = async (url: string, authorization: string): Promise<boolean> => {
  const accept = "application/vnd.bentley.itwin-platform.v1+json"
  const response = await fetch(`${url}/users/me`, { headers: { authorization, accept } })
  return response.status === 200
}

try {
  const ready = new Promise<Ready>((resolve, reject) => {
    fake.stdout.setEncoding("utf8").once("data", (line) => resolve(JSON.parse(line)))
    fake.once("exit", (code) => reject(new Error(`fake-ims ended with ${code}`)))
  })

  const tarballs = pack(project).filter((file) => /-(core|provider-env)-/.test(file))
  install(
    project,
    "--legacy-peer-deps",
    "effect@^4.1.0",
    ...tarballs,
    nodeSpecifier(22),
    nodeSpecifier(24),
    "typescript@5.8",
    "@types/node@22",
    ...["core-backend", "core-bentley", "core-common", "core-geometry", "ecschema-metadata"].map(
      (name) => `@itwin/${name}@${itwinJs}`
    ),
    `@itwin/core-quantity@${quantity}`,
    "@opentelemetry/api@1",
    "@itwin/imodels-client-management@6",
    `${addon}@${native}`
  )
  // Where the install script of the native package, which does not run here, puts it.
  const modules = join(project, "node_modules")
  renameSync(join(modules, addon), join(modules, "@bentley/imodeljs-native", addon.slice("@bentley/".length)))

  const source = join(import.meta.dirname, "program.mts")
  for (const file of ["program.mts", "program.cts"]) cpSync(source, join(project, file))
  // The declarations of iTwin.js need `skipLibCheck`. Ours do not: check-packages.ts compiles without it.
  const flags = ["--module", "nodenext", "--target", "es2022", "--strict", "--types", "node", "--skipLibCheck"]
  run(project, "node", "node_modules/typescript/bin/tsc", ...flags, "program.mts", "program.cts")
  console.log("The program compiles against the types of iTwin.js, as a module and as CommonJS.")

  const { apiBaseUrl, apps, tokenEndpoint, url } = await ready
  const right = {
    ITWIN_CLIENT_ID: apps[0]?.clientId ?? "",
    ITWIN_CLIENT_SECRET: apps[0]?.clientSecret ?? "",
    ITWIN_TOKEN_ENDPOINT: tokenEndpoint,
    ITWIN_API_URL: apiBaseUrl
  }
  const wrong = { ...right, ITWIN_CLIENT_SECRET: "fake-secret-wrong+/=" }
  const programs = [
    [24, "program.mjs"],
    [22, "program.cjs"]
  ] as const
  for (const [major, file] of programs) {
    const granted = await runProgram(major, file, right)
    const [header = ""] = granted.headers
    const holdsRight =
      granted.headers.length === 3 &&
      granted.headers.every((each) => each === header) &&
      header.startsWith("Bearer ") &&
      (await isAccepted(url, header)) &&
      granted.errors.length === 0
    const refused = await runProgram(major, file, wrong)
    const holdsWrong =
      refused.headers.join() === ",," && refused.errors.length === 1 && refused.errors[0] === "InvalidClient"
    console.log(`${file}, Node ${granted.node}`)
    console.log(`  right secret: ${holdsRight ? "the token, which the API accepts" : JSON.stringify(granted)}`)
    console.log(
      `  wrong secret: ${holdsWrong ? "an empty string, and InvalidClient once to onError" : JSON.stringify(refused)}`
    )
    if (!holdsRight || !holdsWrong) process.exitCode = 1
  }
} finally {
  fake.kill()
  rmSync(project, { recursive: true, force: true })
}
