/**
 * Runs one program on each supported runtime, with core installed from its tarball: a token, `/users/me`, 100 calls at
 * once without a token, an outage, and recovery. Writes the table of docs/runtimes.md, and exits with 1 if a runtime
 * fails.
 *
 * The runtimes are installed from npm into an empty project, without install scripts: their packages bring the binaries.
 * `--check` fails if the table in docs/runtimes.md is not what the run shows, instead of writing it.
 */
import { execFile } from "node:child_process"
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { createRequire } from "node:module"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { parseArgs, promisify } from "node:util"
import { emptyProject, install, nodeBinary, nodeSpecifier, nodeVersions, pack, root } from "../pack.ts"

const { values: options } = parseArgs({ options: { check: { type: "boolean", default: false } } })

const versions = { bun: "1.4.5", deno: "2.9.6", miniflare: "4.20260730.0", esbuild: "0.28.2" }
const compatibilityDate = "2026-04-01"

interface Result {
  readonly token: boolean
  readonly me: boolean
  readonly coldTokenRequests: number
  readonly outage: boolean
  readonly recovery: boolean
}

/** The token endpoint, the API, and what the program sets on them. */
const startServer = (): Promise<{ readonly url: string; readonly close: () => void }> => {
  let tokenRequests = 0
  let isDown = false
  const answers: Readonly<Record<string, () => readonly [number, object]>> = {
    "POST /connect/token": () => {
      tokenRequests++
      if (isDown) return [500, { error: "server_error" }]
      return [200, { access_token: `token-${tokenRequests}`, token_type: "Bearer", expires_in: 3600 }]
    },
    "GET /users/me": () => [200, { user: { id: "1", displayName: "Runtime" } }],
    "POST /control/counts": () => [200, { tokenRequests }],
    "POST /control/reset": () => {
      tokenRequests = 0
      isDown = false
      return [200, {}]
    },
    "POST /control/down": () => {
      isDown = true
      return [200, {}]
    },
    "POST /control/up": () => {
      isDown = false
      return [200, {}]
    }
  }
  const server = createServer((incoming, outgoing) => {
    incoming.resume().once("end", () => {
      const isAllowed = incoming.url !== "/users/me" || /^Bearer token-\d+$/.test(incoming.headers.authorization ?? "")
      const [status, body] = (isAllowed && answers[`${incoming.method} ${incoming.url}`]?.()) || [404, {}]
      // Late enough that all callers wait for the same token request.
      setTimeout(() => {
        outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
      }, 50)
    })
  })
  return new Promise((done) =>
    server.listen(0, "127.0.0.1", () => {
      const close = () => {
        server.close()
        server.closeAllConnections()
      }
      done({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close })
    })
  )
}

const project = emptyProject("runtimes")
const modules = join(project, "node_modules")
const server = await startServer()

const runProcess = async (file: string, ...args: ReadonlyArray<string>): Promise<Result> => {
  const { stdout } = await promisify(execFile)(file, [...args, "main.js"], {
    cwd: project,
    env: { ...process.env, SERVER: server.url },
    timeout: 60_000
  })
  // The log stands before it.
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "")
}

const runWorker = async (): Promise<Result> => {
  const resolve = createRequire(join(project, "package.json")).resolve
  const { build } = await import(join(modules, "esbuild/lib/main.js"))
  const { Miniflare } = await import(pathToFileURL(resolve("miniflare")).href)
  const { outputFiles } = await build({
    bundle: true,
    format: "esm",
    write: false,
    stdin: {
      contents: `import { prove } from "./program.js"
export default { fetch: async (_, env) => Response.json(await prove(env.SERVER)) }`,
      resolveDir: project
    }
  })
  const miniflare = new Miniflare({
    modules: true,
    script: outputFiles[0].text,
    compatibilityDate,
    bindings: { SERVER: server.url },
    host: "127.0.0.1",
    cf: false
  })
  try {
    const response = await fetch(await miniflare.ready)
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    return JSON.parse(text)
  } finally {
    await miniflare.dispose()
  }
}

/** A runtime's binary, in the package of this system. */
const binaryOf = (pattern: string) => join(modules, globSync(pattern, { cwd: modules })[0] ?? pattern)

const runtimes: Readonly<Record<string, () => Promise<Result>>> = {
  ...Object.fromEntries(
    nodeVersions.map(([major, version]) => [`Node ${version}`, () => runProcess(nodeBinary(project, major))])
  ),
  [`Bun ${versions.bun}`]: () => runProcess(binaryOf("@oven/*/bin/bun*")),
  [`Deno ${versions.deno}`]: () =>
    runProcess(
      binaryOf("@deno/*/deno*"),
      "run",
      "--node-modules-dir=manual",
      "--allow-env",
      "--allow-read",
      "--allow-net=127.0.0.1"
    ),
  [`workerd (miniflare ${versions.miniflare})`]: runWorker
}

/** Replaces what stands between the markers. */
const withTable = (text: string, table: string) =>
  text.replace(
    /(<!-- begin runtimes -->\n)[\s\S]*(<!-- end runtimes -->)/,
    (_, begin, end) => `${begin}\n${table}\n${end}`
  )

try {
  const tarballs = pack(project).filter((file) => file.includes("-core-"))
  install(
    project,
    "effect@^4.1.0",
    ...tarballs,
    ...nodeVersions.map(([major]) => nodeSpecifier(major)),
    ...Object.entries(versions).map(([name, version]) => `${name}@${version}`)
  )
  cpSync(join(import.meta.dirname, "program.js"), join(project, "program.js"))
  writeFileSync(
    join(project, "main.js"),
    `import { prove } from "./program.js"
console.log(JSON.stringify(await prove(process.env.SERVER)))`
  )

  const rows: Array<ReadonlyArray<string>> = []
  let holds = true
  for (const [name, prove] of Object.entries(runtimes)) {
    const result = await prove().catch((error: unknown) => {
      console.error(`${name}: ${error}`)
      return undefined
    })
    const passed = [result?.token, result?.me, result?.coldTokenRequests === 1, result?.outage, result?.recovery]
    holds &&= passed.every((value) => value === true)
    rows.push([name, ...passed.map((value) => (value ? "yes" : "**no**"))])
    console.log(name, JSON.stringify(result))
  }

  const head = ["runtime", "token", "`/users/me`", "100 cold calls, 1 token request", "outage", "recovery"]
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  const table = `${[head, widths.map((width) => "-".repeat(width)), ...rows].map(line).join("\n")}\n`
  const file = join(root, "docs/runtimes.md")
  const text = readFileSync(file, "utf8")
  const updated = withTable(text, table)
  if (!options.check) writeFileSync(file, updated)
  else if (updated !== text)
    throw new Error(`docs/runtimes.md is not up to date. Run "pnpm run proof-runtimes".\n${table}`)
  if (!holds) process.exitCode = 1
} finally {
  server.close()
  rmSync(project, { recursive: true, force: true })
}
