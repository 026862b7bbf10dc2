// Builds the controls of a fake that concern its engine: scripts and journal.
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Step } from "../../Fault.ts"
import * as Journal from "../../Journal.ts"
import { FakeError } from "./fakeError.ts"
import type { Engine } from "./handler.ts"

const verify = (engine: Engine): Effect.Effect<void, FakeError> =>
  Effect.suspend(() => {
    const unused = engine.unusedSteps().map(({ route, step }) => `${route}: ${JSON.stringify(step)}`)
    return unused.length === 0
      ? Effect.void
      : new FakeError({ message: `These steps of the script were never used:\n${unused.join("\n")}` })
  })

/** Reports unused steps of scripts when the scope is closed: a warning in the log, or a defect if the fake is strict. */
export const verifyWhenClosed = (
  engine: Engine,
  options: { readonly strict?: boolean | undefined } | undefined
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    Effect.catch(verify(engine), (error) =>
      options?.strict === true ? Effect.die(error) : Effect.logWarning(error.message)
    )
  )

/** Returns the journal as a table that says how many entries are missing. */
const table = ({ journal }: Engine): string => {
  const dropped = journal.dropped()
  const note =
    dropped === 0
      ? ""
      : `\n(The journal dropped the ${dropped} oldest ${dropped === 1 ? "entry" : "entries"}. Raise journalLimit to keep more.)`
  return Journal.format(journal.entries()) + note
}

export const makeEngineControls = (engine: Engine) => {
  /** Fails with the journal as a table, unless the route received exactly `n` requests. */
  const assertRequests = (route: string, n: number, what: string): Effect.Effect<void, FakeError> =>
    Effect.suspend(() => {
      const count = engine.count(route)
      return count === n
        ? Effect.void
        : new FakeError({ message: `Expected ${n} ${what}, but there were ${count}:\n${table(engine)}` })
    })
  const entries = (filter: Journal.Filter): Effect.Effect<ReadonlyArray<Journal.Entry>> =>
    Effect.sync(() => Journal.filter(engine.journal.entries(), filter))
  return {
    script: (route: string, ...steps: ReadonlyArray<Step>): Effect.Effect<void> =>
      Effect.sync(() => engine.script(route).add(steps)),
    clearScripts: Effect.sync(engine.clearScripts),
    verify: verify(engine),
    entries,
    journal: entries({}),
    countRequests: (route: string): Effect.Effect<number> => Effect.sync(() => engine.count(route)),
    assertRequests,
    clearJournal: Effect.sync(engine.clearJournal),
    droppedEntries: Effect.sync(engine.journal.dropped),
    maxConcurrent: Effect.sync(engine.maxConcurrent),
    awaitRequest: (route: string, n = 1): Effect.Effect<Journal.Entry> => engine.arrival(route, n)
  }
}
