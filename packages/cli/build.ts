/**
 * Builds what is published: `dist/bin.js`, which is small, and `dist/itwin-auth.js` with all the rest. Fails if a module
 * would be loaded from elsewhere than Node and the Azure SDK.
 *
 * `--out` is another folder; `--metafile` writes `meta.json`: each module that is in the bundle, with its size.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { isBuiltin } from "node:module"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { rolldown } from "rolldown"

const { values: options } = parseArgs({
  options: { metafile: { type: "boolean", default: false }, out: { type: "string" } }
})
const dist = options.out ?? join(import.meta.dirname, "dist")

/** Optional peers, loaded at the first read of a vault. */
const isSdk = (id: string) => id.startsWith("@azure/")

/**
 * Removes what `@effect/platform-node` loads for fetch by undici and for WebSockets, which this command does not use.
 * Otherwise both would be in files of their own.
 */
const withoutUnused = {
  name: "without-unused",
  transform: {
    filter: { id: /\/NodeHttpClient\.js$/ },
    handler: (code: string) => code.replaceAll(/import\("\.\/(?:Undici|internal\/upgrade)\.js"\)/g, "Promise.reject()")
  }
}

const bundle = await rolldown({
  input: join(import.meta.dirname, "src/bin.ts"),
  platform: "node",
  external: isSdk,
  plugins: [withoutUnused],
  logLevel: "warn"
})
const { output } = await bundle.write({
  dir: dist,
  format: "esm",
  entryFileNames: "bin.js",
  chunkFileNames: "itwin-auth.js",
  minify: true,
  comments: { legal: true }
})
await bundle.close()

const chunks = output.filter((file) => file.type === "chunk")
const names = chunks.map(({ fileName }) => fileName).sort()
if (names.join() !== "bin.js,itwin-auth.js") throw new Error(`the bundle has the files ${names.join(", ")}`)
for (const { dynamicImports, fileName, imports } of chunks) {
  const foreign = [...imports, ...dynamicImports].filter((id) => !isBuiltin(id) && !isSdk(id) && !names.includes(id))
  if (foreign.length > 0) throw new Error(`${fileName} would load ${foreign.join(", ")}`)
}
const modules = Object.fromEntries(
  chunks.flatMap(({ modules }) => Object.entries(modules).map(([id, { renderedLength }]) => [id, renderedLength]))
)
const unwanted = Object.keys(modules).filter((id) => /\/node_modules\/(?:undici|ws|redis|@redis)\//.test(id))
if (unwanted.length > 0) throw new Error(`the bundle contains ${unwanted.join(", ")}`)

// The license of what is bundled asks for its text in each copy.
const roots = new Set(
  Object.keys(modules).flatMap((id) => /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1] ?? [])
)
const licenses = [...roots].sort().map((root) => {
  const { license, name, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  const file = join(root, "LICENSE")
  if (license !== "MIT" || !existsSync(file)) throw new Error(`${name} has no MIT license to copy`)
  return `${name} ${version}\n\n${readFileSync(file, "utf8").trim()}\n`
})
writeFileSync(join(dist, "licenses.txt"), licenses.join("\n\n"))

if (options.metafile) writeFileSync(join(dist, "meta.json"), JSON.stringify(modules, null, 2))
