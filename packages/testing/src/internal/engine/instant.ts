/** ISO 8601, or the bare number of what is beyond the years of a `Date`: the clock of a test may stand anywhere. */
export const formatInstant = (epochMillis: number): string => {
  const date = new Date(epochMillis)
  return Number.isNaN(date.getTime()) ? String(epochMillis) : date.toISOString()
}
