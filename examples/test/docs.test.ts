import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./spawn.ts"

const generated = fileURLToPath(new URL("../.generated", import.meta.url))
const platform = new URL("./platform.ts", import.meta.url).href

const programs = globSync("*.ts", { cwd: generated, exclude: ["*.test.ts", "*.snippet.ts"] })
  .sort()
  .map((file) => {
    const source = readFileSync(`${generated}/${file}`, "utf8")
    // `console.log(x) // 1` states what the program must print.
    const expected = [...source.matchAll(/^.*console\.log\(.*\) \/\/ (.+)$/gm)].map((match) => match[1] ?? "")
    return { file, place: /^\/\/ (.+)$/m.exec(source)?.[1] ?? file, expected }
  })

describe("the examples of the documentation", () => {
  it("finds the printed output of each example in the documentation", () => {
    assert.isAbove(programs.length, 2)
  })

  it.live.each(programs)("prints what the documentation shows when an example runs: $place", ({ file, expected }) =>
    Effect.gen(function* () {
      const { code, stdout, stderr } = yield* run(["--import", platform, `${generated}/${file}`])
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
      for (const line of expected) assert.include(stdout.split("\n"), line)
      assert.notMatch(stdout, /eyJ|fake-secret-/)
    })
  )
})
