// The form in which mutations are written down; `mutations.ts` collects them.
export type Row = readonly [
  rule: number,
  breaks: string,
  file: string,
  search: string,
  replace: string,
  ...tests: ReadonlyArray<string>
]

/** Writes the mutations of one rule. */
export const mutationOf =
  (rule: number) =>
  (breaks: string, file: string, search: string, replace: string, ...tests: ReadonlyArray<string>): Row => [
    rule,
    breaks,
    file,
    search,
    replace,
    ...tests
  ]
