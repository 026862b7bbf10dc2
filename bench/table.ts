type Rows = ReadonlyArray<ReadonlyArray<string>>

const padded = (rows: Rows): Rows => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => widths.map((width, column) => (row[column] ?? "").padEnd(width)))
}

/** Prints rows as a table; the first is its head. */
export const printTable = (rows: Rows): void => {
  for (const row of padded(rows)) console.log(row.join("  ").trimEnd())
}

/** Returns rows as a table in Markdown; the first is its head. */
export const markdownTable = (rows: Rows): string => {
  const [head = [], ...body] = padded(rows)
  const line = (row: ReadonlyArray<string>) => `| ${row.join(" | ")} |\n`
  return [head, head.map((cell) => "-".repeat(cell.length)), ...body].map(line).join("")
}
