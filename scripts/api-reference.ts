/**
 * Writes the API reference of all packages into api-reference/, from the doc comments, with `deno doc`. Deno is installed
 * from npm into a temporary project, without install scripts.
 */
import { globSync, rmSync } from "node:fs"
import { join } from "node:path"
import { emptyProject, install, root, run } from "./pack.ts"

const tools = emptyProject("deno")
const target = join(root, "api-reference")
try {
  install(tools, "deno@2.9.6")
  const deno = join(tools, globSync("node_modules/@deno/*/deno*", { cwd: tools })[0] ?? "deno")
  const modules = globSync("packages/*/src/*.ts", { cwd: root }).filter((file) => !file.endsWith("index.ts"))
  rmSync(target, { recursive: true, force: true })
  run(root, deno, "doc", "--quiet", "--html", "--name=effect-itwin", `--output=${target}`, ...modules)
  const pages = globSync("**/*.html", { cwd: target }).length
  if (pages < modules.length) throw new Error(`${modules.length} modules, but ${pages} pages`)
  console.log(`${pages} pages for ${modules.length} modules: ${join(target, "index.html")}`)
} finally {
  rmSync(tools, { recursive: true, force: true })
}
