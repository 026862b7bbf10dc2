// Finds where a text stops being JSON (RFC 8259). The messages of `JSON.parse` differ between versions of Node, often lack
// the position, and quote the text, which may contain a secret.

export interface SyntaxProblem {
  /** Both from 1 on. */
  readonly line: number
  readonly column: number
  readonly expected: string
}

const space = /[ \t\n\r]*/y
// From the space on, without the quotation mark and the backslash.
const string = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

type Expectation = "value" | "value or ]" | "name" | "name or }" | "colon" | "comma or end"

const names: Readonly<Record<Expectation, string>> = {
  value: "a value",
  "value or ]": "a value or ]",
  name: "a name in double quotes",
  "name or }": "a name in double quotes or }",
  colon: "a colon",
  "comma or end": "a comma"
}

/** Returns the first place at which the text is not JSON; `undefined` if it is. */
export const findSyntaxProblem = (text: string): SyntaxProblem | undefined => {
  const open: Array<"{" | "["> = []
  let expected: Expectation = "value"
  let at = 0

  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    if (!pattern.test(text)) return false
    at = pattern.lastIndex
    return true
  }
  const takeMark = (mark: string): boolean => {
    if (text[at] !== mark) return false
    at++
    return true
  }
  const close = () => {
    open.pop()
    expected = "comma or end"
    return true
  }
  const isDone = () => open.length === 0 && expected === "comma or end"

  const step = (): boolean => {
    switch (expected) {
      case "value or ]":
        if (takeMark("]")) return close()
        expected = "value"
        return step()
      case "value": {
        const mark = text[at]
        if (mark === "{" || mark === "[") {
          at++
          open.push(mark)
          expected = mark === "{" ? "name or }" : "value or ]"
          return true
        }
        if (!take(string) && !take(scalar)) return false
        expected = "comma or end"
        return true
      }
      case "name or }":
        if (takeMark("}")) return close()
        expected = "name"
        return step()
      case "name":
        if (!take(string)) return false
        expected = "colon"
        return true
      case "colon":
        if (!takeMark(":")) return false
        expected = "value"
        return true
      case "comma or end": {
        const inObject = open.at(-1) === "{"
        if (takeMark(inObject ? "}" : "]")) return close()
        if (!takeMark(",")) return false
        expected = inObject ? "name" : "value"
        return true
      }
    }
  }

  const describe = (before: Expectation): string => {
    if (before !== "comma or end") return names[before]
    return open.length === 0 ? "the end" : `a comma or ${open.at(-1) === "{" ? "}" : "]"}`
  }

  for (;;) {
    take(space)
    const before: Expectation = expected
    if (isDone() && at === text.length) return undefined
    if (!isDone() && step()) continue
    const lines = text.slice(0, at).split("\n")
    return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1, expected: describe(before) }
  }
}
