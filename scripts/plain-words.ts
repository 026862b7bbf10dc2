/**
 * Fails if prose contains a word that plain English does not need. Prints the file and the line of each.
 *
 * Checks prose only: Markdown outside of code, and comments and strings of TypeScript.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** What may stand between two words: white space, and the mark of a comment that continues on the next line. */
const gap = String.raw`(?:\s|\n\s*(?:\*|//))+`

// Regular expressions, because strings of this file are checked too.
const words = [
  /amid/,
  /anew/,
  /whoever/,
  /he who/,
  /who asks/,
  /at hand/,
  /goes by/,
  /thus/,
  /hence/,
  /mend(?:s|ed|ing)?/
]
const pattern = new RegExp(String.raw`\b(?:${words.map(({ source }) => source.replace(" ", gap)).join("|")})\b`, "gi")

/** Replaces everything but line breaks by spaces, so that positions stay the same. */
const blank = (text: string): string => text.replace(/[^\n]/g, " ")

const fence = /^[ \t*]*(`{3,}|~{3,})[^\n]*\n[\s\S]*?^[ \t*]*\1[ \t]*$/gm
const span = /(`+)(?!`)(?:(?!\n[ \t*]*\n)[\s\S])*?[^`]\1(?!`)/g

const withoutCode = (markdown: string): string => markdown.replace(fence, blank).replace(span, blank)

/** Matches what a string, a comment or a regular expression can be confused with, at the current position. */
const token =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`|[{}]|\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*|[^\s]/gy

/** A `/` after a value divides; anywhere else it begins a regular expression. */
const isAfterValue = (code: string): boolean =>
  /[\w$)\]}]\s*$/.test(code) && !/\b(?:return|case|typeof|yield|await|of|in)\s*$/.test(code)

/** Keeps the comments, without their code, and the strings. */
const proseOf = (source: string): string => {
  let prose = ""
  let at = 0
  /** The depth of braces in each template that surrounds the position. */
  const templates: Array<number> = []
  const take = (text: string, shown: string) => {
    prose += shown
    at += text.length
  }
  const takeTemplate = () => {
    const text = /(?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{|$)/y
    text.lastIndex = at
    const found = text.exec(source)?.[0] ?? ""
    take(found, found)
    if (found.endsWith("${")) templates.push(0)
  }
  while (at < source.length) {
    const space = /\s*/y
    space.lastIndex = at
    const gapText = space.exec(source)?.[0] ?? ""
    take(gapText, gapText)
    token.lastIndex = at
    const found = token.exec(source)?.[0]
    if (found === undefined) break
    const depth = templates.at(-1)
    if (found.startsWith("//") || found.startsWith("/*")) take(found, withoutCode(found))
    else if (found.length > 1 && /^["']/.test(found)) take(found, found.replace(span, blank))
    else if (found === "`") {
      take(found, " ")
      takeTemplate()
    } else if (found === "}" && depth === 0) {
      templates.pop()
      take(found, " ")
      takeTemplate()
    } else if (found.startsWith("/") && found.length > 1 && isAfterValue(source.slice(Math.max(0, at - 40), at))) {
      take("/", " ")
    } else {
      if (depth !== undefined && found === "{") templates[templates.length - 1] = depth + 1
      if (depth !== undefined && found === "}") templates[templates.length - 1] = depth - 1
      take(found, blank(found))
    }
  }
  return prose
}

const root = fileURLToPath(new URL("..", import.meta.url))
const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md", "*.ts"], {
  cwd: root,
  encoding: "utf8"
})
  .split("\0")
  .filter((file) => file !== "" && existsSync(`${root}${file}`))

let found = 0
for (const file of files) {
  const text = readFileSync(`${root}${file}`, "utf8")
  const prose = file.endsWith(".md") ? withoutCode(text) : proseOf(text)
  for (const match of prose.matchAll(pattern)) {
    found++
    const line = prose.slice(0, match.index).split("\n").length
    console.error(
      `${file}:${line}: "${match[0].replace(/\s[\s*/]*/g, " ")}" is not a plain word here. Use another one.`
    )
  }
}
if (found > 0) process.exitCode = 1
