/**
 * Bundles the published JavaScript of core into one file; its types are `tsc`'s. Node resolves each import of each file
 * anew, so that one file loads in half the time that the modules take one by one. Each subpath stays a module, which
 * re-exports its part.
 */
import { globSync, rmSync } from "node:fs"
import { basename, join } from "node:path"
import { rolldown } from "rolldown"

const core = join(import.meta.dirname, "../packages/core")
const modules = globSync("src/*.ts", { cwd: core })

for (const file of globSync("dist/**/*.{js,js.map}", { cwd: core })) rmSync(join(core, file))

const bundle = await rolldown({
  cwd: core,
  input: Object.fromEntries(modules.map((module) => [basename(module, ".ts"), module])),
  external: /^effect(\/|$)/
})
await bundle.write({
  dir: join(core, "dist"),
  sourcemap: true,
  comments: { jsdoc: false },
  chunkFileNames: "internal/[name].js",
  codeSplitting: { groups: [{ name: "core", test: /./ }] }
})
