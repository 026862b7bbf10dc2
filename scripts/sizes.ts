/**
 * What a bundle for browsers may weigh: minified by esbuild and gzipped, in bytes. Checked by check-packages.ts.
 *
 * A limit may only be raised with the reason written next to it.
 */
export interface Limit {
  /** Our own code: the bundle without the Effect modules that it imports. */
  readonly ours: number
  /** The complete bundle, Effect included. */
  readonly all: number
  readonly reason: string
}

export const limits: Readonly<Record<"Scopes" | "minimal program" | "verifier" | "web app", Limit>> = {
  Scopes: { ours: 450, all: 25_500, reason: "first measured: 407 and 24,788" },
  // README's first program. It imports Effect through the barrel, as most programs do.
  "minimal program": {
    ours: 26_610,
    all: 93_250,
    reason:
      "first measured: 23,439 and 90,202; 25,410 and 92,031 with the retry of API calls, three more reasons of API " +
      "errors, advice for roles, scopes, audiences and new apps, and the place for a shared token store; at most 1,200 " +
      "more for users: five URLs of an environment, two reasons of token errors, and a token request for any grant"
  },
  // The local verifier with the middleware for HttpRouter. Both figures contain `jose`.
  verifier: {
    ours: 16_600,
    all: 74_000,
    reason:
      "first measured: 16,205 and 73,116, with jose and those parts of core that a program which requests tokens has " +
      "anyway"
  },
  // The sign-in of a web app: routes, middleware, tokens of users, and sessions in memory. Nothing of Node.
  "web app": { ours: 38_900, all: 105_500, reason: "first measured: 37,848 and 103,495" }
}
