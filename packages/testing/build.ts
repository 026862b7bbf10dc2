/**
 * Bundles the command into the file dist/fake-ims.js, with everything that it uses, its page included, so that running it
 * needs no other package. The version is that of package.json at this moment. dist/bin.js, which npm links, starts it with Node's cache
 * of compiled code; a module can't use the cache for itself.
 *
 * `--metafile <path>` writes which modules are in it and how large they are.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { builtinModules } from "node:module"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"

const { values: options } = parseArgs({ options: { metafile: { type: "string" } } })

const folder = import.meta.dirname
const { version }: { readonly version: string } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))

/** What all files of the page may weigh, gzipped, in bytes. */
const pageLimit = 40 * 1024

const isBuiltin = (id: string): boolean => id.startsWith("node:") || builtinModules.includes(id)

const client = join(folder, "src/internal/serve/page/client")

/** Bundles a module of the page for browsers. */
const browserModule = async (name: string): Promise<string> => {
  const bundle = await rolldown({
    input: join(client, `${name}.ts`),
    platform: "browser",
    onLog: (_level, log) => {
      throw new Error(log.message)
    }
  })
  const { output } = await bundle.generate({ format: "esm", codeSplitting: false, minify: true, sourcemap: false })
  await bundle.close()
  return output[0].code
}

const text = (name: string): string => readFileSync(join(client, name), "utf8")

/** What each file of the page contains. */
const page = {
  "page.html": text("page.html"),
  // Between two tokens of the style sheet, one space says as much as many.
  "page.css": text("page.css")
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .replaceAll(/\s+/g, " "),
  "icon.svg": text("icon.svg"),
  "main.js": await browserModule("main"),
  "feedWorker.js": await browserModule("feedWorker")
}

const bundle = await rolldown({
  input: join(folder, "src/internal/serve/bin.ts"),
  platform: "node",
  external: isBuiltin,
  transform: {
    define: { FAKE_IMS_VERSION: JSON.stringify(version), FAKE_IMS_PAGE: JSON.stringify(JSON.stringify(page)) }
  },
  // A module that is not found fails here, not when the command runs.
  onLog: (_level, log) => {
    throw new Error(log.message)
  }
})
const { output } = await bundle.write({
  file: join(folder, "dist/fake-ims.js"),
  format: "esm",
  codeSplitting: false,
  minify: true,
  sourcemap: false
})
await bundle.close()

writeFileSync(
  join(folder, "dist/bin.js"),
  `#!/usr/bin/env node
import { enableCompileCache } from "node:module"
enableCompileCache()
await import("./fake-ims.js")
`
)

const [chunk, ...others] = output
if (others.length > 0) throw new Error(`The bundle has more than one file: ${others.map(({ fileName }) => fileName)}`)
const foreign = chunk.imports.filter((id) => !isBuiltin(id))
if (foreign.length > 0) throw new Error(`The bundle imports ${foreign.join(", ")}`)
if (options.metafile !== undefined) {
  const sizes = Object.entries(chunk.modules).map(([id, { renderedLength }]) => [id, renderedLength])
  writeFileSync(options.metafile, JSON.stringify(Object.fromEntries(sizes), undefined, 2))
}
const weight = Object.values(page).reduce((sum, file) => sum + gzipSync(file, { level: 9 }).byteLength, 0)
if (weight > pageLimit) throw new Error(`The page weighs ${weight} bytes (gzip), more than ${pageLimit}.`)
console.log(`The page: ${weight} bytes (gzip)`)
console.log(`${chunk.fileName}: ${Math.round(chunk.code.length / 1024)} KiB`)
