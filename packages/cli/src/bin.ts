#!/usr/bin/env node
// The command `itwin-auth`. Node keeps the compiled code of the rest for the next start. In the published package,
// `main.ts` and all that it imports are the one file `itwin-auth.js`.
import module from "node:module"
import { join } from "node:path"

const { HOME, USERPROFILE, XDG_CACHE_HOME } = process.env
const home = HOME || USERPROFILE
// Not the folder for temporary files, where another user of this machine could put code in advance.
const folder = XDG_CACHE_HOME || (home && join(home, ".cache"))
if (folder) module.enableCompileCache?.(join(folder, "itwin-auth"))

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`itwin-auth: Node ${process.versions.node} is too old. Use Node 22.19 or newer.\n`)
  process.exitCode = 2
} else {
  await import("./internal/main.ts")
}
