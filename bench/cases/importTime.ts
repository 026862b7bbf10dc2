// Measures the import of the built core when the Effect modules that it uses are loaded, and the import of those
// modules. Prints milliseconds.
import { globSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { print } from "./print.ts"

const dist = join(import.meta.dirname, "../../packages/core/dist")
const modules = new Set(
  globSync("**/*.js", { cwd: dist }).flatMap((file) =>
    [...readFileSync(join(dist, file), "utf8").matchAll(/from "(effect\/[^"]+)"/g)].map((match) => match[1] ?? "")
  )
)
const resolve = createRequire(join(dist, "index.js")).resolve

const effectStarted = performance.now()
for (const module of modules) await import(pathToFileURL(resolve(module)).href)
const coreStarted = performance.now()
await import(pathToFileURL(join(dist, "index.js")).href)
print({ ours: [performance.now() - coreStarted], "effect modules": [coreStarted - effectStarted] })
