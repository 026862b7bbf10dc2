import * as Duration from "effect/Duration"

const units = [
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000]
] as const

/** Writes a duration as a person needs it: `300 ms`, `4 s`, `1 min 30 s`, `2 h`; two units at most, rounded. */
export const formatDuration = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  if (millis < 1_000) return `${Math.round(millis)} ms`
  if (!Number.isFinite(millis)) return "unlimited time"
  const rounded = Math.round(millis / 1_000) * 1_000
  const first = units.findIndex(([, size]) => rounded >= size)
  const shown: Array<string> = []
  let rest = rounded
  for (const [unit, size] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) shown.push(`${count} ${unit}`)
  }
  return shown.join(" ")
}
