const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** One line of JSON: the median of each series, for the run that started this process. */
export const print = (series: Readonly<Record<string, ReadonlyArray<number>>>): void =>
  console.log(
    JSON.stringify(Object.fromEntries(Object.entries(series).map(([name, values]) => [name, median(values)])))
  )
