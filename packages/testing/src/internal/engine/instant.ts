/** Formats as ISO 8601, or as a number if a `Date` cannot hold the instant: a test may set its clock to any time. */
export const formatInstant = (epochMillis: number): string => {
  const date = new Date(epochMillis)
  return Number.isNaN(date.getTime()) ? String(epochMillis) : date.toISOString()
}
