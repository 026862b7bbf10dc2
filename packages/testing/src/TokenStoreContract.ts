/**
 * Lists what every `TokenStore.Service` has to do, as cases that any test runner can run.
 *
 * Say how to open your store, and run what {@link cases} returns. Each case uses rows with random names, and fails with
 * a {@link ContractViolation} that says what was expected and what the store returned.
 *
 * **Gotchas**
 *
 * The cases take up to a second each on a store with a real clock. Run them with `it.live` there.
 *
 * **Example** (The store in memory)
 *
 * ```ts test
 * import { TokenStore } from "@effect-itwin/core"
 * import { TokenStoreContract } from "@effect-itwin/testing"
 * import { describe, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * describe("the store in memory", () => {
 *   for (const { name, run } of TokenStoreContract.cases({
 *     open: Effect.map(TokenStore.makeMemory, Effect.succeed),
 *     wait: (millis) => TestClock.adjust(millis)
 *   })) {
 *     it.effect(name, () => run)
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as TokenStore from "@effect-itwin/core/TokenStore"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/**
 * Describes the store under test.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subject {
  /** Opens the store, once for each case. The inner effect connects one replica to it. */
  readonly open: Effect.Effect<Effect.Effect<TokenStore.Service, unknown, Scope.Scope>, unknown, Scope.Scope>
  /** Lets this many milliseconds pass on the store's clock: `Effect.sleep` or `TestClock.adjust`. */
  readonly wait: (millis: number) => Effect.Effect<void>
}

/**
 * Says that a store did something other than the contract says. Shows no value of a row.
 *
 * @category errors
 * @since 0.1.0
 */
export class ContractViolation extends Schema.Error<ContractViolation>(
  "@effect-itwin/testing/TokenStoreContract/ContractViolation"
)({
  _tag: Schema.tag("ContractViolation"),
  /** The name of the case. */
  case: Schema.String,
  expected: Schema.String,
  seen: Schema.String
}) {
  override get message(): string {
    return `The store violates "${this.case}": expected ${this.expected}, but saw ${this.seen}.`
  }
}

/**
 * Holds one case, to be run as a test.
 *
 * @category models
 * @since 0.1.0
 */
export interface Case {
  readonly name: string
  readonly run: Effect.Effect<void, ContractViolation>
}

/** Describes what a case has: a row with two replicas that use it, and the checks. */
interface Row {
  readonly name: string
  readonly wait: Subject["wait"]
  /** The first replica's store, and the one of another replica. */
  readonly store: TokenStore.Service
  readonly another: TokenStore.Service
  /** Claims the row for this owner, with a lease of 300 ms unless changed. */
  readonly claim: (
    owner: string,
    changes?: Partial<TokenStore.Claim>
  ) => Effect.Effect<TokenStore.Claimed, TokenStore.TokenStoreError>
  readonly expect: (isMet: boolean, expected: string, seen: string) => Effect.Effect<void, ContractViolation>
  /** Expects this kind of result, and passes it to the check. */
  readonly expectTag: <T extends TokenStore.Claimed["_tag"]>(
    claimed: TokenStore.Claimed,
    tag: T,
    when: string,
    check?: (claimed: Extract<TokenStore.Claimed, { readonly _tag: T }>) => boolean
  ) => Effect.Effect<void, ContractViolation>
}

/** Limits how late a step may be done, in milliseconds. */
const tolerance = 1_000

const isAbout = (millis: number, expected: number): boolean => millis <= expected && millis > expected - tolerance

const isAboutAge = (millis: number, expected: number): boolean => millis >= expected && millis < expected + tolerance

const hasTag = <T extends TokenStore.Claimed["_tag"]>(
  claimed: TokenStore.Claimed,
  tag: T
): claimed is Extract<TokenStore.Claimed, { readonly _tag: T }> => claimed._tag === tag

const shown = (claimed: TokenStore.Claimed): string =>
  JSON.stringify({ ...claimed, ...("value" in claimed ? { value: `${claimed.value.length} characters` } : {}) })

type Check = (row: Row) => Effect.Effect<void, ContractViolation | TokenStore.TokenStoreError>

const minute = 60_000

const publication = (owner: string, left = minute, age = 0): TokenStore.Publication => ({
  owner,
  value: `value of ${owner}`,
  age,
  left
})

const leases: Readonly<Record<string, Check>> = {
  "grants the lease to one of 50 claims at once": ({ another, claim, expect, name, store }) =>
    Effect.gen(function* () {
      const owners = Array.from({ length: 50 }, (_, i) => `owner-${i}`)
      const options = { lease: 5_000, forget: "none", minLeft: 5_000, level: 1 } as const
      const all = yield* Effect.forEach(
        owners,
        (owner, i) => (i % 2 === 0 ? store : another).claim(name, { ...options, owner }),
        { concurrency: "unbounded" }
      )
      const granted = all.filter(({ _tag }) => _tag === "Lease").length
      const busy = all.filter(({ _tag }) => _tag === "Busy").length
      yield* expect(granted === 1 && busy === 49, "one Lease and 49 Busy", `${granted} Lease and ${busy} Busy`)
      yield* expect((yield* claim("late"))._tag === "Busy", "Busy for a later claim", "something else")
    }),
  "says for how long the lease of another owner lasts, and ends it then": ({ claim, expectTag, wait }) =>
    Effect.gen(function* () {
      yield* expectTag(yield* claim("a"), "Lease", "the row is new", ({ previous }) => previous === undefined)
      yield* expectTag(yield* claim("b"), "Busy", "a has the lease", ({ left }) => left > 0 && left <= 300)
      yield* wait(350)
      yield* expectTag(yield* claim("b"), "Lease", "the lease of a has ended")
    }),
  "renews the lease for its owner": ({ claim, expectTag, wait }) =>
    Effect.gen(function* () {
      yield* claim("a")
      yield* wait(200)
      yield* expectTag(yield* claim("a"), "Lease", "the owner claims again")
      yield* wait(200)
      yield* expectTag(yield* claim("b"), "Busy", "the renewed lease holds")
    }),
  "ends a lease when its owner releases it, and only then": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* claim("a", { lease: 5_000 })
      yield* store.release(name, "b")
      yield* expectTag(yield* claim("b"), "Busy", "another owner released")
      yield* store.release(name, "a")
      yield* expectTag(yield* claim("b"), "Lease", "the owner released")
    })
}

const tokens: Readonly<Record<string, Check>> = {
  "returns a published token to every replica, with its version, age and remaining time": ({
    another,
    claim,
    expectTag,
    name,
    store,
    wait
  }) =>
    Effect.gen(function* () {
      yield* claim("a")
      yield* store.publish(name, publication("a", minute, 2_000))
      yield* wait(200)
      const isPublished = (token: Extract<TokenStore.Claimed, { readonly _tag: "Token" }>) =>
        token.value === "value of a" &&
        token.version === "a" &&
        isAboutAge(token.age, 2_200) &&
        isAbout(token.left, minute - 200)
      yield* expectTag(yield* claim("b"), "Token", "a published it", isPublished)
      const options = { owner: "c", lease: 300, forget: "none", minLeft: 0, level: 1 } as const
      yield* expectTag(yield* another.claim(name, options), "Token", "another replica claims", isPublished)
    }),
  "returns a value of 45,000 characters as it is": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      const value = "Az09-_".repeat(7_500)
      yield* store.publish(name, { ...publication("a"), value })
      yield* expectTag(yield* claim("b"), "Token", "the value is long", (token) => token.value === value)
    }),
  "returns no token that has less time left than asked for": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* store.publish(name, publication("a", 10_000))
      yield* expectTag(yield* claim("b", { minLeft: 10_001 }), "Lease", "it has 10 s left")
      yield* expectTag(yield* claim("c", { minLeft: 5_000 }), "Token", "the lease of b does not hide it")
    }),
  "removes a token when it expires": ({ claim, expectTag, name, store, wait }) =>
    Effect.gen(function* () {
      yield* store.publish(name, publication("a", 300))
      yield* expectTag(yield* claim("b", { minLeft: 0 }), "Token", "it has not expired")
      yield* wait(350)
      yield* expectTag(yield* claim("b", { minLeft: 0 }), "Lease", "it has expired")
    }),
  "does not return a version that is known, and keeps it for others": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* store.publish(name, publication("a"))
      yield* expectTag(yield* claim("b", { known: "a" }), "Lease", "b knows the version")
      yield* expectTag(yield* claim("c", { known: "b" }), "Token", "c knows another version")
    }),
  "removes the known version, and no other, when a claim forgets it": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* store.publish(name, publication("a"))
      yield* expectTag(yield* claim("b", { known: "x", forget: "known" }), "Token", "b forgets another version")
      yield* expectTag(yield* claim("b", { known: "a", forget: "known" }), "Lease", "b forgets this version")
      yield* expectTag(yield* claim("c"), "Busy", "the token is removed")
    }),
  "removes the known version also when the claim gets nothing": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* store.publish(name, publication("a"))
      yield* claim("b", { known: "a" })
      yield* expectTag(yield* claim("c", { known: "a", forget: "known" }), "Busy", "b has the lease")
      yield* expectTag(yield* claim("d"), "Busy", "the token is removed")
    }),
  "returns no token, and keeps it, when a claim forgets any": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* store.publish(name, publication("a"))
      yield* expectTag(yield* claim("b", { forget: "any" }), "Lease", "b wants a new one")
      yield* expectTag(yield* claim("c", { forget: "any" }), "Busy", "b has the lease")
      yield* expectTag(yield* claim("d"), "Token", "d takes the one that is there")
    }),
  "lets the owner of the lease replace a token that lives longer": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* store.publish(name, publication("a"))
      yield* claim("b", { forget: "any", lease: 5_000 })
      yield* store.publish(name, publication("b", minute / 2))
      yield* expectTag(yield* claim("c"), "Token", "b published", ({ version }) => version === "b")
      yield* expectTag(yield* claim("c", { forget: "any" }), "Lease", "publishing ended the lease")
    }),
  "lets others replace a token only by one that lives longer": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* claim("a", { lease: 5_000 })
      yield* store.publish(name, publication("b", minute))
      yield* expectTag(yield* claim("z"), "Token", "the row had none", ({ version }) => version === "b")
      yield* store.publish(name, publication("c", minute / 2))
      yield* expectTag(yield* claim("z"), "Token", "c expires earlier", ({ version }) => version === "b")
      yield* store.publish(name, publication("d", 2 * minute))
      yield* expectTag(yield* claim("z"), "Token", "d expires later", ({ version }) => version === "d")
      yield* expectTag(yield* claim("z", { forget: "any" }), "Busy", "a still has the lease")
    }),
  "drops a token of the given version, and no other": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* store.publish(name, publication("a"))
      yield* store.drop(name, "x")
      yield* expectTag(yield* claim("b"), "Token", "another version was dropped")
      yield* store.drop(name, "a")
      yield* expectTag(yield* claim("b"), "Lease", "this version was dropped")
    }),
  "keeps rows apart": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      const other = `${name}-other`
      yield* store.publish(other, publication("a"))
      yield* expectTag(yield* claim("b"), "Lease", "the token is in another row")
      yield* store.drop(other, "a")
    })
}

const setbacks: Readonly<Record<string, Check>> = {
  "holds claims up to the level of a setback, and says for how long": ({ claim, expectTag, name, store, wait }) =>
    Effect.gen(function* () {
      yield* claim("a")
      yield* store.release(name, "a", { value: "refused", left: 400, level: 2 })
      for (const level of [1, 2] as const) {
        yield* expectTag(
          yield* claim("b", { level }),
          "Held",
          `the level is ${level}`,
          ({ left, value }) => value === "refused" && left > 0 && left <= 400
        )
      }
      yield* wait(450)
      yield* expectTag(yield* claim("b"), "Lease", "it has ended", ({ previous }) => previous === "refused")
    }),
  "lets a claim of a higher level pass, and tells it of the setback": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* store.release(name, "a", { value: "refused", left: 5_000, level: 2 })
      yield* expectTag(yield* claim("b", { level: 3 }), "Lease", "it passes", ({ previous }) => previous === "refused")
    }),
  "prefers a token to a setback, and a setback to a lease": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      yield* claim("a", { lease: 5_000 })
      yield* store.release(name, "b", { value: "stated", left: 5_000, level: 3 })
      yield* expectTag(yield* claim("c"), "Held", "a has the lease")
      yield* store.publish(name, publication("d", minute, 3_000))
      yield* expectTag(yield* claim("c"), "Token", "there is a token")
      yield* expectTag(yield* claim("c", { known: "d" }), "Held", "the token is known")
    }),
  "ends a setback by a token that was requested after it, and only by such": ({
    claim,
    expectTag,
    name,
    store,
    wait
  }) =>
    Effect.gen(function* () {
      yield* store.release(name, "a", { value: "refused", left: minute, level: 2 })
      yield* wait(100)
      yield* store.publish(name, publication("b", minute, 5_000))
      yield* expectTag(yield* claim("c", { known: "b" }), "Held", "the token was requested before")
      yield* store.publish(name, publication("d", 2 * minute, 0))
      yield* expectTag(
        yield* claim("c", { known: "d" }),
        "Lease",
        "the token was requested after it",
        ({ previous }) => previous === undefined
      )
    }),
  "keeps the stronger of two setbacks": ({ claim, expectTag, name, store }) =>
    Effect.gen(function* () {
      const holds = (value: string, when: string) =>
        Effect.flatMap(claim("z"), (claimed) => expectTag(claimed, "Held", when, (held) => held.value === value))
      yield* store.release(name, "a", { value: "first", left: 20_000, level: 2 })
      yield* store.release(name, "b", { value: "shorter", left: 10_000, level: 2 })
      yield* holds("first", "the second is shorter")
      yield* store.release(name, "c", { value: "longer", left: 30_000, level: 2 })
      yield* holds("longer", "the third is longer")
      yield* store.release(name, "d", { value: "weaker", left: minute, level: 1 })
      yield* holds("longer", "the fourth is of a lower level")
      yield* store.release(name, "e", { value: "stated", left: 5_000, level: 3 })
      yield* holds("stated", "the fifth is of a higher level")
    }),
  "replaces a setback that has ended by any other": ({ claim, expectTag, name, store, wait }) =>
    Effect.gen(function* () {
      yield* store.release(name, "a", { value: "stated", left: 200, level: 3 })
      yield* wait(250)
      yield* store.release(name, "b", { value: "failed", left: 5_000, level: 1 })
      yield* expectTag(yield* claim("c"), "Held", "the first has ended", ({ value }) => value === "failed")
    })
}

const caseOf = ({ open, wait }: Subject, name: string, check: Check): Case => ({
  name,
  run: Effect.gen(function* () {
    const violation = (expected: string, seen: string) => new ContractViolation({ case: name, expected, seen })
    const connect = yield* Effect.orDie(open)
    const store = yield* Effect.orDie(connect)
    const another = yield* Effect.orDie(connect)
    const bytes = globalThis.crypto.getRandomValues(new Uint8Array(8))
    const row = `contract-${Array.from(bytes, (byte) => byte.toString(16)).join("")}`
    yield* check({
      name: row,
      wait,
      store,
      another,
      claim: (owner, changes) =>
        store.claim(row, { owner, lease: 300, forget: "none", minLeft: 5_000, level: 1, ...changes }),
      expect: (isMet, expected, seen) => (isMet ? Effect.void : Effect.fail(violation(expected, seen))),
      expectTag: (claimed, tag, when, isRight = () => true) =>
        hasTag(claimed, tag) && isRight(claimed)
          ? Effect.void
          : Effect.fail(violation(`${tag} when ${when}`, shown(claimed)))
    }).pipe(
      Effect.catchIf(
        (error) => error._tag === "TokenStoreError",
        (error) => Effect.fail(violation("no failure", error.message))
      ),
      Effect.catchDefect((defect) => Effect.fail(violation("no defect", Cause.pretty(Cause.die(defect)))))
    )
  }).pipe(Effect.scoped)
})

/**
 * Returns the cases for a store.
 *
 * @category cases
 * @since 0.1.0
 */
export const cases = (subject: Subject): ReadonlyArray<Case> =>
  Object.entries({ ...leases, ...tokens, ...setbacks }).map(([name, check]) => caseOf(subject, name, check))
