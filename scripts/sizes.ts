/**
 * What core may add to a bundle for browsers: minified by esbuild and gzipped, in bytes.
 *
 * `ours` is what comes on top of the Effect modules that the program uses anyway: the size of the complete bundle, less
 * the size of a bundle of those modules. A limit may only be raised with the reason written next to it.
 */
export interface Limit {
  /** Our own code. */
  readonly ours: number
  /** The complete bundle, Effect included. */
  readonly all: number
  readonly reason: string
}

export const limits: Readonly<Record<"Scopes" | "minimal program", Limit>> = {
  Scopes: { ours: 1e9, all: 1e9, reason: "TODO" },
  "minimal program": { ours: 1e9, all: 1e9, reason: "TODO" }
}
