/**
 * Measures the rule by which a server's text is shown: which echoes of secrets it shows, which real texts it shows
 * completely, and how often it mistakes an ordinary text for an echo. Fails when an echo of a secret of 32 or more
 * characters is shown.
 *
 * Run it with `pnpm run check-server-text`, or with another number of secrets for each kind and length:
 * `node scripts/server-text.ts 100`.
 */
import { makeServerText } from "../packages/core/src/internal/shown/serverText.ts"
import { encodings, showsPartOf } from "../packages/core/test/serverText/encodings.ts"
import { realTexts } from "../packages/core/test/serverText/realTexts.ts"
import { kinds, makeRandom, makeSecret, sentences } from "../packages/core/test/serverText/secrets.ts"

const each = Number(process.argv[2] ?? 40)
const random = makeRandom(8)

const secrets = kinds.flatMap(([kind, lengths]) =>
  lengths.flatMap((length) => Array.from({ length: each }, () => makeSecret(kind, length, random)))
)

const count = () => ({ echoes: 0, shown: 0, long: 0, shownLong: 0 })
const total = count()
const rows = Object.entries(encodings).map(([encoding, encode]) => {
  const row = count()
  for (const secret of secrets) {
    const serverText = makeServerText([secret])
    const echo = encode(secret)
    for (const sentence of sentences) {
      const shown = serverText.show(sentence(echo))
      const isHit = shown !== undefined && showsPartOf(shown, secret, echo)
      const isLong = secret.length >= 32
      for (const sum of [row, total]) {
        sum.echoes++
        if (isLong) sum.long++
        if (isHit) sum.shown++
        if (isHit && isLong) sum.shownLong++
      }
    }
  }
  return [encoding, row] as const
})

const line = (...cells: ReadonlyArray<string | number>) =>
  console.log(
    `| ${cells.map((cell, i) => (i === 0 ? String(cell).padEnd(34) : String(cell).padStart(9))).join(" | ")} |`
  )

line("encoding", "echoes", "shown", "of 32+", "shown")
line("-".repeat(34), ...Array.from({ length: 4 }, () => "-".repeat(9)))
for (const [encoding, { echoes, shown, long, shownLong }] of rows) line(encoding, echoes, shown, long, shownLong)
line("all", total.echoes, total.shown, total.long, total.shownLong)

const texts = Object.values(realTexts).flat()
const plain = makeServerText([])
const cut = texts.filter((text) => plain.showComplete(text) === undefined)
console.log(`\nReal texts: ${texts.length}; shown completely: ${texts.length - cut.length}. The others:`)
for (const text of cut) console.log(`  ${text}\n    → ${plain.show(text) ?? "(nothing)"}`)

let alarms = 0
for (const secret of secrets) {
  const serverText = makeServerText([secret])
  for (const text of texts) if (serverText.show(text) !== plain.show(text)) alarms++
}
console.log(`\nFalse alarms: ${alarms} in ${secrets.length * texts.length} pairs of a secret and a real text.`)
console.log(`Secrets: ${secrets.length}, encodings: ${rows.length}, sentences: ${sentences.length}.`)

if (total.shownLong > 0) {
  console.error(`${total.shownLong} echoes of secrets of 32 or more characters are shown.`)
  process.exitCode = 1
}
