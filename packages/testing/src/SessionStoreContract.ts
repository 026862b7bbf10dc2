/**
 * Lists what every `SessionStore.Backend` has to do, as cases that any test runner can run.
 *
 * Say how to open your backend, and run what {@link cases} returns. Each case uses random names, and fails with a
 * {@link ContractViolation} that says what was expected and what the backend returned.
 *
 * **Gotchas**
 *
 * The cases take up to a second each on a backend with a real clock. Run them with `it.live` there.
 *
 * **Example** (The backend in memory)
 *
 * ```ts test
 * import { SessionStore } from "@effect-itwin/core"
 * import { SessionStoreContract } from "@effect-itwin/testing"
 * import { describe, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * describe("the backend in memory", () => {
 *   for (const { name, run } of SessionStoreContract.cases({
 *     open: Effect.map(SessionStore.makeMemory, Effect.succeed),
 *     wait: (millis) => TestClock.adjust(millis)
 *   })) {
 *     it.effect(name, () => run)
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as SessionStore from "@effect-itwin/core/SessionStore"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/**
 * Describes the backend under test.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subject {
  /** Opens the backend, once for each case. The inner effect connects one replica to it. */
  readonly open: Effect.Effect<Effect.Effect<SessionStore.Backend, unknown, Scope.Scope>, unknown, Scope.Scope>
  /** Lets this many milliseconds pass on the backend's clock: `Effect.sleep` or `TestClock.adjust`. */
  readonly wait: (millis: number) => Effect.Effect<void>
}

/**
 * Says that a backend did something other than the contract says. Shows no text of a session.
 *
 * @category errors
 * @since 0.1.0
 */
export class ContractViolation extends Schema.Error<ContractViolation>(
  "@effect-itwin/testing/SessionStoreContract/ContractViolation"
)({
  _tag: Schema.tag("ContractViolation"),
  /** The name of the case. */
  case: Schema.String,
  expected: Schema.String,
  seen: Schema.String
}) {
  override get message(): string {
    return `The backend violates "${this.case}": expected ${this.expected}, but saw ${this.seen}.`
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

/** Describes what a case has: a name with two replicas that use it, and the checks. */
interface Given {
  readonly name: string
  readonly wait: Subject["wait"]
  readonly store: SessionStore.Backend
  readonly another: SessionStore.Backend
  /** Expects the backend to return this value. */
  readonly expect: <A extends string | boolean | undefined>(
    when: string,
    step: Effect.Effect<A, SessionStore.SessionStoreError>,
    expected: A
  ) => Effect.Effect<void, ContractViolation | SessionStore.SessionStoreError>
}

type Check = (given: Given) => Effect.Effect<void, ContractViolation | SessionStore.SessionStoreError>

const minute = 60_000
const always = { life: minute, onlyIfPresent: false }
const ifPresent = { life: minute, onlyIfPresent: true }

const texts: Readonly<Record<string, Check>> = {
  "returns the text that any replica stored, and nothing before": ({ another, expect, name, store }) =>
    Effect.gen(function* () {
      yield* expect("nothing is stored", store.get(name), undefined)
      yield* expect("it is stored", store.set(name, "a text", always), true)
      yield* expect("it was stored", store.get(name), "a text")
      yield* expect("another replica reads", another.get(name), "a text")
    }),
  "returns a text of 60,000 characters as it is": ({ expect, name, store }) =>
    Effect.gen(function* () {
      const text = "Az09-_".repeat(10_000)
      yield* store.set(name, text, always)
      yield* expect("the text is long", store.get(name), text)
    }),
  "removes a text when its life has ended": ({ expect, name, store, wait }) =>
    Effect.gen(function* () {
      yield* store.set(name, "a text", { life: 300, onlyIfPresent: false })
      yield* expect("its life has not ended", store.get(name), "a text")
      yield* wait(350)
      yield* expect("its life has ended", store.get(name), undefined)
      yield* expect("its life has ended", store.set(name, "another", ifPresent), false)
    }),
  "gives a replaced text a new life": ({ expect, name, store, wait }) =>
    Effect.gen(function* () {
      yield* store.set(name, "first", { life: 300, onlyIfPresent: false })
      yield* expect("it is replaced", store.set(name, "second", ifPresent), true)
      yield* wait(350)
      yield* expect("the life of the first has ended", store.get(name), "second")
      yield* store.set(name, "third", { life: 200, onlyIfPresent: true })
      yield* wait(250)
      yield* expect("the life of the third has ended", store.get(name), undefined)
    }),
  "stores nothing with onlyIfPresent when there is no text": ({ expect, name, store }) =>
    Effect.gen(function* () {
      yield* expect("nothing is stored", store.set(name, "a text", ifPresent), false)
      yield* expect("it was not stored", store.get(name), undefined)
    }),
  "does not bring back a text that another replica removed": ({ another, expect, name, store }) =>
    Effect.gen(function* () {
      yield* store.set(name, "a text", always)
      yield* another.remove(name)
      yield* expect("it was removed", store.get(name), undefined)
      yield* expect("it was removed", store.set(name, "a text", ifPresent), false)
      yield* expect("it did not come back", another.get(name), undefined)
      yield* store.remove(name)
    }),
  "removes a text once and for all among 50 writers": ({ another, expect, name, store }) =>
    Effect.gen(function* () {
      yield* store.set(name, "a text", always)
      const writers = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? store : another).set(name, `${i}`, ifPresent))
      yield* Effect.all([...writers.slice(0, 25), Effect.as(store.remove(name), true), ...writers.slice(25)], {
        concurrency: "unbounded",
        discard: true
      })
      yield* expect("it was removed", store.get(name), undefined)
    }),
  "keeps names apart": ({ expect, name, store }) =>
    Effect.gen(function* () {
      yield* store.set(`${name}a`, "a text", always)
      yield* expect("another name has it", store.get(name), undefined)
      yield* store.remove(name)
      yield* expect("another name was removed", store.get(`${name}a`), "a text")
    })
}

const locks: Readonly<Record<string, Check>> = {
  "gives the lock to one of 50 owners at once": ({ another, expect, name, store }) =>
    Effect.gen(function* () {
      const got = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, i) => i),
        (i) => (i % 2 === 0 ? store : another).tryLock(name, `owner-${i}`, 5_000),
        { concurrency: "unbounded" }
      )
      const count = String(got.filter((hasLock) => hasLock).length)
      yield* expect("50 owners tried", Effect.succeed(count), "1")
      yield* expect("one of them has it", store.tryLock(name, "late", 5_000), false)
    }),
  "ends a lock when its life has ended": ({ another, expect, name, store, wait }) =>
    Effect.gen(function* () {
      yield* expect("nobody has it", store.tryLock(name, "a", 300), true)
      yield* expect("a has it", another.tryLock(name, "b", 300), false)
      yield* wait(350)
      yield* expect("the lock of a has ended", another.tryLock(name, "b", 5_000), true)
      yield* store.unlock(name, "a")
      yield* expect("a no longer has it", store.tryLock(name, "a", 300), false)
    }),
  "extends the lock for its owner": ({ another, expect, name, store, wait }) =>
    Effect.gen(function* () {
      yield* store.tryLock(name, "a", 300)
      yield* wait(200)
      yield* expect("its owner extends it", store.tryLock(name, "a", 300), true)
      yield* wait(200)
      yield* expect("the extended lock holds", another.tryLock(name, "b", 300), false)
    }),
  "ends a lock when its owner unlocks it, and only then": ({ another, expect, name, store }) =>
    Effect.gen(function* () {
      yield* store.tryLock(name, "a", 5_000)
      yield* another.unlock(name, "b")
      yield* expect("b unlocked", another.tryLock(name, "b", 5_000), false)
      yield* store.unlock(name, "a")
      yield* expect("a unlocked", another.tryLock(name, "b", 5_000), true)
    }),
  "keeps a lock apart from the text of the same name": ({ expect, name, store }) =>
    Effect.gen(function* () {
      yield* expect("there is no text", store.tryLock(name, "a", 5_000), true)
      yield* expect("the lock is not a text", store.get(name), undefined)
      yield* expect("the lock is not a text", store.set(name, "a text", ifPresent), false)
      yield* store.set(name, "a text", always)
      yield* store.remove(name)
      yield* expect("the text was removed", store.tryLock(name, "b", 5_000), false)
    })
}

const shown = (value: string | boolean | undefined): string =>
  typeof value === "string" && value.length > 20
    ? `a text of ${value.length} characters`
    : (JSON.stringify(value) ?? "none")

const caseOf = ({ open, wait }: Subject, name: string, check: Check): Case => ({
  name,
  run: Effect.gen(function* () {
    const violation = (expected: string, seen: string) => new ContractViolation({ case: name, expected, seen })
    const connect = yield* Effect.orDie(open)
    const store = yield* Effect.orDie(connect)
    const another = yield* Effect.orDie(connect)
    const bytes = globalThis.crypto.getRandomValues(new Uint8Array(8))
    yield* check({
      name: `contract-${Array.from(bytes, (byte) => byte.toString(16)).join("")}`,
      wait,
      store,
      another,
      expect: (when, step, expected) =>
        Effect.flatMap(step, (seen) =>
          seen === expected ? Effect.void : Effect.fail(violation(`${shown(expected)} when ${when}`, shown(seen)))
        )
    }).pipe(
      Effect.catchIf(
        (error) => error._tag === "SessionStoreError",
        (error) => Effect.fail(violation("no failure", error.message))
      ),
      Effect.catchDefect((defect) => Effect.fail(violation("no defect", Cause.pretty(Cause.die(defect)))))
    )
  }).pipe(Effect.scoped)
})

/**
 * Returns the cases for a backend.
 *
 * @category cases
 * @since 0.1.0
 */
export const cases = (subject: Subject): ReadonlyArray<Case> =>
  Object.entries({ ...texts, ...locks }).map(([name, check]) => caseOf(subject, name, check))
