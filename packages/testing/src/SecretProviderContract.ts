/**
 * Lists what every `SecretProvider` has to do, as cases that any test runner can run.
 *
 * Describe how your backend gets into each state, and run the cases of {@link cases}. Each case has its own backend and
 * provider, and fails with a {@link ContractViolation} that says what was expected and what was seen. Leave out a state
 * that your backend can't have: its cases are then not in the list.
 *
 * **Gotchas**
 *
 * The secret is stored in the backend *before* the provider's layer is built. All other states follow after that.
 *
 * **Example** (A provider that reads a `Ref`)
 *
 * ```ts test
 * import { type ClientCredentials, SecretProvider } from "@effect-itwin/core"
 * import { SecretProviderContract } from "@effect-itwin/testing"
 * import { describe, it } from "@effect/vitest"
 * import { Context, Effect, Layer, Option, Ref } from "effect"
 *
 * class Store extends Context.Service<Store, Ref.Ref<Option.Option<ClientCredentials.ClientCredentials>>>()("Store") {}
 *
 * const layer = Layer.effect(
 *   SecretProvider.SecretProvider,
 *   Effect.map(Store, (store) => ({
 *     credentials: Effect.flatMap(Ref.get(store), (found) => Effect.orDie(Effect.fromOption(found)))
 *   }))
 * )
 *
 * describe("my provider", () => {
 *   for (const { name, run } of SecretProviderContract.cases({
 *     layer,
 *     backend: Layer.effect(Store, Ref.make(Option.none())),
 *     set: (credentials) => Effect.flatMap(Store, Ref.set(Option.some(credentials))),
 *     rotate: (credentials) => Effect.flatMap(Store, Ref.set(Option.some(credentials)))
 *   })) {
 *     it.effect(name, () => run)
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 */
import type { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { findLeak, textsOf } from "./internal/contract/leaks.ts"
import {
  credentialsOf,
  failureOf,
  first,
  has,
  type Outcome,
  second,
  seen,
  type Tag
} from "./internal/contract/reading.ts"

/**
 * Describes how a backend gets into the states that the contract checks. `R` holds the secrets: a fake server, a
 * directory, a `Ref`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Backend<R> {
  /** Builds what holds the secrets, again for each case. `Layer.empty` if the provider's layer needs nothing. */
  readonly backend: Layer.Layer<R, unknown>
  /** The provider under test. */
  readonly layer: Layer.Layer<SecretProvider, unknown, R>
  /** Stores these credentials. */
  readonly set: (credentials: ClientCredentials) => Effect.Effect<unknown, unknown, R>
  /** Replaces them with these, while the provider runs. */
  readonly rotate?: (credentials: ClientCredentials) => Effect.Effect<unknown, unknown, R>
  /** Removes the secret. */
  readonly remove?: Effect.Effect<unknown, unknown, R>
  /** Switches the secret off. */
  readonly disable?: Effect.Effect<unknown, unknown, R>
  /** Forbids the provider to read it. */
  readonly deny?: Effect.Effect<unknown, unknown, R>
  /** Limits the rate, so that the next reads are refused. */
  readonly throttle?: Effect.Effect<unknown, unknown, R>
  /** Breaks the backend. */
  readonly makeUnavailable?: Effect.Effect<unknown, unknown, R>
  /** Stores this text, as it is, in place of the client secret: nothing, white space, or a secret and a newline. */
  readonly setRaw?: (clientSecret: string) => Effect.Effect<unknown, unknown, R>
}

/**
 * Says that a provider did something other than the contract says. Shows no secret.
 *
 * @category errors
 * @since 0.1.0
 */
export class ContractViolation extends Schema.Error<ContractViolation>(
  "@effect-itwin/testing/SecretProviderContract/ContractViolation"
)({
  _tag: Schema.tag("ContractViolation"),
  /** The name of the case. */
  case: Schema.String,
  expected: Schema.String,
  seen: Schema.String
}) {
  override get message(): string {
    return `The provider violates "${this.case}": expected ${this.expected}, but saw ${this.seen}.`
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

type Read = SecretProvider["Service"]["credentials"]
type Change<R> = Effect.Effect<unknown, unknown, R>

/** Runs `use` with a provider over a backend that already holds the first secret. */
const withProvider = <R, E>(
  backend: Backend<R>,
  use: (read: Read) => Effect.Effect<void, E, R>
): Effect.Effect<void, E> =>
  Effect.gen(function* () {
    yield* Effect.orDie(backend.set(credentialsOf(first)))
    const context = yield* Effect.orDie(Layer.build(Layer.fresh(backend.layer)))
    yield* use(Context.get(context, SecretProvider).credentials)
  }).pipe(Effect.scoped, Effect.provide(Layer.orDie(Layer.fresh(backend.backend))))

interface Expectation {
  readonly is: (outcome: Outcome) => boolean
  readonly expected: string
}

const gives = (clientSecret: string, expected: string): Expectation => ({
  is: (outcome) => outcome._tag === "Success" && has(outcome.value, clientSecret),
  expected
})

const theFirst = gives(first, "the first secret")

const failsWith = (tags: ReadonlyArray<Tag>, isRetryable: boolean): Expectation => ({
  is: (outcome) => {
    const failure = failureOf(outcome)
    return failure !== undefined && tags.includes(failure.reason._tag) && failure.isRetryable === isRetryable
  },
  expected: `${tags.join(" or ")}${isRetryable ? ", retryable" : ""}`
})

const check = (
  name: string,
  { is, expected }: Expectation,
  outcome: Outcome
): Effect.Effect<void, ContractViolation> =>
  is(outcome) ? Effect.void : Effect.fail(new ContractViolation({ case: name, expected, seen: seen(outcome) }))

/** Returns the states that change the result of a read, of those that the backend can be in. */
const changes = <R>(backend: Backend<R>): ReadonlyArray<readonly [name: string, Change<R>, Expectation]> => {
  const { rotate, setRaw } = backend
  const raw = (text: string) => setRaw?.(text)
  const all: ReadonlyArray<readonly [string, Change<R> | undefined, Expectation]> = [
    [
      "sees a rotated secret at the next read",
      rotate?.(credentialsOf(second)),
      gives(second, "the second secret, which replaced the first")
    ],
    ["says NotFound when the secret is missing", backend.remove, failsWith(["NotFound"], false)],
    ["says Disabled when the secret is switched off", backend.disable, failsWith(["Disabled"], false)],
    ["says AccessDenied when it may not read the secret", backend.deny, failsWith(["AccessDenied"], false)],
    ["says Throttled, retryable, when it reads too often", backend.throttle, failsWith(["Throttled"], true)],
    [
      "says Unavailable, retryable, when the backend is down",
      backend.makeUnavailable,
      failsWith(["Unavailable"], true)
    ],
    // Some backends can't distinguish an empty value from a missing one.
    ["takes no empty secret", raw(""), failsWith(["InvalidSecret", "NotFound"], false)],
    ["takes no blank secret", raw(" \t "), failsWith(["InvalidSecret"], false)],
    // Editors and `echo` add one. If it is passed on, IMS returns an `invalid_client` that is hard to explain. So a
    // provider either drops it or reports it.
    [
      "drops one trailing newline, or says InvalidSecret",
      raw(`${second}\n`),
      {
        is: (outcome) => gives(second, "").is(outcome) || failsWith(["InvalidSecret"], false).is(outcome),
        expected: "the second secret without the newline, or InvalidSecret"
      }
    ]
  ]
  return all.flatMap(([name, change, expectation]) => (change === undefined ? [] : [[name, change, expectation]]))
}

/** Starts twenty readers at once, interrupts those with these numbers, and returns what the others got. */
const crowd = Effect.fnUntraced(function* (read: Read, interrupted: ReadonlyArray<number>) {
  const readers = yield* Effect.forEach(Array.from({ length: 20 }), () =>
    Effect.forkChild(read, { startImmediately: true })
  )
  for (const index of interrupted) {
    const reader = readers[index]
    if (reader !== undefined) yield* Fiber.interrupt(reader)
  }
  return yield* Effect.forEach(
    readers.filter((_, index) => !interrupted.includes(index)),
    Fiber.await
  )
})

const concurrency = <R>(backend: Backend<R>, name: string, interrupted: ReadonlyArray<number>): Case => ({
  name,
  run: withProvider(backend, (read) =>
    Effect.gen(function* () {
      for (const outcome of yield* crowd(read, interrupted)) yield* check(name, theFirst, outcome)
      yield* check(name, theFirst, yield* Effect.exit(read))
    })
  )
})

const leaks = <R>(backend: Backend<R>): Case => {
  const name = "shows the secret nowhere"
  const search = Effect.fnUntraced(function* (read: Read, state: string) {
    for (const shown of yield* textsOf(read)) {
      const form = findLeak(shown, [first, second])
      if (form !== undefined) {
        yield* new ContractViolation({
          case: name,
          expected: "no secret in a message, a string, JSON, a cause or a log",
          seen: `one ${form}, in the case "${state}"`
        })
      }
    }
  })
  return {
    name,
    run: Effect.andThen(
      withProvider(backend, (read) => search(read, "reads the client id and the secret")),
      Effect.forEach(
        changes(backend),
        ([state, change]) => withProvider(backend, (read) => Effect.andThen(Effect.orDie(change), search(read, state))),
        { discard: true }
      )
    )
  }
}

/**
 * Returns the cases for a backend: those for the states that it can be in.
 *
 * @category cases
 * @since 0.1.0
 */
export const cases = <R>(backend: Backend<R>): ReadonlyArray<Case> => {
  const reads = "reads the client id and the secret"
  return [
    {
      name: reads,
      run: withProvider(backend, (read) =>
        Effect.flatMap(Effect.exit(read), (outcome) => check(reads, theFirst, outcome))
      )
    },
    ...changes(backend).map(
      ([name, change, expectation]): Case => ({
        name,
        run: withProvider(backend, (read) =>
          Effect.gen(function* () {
            // The first read finds a provider that remembers what it read.
            yield* check(name, theFirst, yield* Effect.exit(read))
            yield* Effect.orDie(change)
            yield* check(name, expectation, yield* Effect.exit(read))
          })
        )
      })
    ),
    concurrency(backend, "serves 20 readers at once", []),
    concurrency(backend, "lets an interrupted reader harm no other", [0, 7, 19]),
    leaks(backend)
  ]
}
