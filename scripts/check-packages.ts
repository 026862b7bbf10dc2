/**
 * Packs each package and installs the tarballs into an empty project outside the workspace, as a stranger would with
 * npm; then imports every subpath there, checks that no internal module is reachable, and runs a program and
 * `fake-ims`.
 */
import { execFileSync, spawn } from "node:child_process"
import { globSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"

const root = join(import.meta.dirname, "..")
const project = mkdtempSync(join(tmpdir(), "effect-itwin-"))
const run = (command: string, ...args: ReadonlyArray<string>) =>
  execFileSync(command, args, { cwd: project, stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" })

try {
  execFileSync("npx", ["-y", "pnpm@12", "-r", "--filter", "./packages/*", "pack", "--pack-destination", project], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"]
  })
  const tarballs = readdirSync(project).filter((file) => file.endsWith(".tgz"))
  const packages = globSync("packages/*/package.json", { cwd: root })
  if (tarballs.length !== packages.length) throw new Error(`${packages.length} packages, ${tarballs.length} tarballs`)

  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "stranger", private: true, type: "module" }))
  run("npm", "install", "--no-audit", "--no-fund", "effect@^4.1.0", ...tarballs.map((file) => `./${file}`))

  const subpaths = packages.flatMap((file) => {
    const directory = join(root, file, "..")
    const modules = globSync("src/*.ts", { cwd: directory }).map((module) => basename(module, ".ts"))
    const name = `@effect-itwin/${basename(directory)}`
    return [name, ...modules.filter((module) => module !== "index").map((module) => `${name}/${module}`)]
  })
  // With and without the ending, so that no pattern of `exports` lets one through.
  const internals = packages.flatMap((file) => {
    const directory = join(root, file, "..")
    return globSync("src/internal/**/*.ts", { cwd: directory }).flatMap((module) => {
      const path = `@effect-itwin/${basename(directory)}/${module.slice("src/".length, -".ts".length)}`
      return [path, `${path}.js`]
    })
  })
  if (!internals.some((path) => path.split("/").length > 4)) throw new Error("no nested internal module was found")

  writeFileSync(
    join(project, "main.js"),
    `${subpaths.map((path) => `await import("${path}")`).join("\n")}
for (const path of ${JSON.stringify([...internals, "@effect-itwin/core/index"])}) {
  const code = await import(path).then(() => "reachable", (error) => error.code)
  if (code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw new Error(path + ": " + code)
}
const { ITwin, Users } = await import("@effect-itwin/core")
const { FakeIms } = await import("@effect-itwin/testing")
const { Effect, Layer } = await import("effect")
const me = await Effect.runPromise(Users.me.pipe(
  Effect.provide(ITwin.layer.pipe(Layer.provide(FakeIms.layerTest({ app: { name: "Stranger" } }))))
))
console.log(me.givenName)
`
  )
  const printed = run("node", "main.js").trim()
  if (printed !== "Stranger") throw new Error(`the packed program printed ${printed}`)

  // The command, until it says that it is ready.
  const fake = spawn("npx", ["fake-ims"], { cwd: project, stdio: ["ignore", "pipe", "inherit"], detached: true })
  const line = await new Promise<string>((resolve, reject) => {
    fake.stdout.setEncoding("utf8").once("data", resolve)
    fake.once("error", reject)
    fake.once("exit", (code) => reject(new Error(`the packed fake-ims ended with ${code}`)))
  })
  // npx starts it in a process of its own: the signal is for both.
  if (fake.pid !== undefined) process.kill(-fake.pid, "SIGTERM")
  const { ready, url } = JSON.parse(line)
  if (ready !== true || !/^http:\/\/127\.0\.0\.1:\d+$/.test(url)) throw new Error(`the packed fake-ims printed ${line}`)

  console.log(
    `${tarballs.length} packages, ${subpaths.length} subpaths: packed, installed and run outside the workspace; ` +
      `${internals.length / 2} internal modules are not reachable`
  )
} finally {
  rmSync(project, { recursive: true, force: true })
}
