// Runs the model tests of the token cache and of users' sessions with more random schedules than the test command does:
// 10,000 each, or `--runs N`.
// `--seed N` chooses other schedules.
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: { runs: { type: "string", default: "10000" }, seed: { type: "string", default: "2026" } }
})
const root = join(import.meta.dirname, "..")
const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
const { status } = spawnSync(
  process.execPath,
  [
    vitest,
    "run",
    "--project",
    "unit",
    "packages/core/test/TokenCache.model.test.ts",
    "packages/core/test/UserTokens.model.test.ts"
  ],
  { cwd: root, stdio: "inherit", env: { ...process.env, MODEL_RUNS: values.runs, MODEL_SEED: values.seed } }
)
process.exitCode = status ?? 1
