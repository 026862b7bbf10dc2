/**
 * Tries the packages as a stranger gets them: packs each one, and installs the tarballs with npm into an empty project
 * outside the workspace. There, one after the other:
 *
 * 1. each subpath is imported, no internal module is reachable, a program, `fake-ims` and `itwin-auth` run;
 * 2. publint and attw judge the tarballs, knip judges the workspace;
 * 3. a program that uses every package compiles with each supported TypeScript, without `skipLibCheck`;
 * 4. the bundles are no larger than the limits in sizes.ts.
 *
 * The tools are installed into temporary projects, without running their install scripts. `--quick` does only step 1.
 */
import { execFile, execFileSync, spawn } from "node:child_process"
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { parseArgs, promisify } from "node:util"
import { gzipSync } from "node:zlib"
import { emptyProject, install, pack, packages, root, run } from "./pack.ts"
import { limits } from "./sizes.ts"

const { values: options } = parseArgs({ options: { quick: { type: "boolean", default: false } } })

const versions = {
  attw: "@arethetypeswrong/cli@0.18.5",
  esbuild: "esbuild@0.28.2",
  knip: "knip@6.44.2",
  publint: "publint@0.3.25",
  // The packages' declarations mention types of Node; core's and provider-env's do not.
  types: "@types/node@22"
}
const compilers = ["5.8", "5.9", "6", "7"]

const project = emptyProject("stranger")
const tools = emptyProject("tools")

/** The packages that can be imported; the others only have a command. */
const libraries = packages.filter((name) => {
  const { exports } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"))
  return "." in exports
})

const modulesOf = (name: string): ReadonlyArray<string> =>
  globSync("src/*.ts", { cwd: join(root, "packages", name) })
    .map((module) => basename(module, ".ts"))
    .filter((module) => module !== "index")

/**
 * Runs the packed commands: `itwin-auth` prints a token of `fake-ims`, which runs as npm links it, and as one file in an
 * empty folder, where nothing else is installed.
 */
const runCommands = async () => {
  const alone = emptyProject("alone")
  const installed = join(project, "node_modules/@effect-itwin/testing/dist")
  cpSync(join(installed, "fake-ims.js"), join(alone, "fake-ims.js"))
  try {
    for (const file of [join(installed, "bin.js"), join(alone, "fake-ims.js")]) {
      const fake = spawn("node", [file], { cwd: alone, stdio: ["ignore", "pipe", "inherit"] })
      const ended = new Promise<number | null>((resolve) => fake.once("exit", resolve))
      const line = await Promise.race([
        new Promise<string>((resolve) => fake.stdout.setEncoding("utf8").once("data", resolve)),
        ended.then((code) => Promise.reject(new Error(`the packed fake-ims ended with ${code}`)))
      ])
      const { apps, ready, tokenEndpoint, url } = JSON.parse(line)
      if (ready !== true || !/^http:\/\/127\.0\.0\.1:\d+$/.test(url))
        throw new Error(`the packed fake-ims printed ${line}`)
      for (const part of ["/", "/__page/page.css", "/__page/main.js", "/__page/feedWorker.js"]) {
        const { status } = await fetch(url + part)
        if (status !== 200) throw new Error(`the packed fake-ims answered ${status} to GET ${part}`)
      }
      const token = execFileSync("npx", ["itwin-auth", "token"], {
        cwd: project,
        encoding: "utf8",
        env: {
          ...process.env,
          ITWIN_TOKEN_ENDPOINT: tokenEndpoint,
          ITWIN_API_URL: url,
          ITWIN_CLIENT_ID: apps[0].clientId,
          ITWIN_CLIENT_SECRET: apps[0].clientSecret
        }
      })
      if (!/^[\w-]+\.[\w-]+\.[\w-]+\n$/.test(token)) throw new Error("the packed itwin-auth printed no token")
      fake.kill("SIGTERM")
      const code = await ended
      if (code !== 0) throw new Error(`the packed fake-ims ended with ${code}`)
    }
  } finally {
    rmSync(alone, { recursive: true, force: true })
  }
  for (const name of ["cli", "testing"]) {
    const { dependencies = {} } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"))
    if (Object.keys(dependencies).length > 0) throw new Error(`the command of ${name} is bundled, but has dependencies`)
  }
}

const runStranger = async () => {
  const subpaths = libraries.flatMap((name) => [name, ...modulesOf(name).map((module) => `${name}/${module}`)])
  // With and without the ending, so that no pattern of `exports` lets one through.
  const internals = packages.flatMap((name) =>
    globSync("src/internal/**/*.ts", { cwd: join(root, "packages", name) }).flatMap((module) => {
      const path = `@effect-itwin/${name}/${module.replaceAll("\\", "/").slice("src/".length, -".ts".length)}`
      return [path, `${path}.js`]
    })
  )
  if (!internals.some((path) => path.split("/").length > 4)) throw new Error("no nested internal module was found")

  writeFileSync(
    join(project, "main.js"),
    `${subpaths.map((path) => `await import("@effect-itwin/${path}")`).join("\n")}
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
const { FakeImsServer } = await import("@effect-itwin/testing")
await Effect.runPromise(FakeIms.FakeIms.pipe(
  Effect.flatMap(({ environment }) => Effect.promise(async () => {
    for (const part of ["/", "/__page/page.css", "/__page/main.js", "/__page/wire.js"]) {
      const { status } = await fetch(environment.apiBaseUrl + part)
      if (status !== 200) throw new Error("the packed page answered " + status + " to GET " + part)
    }
  })),
  Effect.provide(FakeImsServer.layer({ admin: true }))
))
console.log(me.givenName)
`
  )
  const printed = run(project, "node", "main.js").trim()
  if (printed !== "Stranger") throw new Error(`the packed program printed ${printed}`)

  await runCommands()
  return `${packages.length} packages, ${subpaths.length} subpaths and 2 commands run; ${internals.length / 2} internal modules are not reachable`
}

const lint = (tarballs: ReadonlyArray<string>) => {
  const tool = (name: string) => join(tools, "node_modules/.bin", name)
  for (const tarball of tarballs) {
    const name = packages.find((name) => tarball.startsWith(`./effect-itwin-${name}-`)) ?? ""
    run(project, tool("publint"), tarball, "--strict")
    if (!libraries.includes(name)) continue
    const entrypoints = [".", ...modulesOf(name)]
    run(project, tool("attw"), tarball, "--profile", "esm-only", "--format", "ascii", "--entrypoints", ...entrypoints)
  }
  return "publint and attw have no complaint"
}

const findUnused = () => {
  execFileSync(join(tools, "node_modules/.bin/knip"), ["--no-progress"], { cwd: root, stdio: "inherit" })
  return "knip found nothing unused"
}

/** Compiles a program that uses every package: each compiler with both module resolutions, two at a time. */
const compile = async () => {
  writeFileSync(join(project, "consumer.ts"), readFileSync(join(root, "examples/test/consumer.ts"), "utf8"))
  const runs = compilers.flatMap((version) => [
    [version, "nodenext", "nodenext"],
    [version, "esnext", "bundler"]
  ])
  const next = async (): Promise<void> => {
    const [version, module, moduleResolution] = runs.shift() ?? []
    if (version === undefined) return
    const started = performance.now()
    const flags = { target: "es2022", module, moduleResolution, skipLibCheck: "false", types: "node", pretty: "false" }
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)])
    await promisify(execFile)(
      "node",
      [`node_modules/typescript-${version}/bin/tsc`, "--noEmit", "--strict", ...args, "consumer.ts"],
      { cwd: project }
    ).catch((error) => {
      throw new Error(`TypeScript ${version}, ${moduleResolution}:\n${error.stdout.slice(0, 4000)}`)
    })
    console.log(`  TypeScript ${version}, ${moduleResolution}: ${((performance.now() - started) / 1000).toFixed(0)} s`)
    return next()
  }
  await Promise.all([next(), next()])
  return `a program compiles with TypeScript ${compilers.join(", ")}, nodenext and bundler, without skipLibCheck`
}

interface Built {
  readonly metafile: { readonly inputs: Readonly<Record<string, unknown>> }
  readonly outputFiles: ReadonlyArray<{ readonly contents: Uint8Array }>
}

/** README's first program is the minimal one. */
const programs: Record<keyof typeof limits, string> = {
  Scopes: `export { parse } from "@effect-itwin/core/Scopes"`,
  "minimal program": /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1] ?? "",
  verifier: `export { layer } from "@effect-itwin/verify/AccessTokenVerifier"
export { layer as middleware } from "@effect-itwin/verify/BearerMiddleware"`,
  "web app": `export { layer } from "@effect-itwin/sign-in/SignInRoutes"
export { layer as middleware } from "@effect-itwin/sign-in/CurrentUser"
export { layer as tokens } from "@effect-itwin/core/UserTokens"
export { layerMemory } from "@effect-itwin/core/SessionStore"`
}

const weigh = async () => {
  const esbuild = await import(join(tools, "node_modules/esbuild/lib/main.js"))
  const sizeOf = async (contents: string) => {
    const common = {
      bundle: true,
      minify: true,
      format: "esm",
      target: "es2022",
      platform: "browser",
      write: false,
      metafile: true
    }
    const stdin = { contents, resolveDir: project }
    const all: Built = await esbuild.build({ ...common, stdin })
    // Ours is a bundle of the same program whose Effect modules stay outside.
    const ours: Built = await esbuild.build({ ...common, stdin, external: ["effect", "effect/*"] })
    const gzipped = ({ outputFiles }: Built) => gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).byteLength
    return { ours: gzipped(ours), all: gzipped(all) }
  }
  for (const [name, limit] of Object.entries(limits)) {
    const size = await sizeOf(programs[name as keyof typeof limits])
    console.log(`  ${name}: ${size.ours} of ${limit.ours} bytes, with Effect ${size.all} of ${limit.all}`)
    if (size.ours > limit.ours || size.all > limit.all) throw new Error(`${name} is larger than sizes.ts allows`)
  }
  return "bundles are within their limits"
}

try {
  const tarballs = pack(project)
  install(
    project,
    "effect@^4.1.0",
    ...tarballs,
    ...(options.quick
      ? []
      : [versions.types, ...compilers.map((version) => `typescript-${version}@npm:typescript@${version}`)])
  )
  if (!options.quick) install(tools, versions.attw, versions.esbuild, versions.knip, versions.publint)
  const steps = options.quick ? [runStranger] : [runStranger, () => lint(tarballs), weigh, compile, findUnused]
  // Each step runs, whatever came of the one before it.
  for (const step of steps) {
    try {
      console.log(await step())
    } catch (error) {
      console.error(error)
      process.exitCode = 1
    }
  }
} finally {
  for (const folder of [project, tools]) rmSync(folder, { recursive: true, force: true })
}
