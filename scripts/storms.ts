// Prints the table of storms: how many requests and secret reads each kind of failure causes. With `--write`, it
// replaces the table in docs/life-of-a-token.md.
import { readFileSync, writeFileSync } from "node:fs"
import { Effect } from "effect"
import { kinds, measure, toMarkdown } from "../packages/core/test/storms.ts"

const guide = new URL("../docs/life-of-a-token.md", import.meta.url)
const table = toMarkdown(await Effect.runPromise(Effect.forEach(kinds, measure)))
if (process.argv.includes("--write")) {
  const text = readFileSync(guide, "utf8")
  const written = text.replace(
    /(<!-- storms -->\n\n)[\s\S]*?(\n\n<!-- \/storms -->)/,
    (_, start: string, end: string) => start + table + end
  )
  if (written === text && !text.includes(table)) throw new Error("docs/life-of-a-token.md has no place for the table.")
  writeFileSync(guide, written)
} else console.log(table)
