/**
 * Checks what no compiler and no test sees: that every export has a summary and every public module an example, that
 * every promise of SECURITY.md names a test that exists, and that workflows use actions by their full hash.
 */
import { existsSync, globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"

const root = join(import.meta.dirname, "..")
const read = (file: string) => readFileSync(join(root, file), "utf8")
const problems: Array<string> = []

// The entry of a command is no module that others import.
for (const file of globSync("packages/*/src/*.ts", { cwd: root, exclude: ["packages/*/src/bin.ts"] }).sort()) {
  const source = read(file)
  const missing: Array<string> = []
  // A summary is a doc comment that does not begin with a tag. An overload or a re-export has its summary elsewhere.
  for (const match of source.matchAll(/^export (?:declare )?(?:const|class|interface|type|function) (\w+)/gm)) {
    const comment = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/.exec(source.slice(0, match.index))?.[1]
    if (comment === undefined || /^[\s*]*(@|$)/.test(comment)) missing.push(`${match[1]} has no summary`)
  }
  if (basename(file) !== "index.ts" && !/^ \* ```ts( test)?$/m.test(source)) missing.push("the module has no example")
  for (const text of missing) problems.push(`${file}: ${text}`)
}

// A promise is a list item. The items below it are its tests: `file` "name".
const promises = /## What is promised\n([\s\S]*?)\n## /.exec(read("SECURITY.md"))?.[1]?.split(/^- /m).slice(1) ?? []
if (promises.length === 0) problems.push("SECURITY.md: no promise was found")
for (const promise of promises) {
  const text = promise.replace(/\s+/g, " ")
  const tests = [...text.matchAll(/`([^`]+\.test\.ts)` "([^"]+)"/g)]
  if (tests.length === 0) problems.push(`SECURITY.md: no test is named for "${text.slice(0, 60)}…"`)
  for (const [, file = "", name = ""] of tests) {
    if (!existsSync(join(root, file)) || !read(file).replace(/\s+/g, " ").includes(name))
      problems.push(`SECURITY.md: ${file} has no test "${name}"`)
  }
}

for (const file of globSync(".github/workflows/*.yml", { cwd: root })) {
  for (const [line] of read(file).matchAll(/^.*\buses:.*$/gm)) {
    if (!/uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))
      problems.push(`${file}: pin the action by its hash, with the version as comment: ${line.trim()}`)
  }
}

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1
