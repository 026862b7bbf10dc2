/**
 * Writes every `ts` example of the READMEs, the guides and the doc comments into examples/.generated, where the type
 * check and the tests find them: programs as `*.ts`, blocks marked ` ```ts test ` as `*.test.ts`.
 *
 * Each file begins with the place of its example.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pageSnippets } from "../packages/testing/test/pageSnippets.ts"

const root = join(import.meta.dirname, "..")
const target = join(root, "examples/.generated")

const markdown = globSync(["*.md", "docs/**/*.md", "packages/*/README.md"], { cwd: root })
const sources = globSync("packages/*/src/*.ts", { cwd: root })

/** Returns the doc comments of a module as markdown. Other lines are empty, so that line numbers stay the same. */
const commentsOf = (source: string): string =>
  source
    .split("\n")
    .map((line) => /^\s*\* ?(.*)$/.exec(line)?.[1] ?? "")
    .join("\n")

rmSync(target, { recursive: true, force: true })
mkdirSync(target, { recursive: true })

for (const file of [...markdown, ...sources].sort()) {
  const content = readFileSync(join(root, file), "utf8")
  const text = file.endsWith(".md") ? content : commentsOf(content)
  for (const match of text.matchAll(/^```ts( test)?\n([\s\S]*?)^```$/gm)) {
    const line = text.slice(0, match.index).split("\n").length
    const name = `${file.replace(/\.(md|ts)$/, "").replace(/[^A-Za-z0-9]+/g, "-")}-${line}`
    writeFileSync(join(target, `${name}${match[1] === undefined ? "" : ".test"}.ts`), `// ${file}:${line}\n${match[2]}`)
  }
}

// The programs that the page of fake-ims shows. They name an app and addresses that exist only while the page is open, so
// they are compiled here, and run by the tests of the page.
for (const { name, source } of pageSnippets()) writeFileSync(join(target, `page-${name}.snippet.ts`), source)
