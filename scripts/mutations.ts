// Breaks one rule of the token's life after the other, and runs the tests that must fail. Exits with 1 if all tests
// pass with a mutation, or if its search string is not found. `node scripts/mutations.ts rule-6` runs those whose name
// matches.
import { spawn } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { Schema } from "effect"
import { type Mutation, mutations } from "../packages/core/test/mutations.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const filter = new RegExp(process.argv[2] ?? "")
const titleOf = ({ breaks, rule }: Mutation) => `rule-${rule}: ${breaks}`
const chosen = mutations.filter((mutation) => filter.test(titleOf(mutation)))

const copy = mkdtempSync(join(tmpdir(), "mutations-"))
process.on("exit", () => rmSync(copy, { recursive: true, force: true }))
for (const name of ["packages", "docs", "package.json", "vitest.config.ts", "tsconfig.base.json"]) {
  cpSync(join(root, name), join(copy, name), { recursive: true, verbatimSymlinks: true })
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))

const Report = Schema.fromJsonString(
  Schema.Struct({
    testResults: Schema.Array(
      Schema.Struct({
        name: Schema.String,
        status: Schema.String,
        assertionResults: Schema.Array(Schema.Struct({ fullName: Schema.String, status: Schema.String }))
      })
    )
  })
)

/** Runs node in the copy, for at most two minutes. */
const run = (args: ReadonlyArray<string>) =>
  new Promise<void>((resolve) => {
    // In its own process group, so that a worker in an endless loop ends with it.
    const child = spawn(process.execPath, args, { cwd: copy, stdio: "ignore", detached: true })
    const timer = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, "SIGKILL"), 120_000)
    child.on("exit", () => {
      clearTimeout(timer)
      resolve()
    })
  })

/**
 * Returns the tests that fail, each with its file; `undefined` if vitest did not end, for example in an endless loop.
 */
const failing = async (files: ReadonlyArray<string>): Promise<ReadonlySet<string> | undefined> => {
  const report = join(copy, "report.json")
  rmSync(report, { force: true })
  const args = ["run", "--project", "unit", "--testTimeout", "5000", "--reporter", "json", "--outputFile", report]
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
  await run([vitest, ...args, ...files.map((file) => `packages/core/test/${file}.test.ts`)])
  try {
    const { testResults } = Schema.decodeUnknownSync(Report)(readFileSync(report, "utf8"))
    return new Set(
      testResults.flatMap(({ assertionResults, name, status }) =>
        assertionResults.length === 0 && status === "failed"
          ? [basename(name)]
          : assertionResults
              .filter((test) => test.status === "failed")
              .map((test) => `${basename(name)}: ${test.fullName}`)
      )
    )
  } catch {
    return undefined
  }
}

const wrong: Array<string> = []
for (const mutation of chosen) {
  const source = readFileSync(join(root, "packages/core/src", mutation.file), "utf8")
  const found = source.split(mutation.search).length - 1
  if (found !== 1) {
    wrong.push(titleOf(mutation))
    console.log(`DOES NOT FIT  ${titleOf(mutation)}: found ${found} times in ${mutation.file}: ${mutation.search}`)
  }
}
if (wrong.length > 0) process.exit(1)

const before = await failing([...new Set(chosen.flatMap(({ tests }) => tests))])
if (before === undefined) throw new Error("The tests come to no end without any mutation.")
if (before.size > 0)
  console.log(`These fail without any mutation, and count for nothing:\n  ${[...before].join("\n  ")}`)

for (const mutation of chosen) {
  const path = join(copy, "packages/core/src", mutation.file)
  const source = readFileSync(path, "utf8")
  writeFileSync(
    path,
    source.replace(mutation.search, () => mutation.replace)
  )

  const after = await failing(mutation.tests)
  writeFileSync(path, source)
  const red = [...(after ?? [])].filter((test) => !before.has(test))
  const doesNotLoad = red.some((test) => test.endsWith(".test.ts"))
  const isKilled = !doesNotLoad && (after === undefined || red.length > 0)
  if (!isKilled) wrong.push(titleOf(mutation))
  const how = doesNotLoad ? "does not load" : after === undefined ? "the tests come to no end" : (red[0] ?? "all green")
  console.log(`${isKilled ? "killed  " : "SURVIVED"}  ${titleOf(mutation)} (${how})`)
}
console.log(`${chosen.length - wrong.length} killed, ${wrong.length} survived`)
process.exit(wrong.length === 0 ? 0 : 1)
