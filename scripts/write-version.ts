/** Writes the version of core's package.json into the module that requests read. Run by `pnpm run version-packages`. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const core = join(import.meta.dirname, "../packages/core")
const { version } = JSON.parse(readFileSync(join(core, "package.json"), "utf8")) as { version: string }
const target = join(core, "src/internal/version.ts")
writeFileSync(target, readFileSync(target, "utf8").replace(/"[^"]*"$/m, JSON.stringify(version)))
