// The controls of a fake that concern its engine: scripts and journal.
import * as Effect from "effect/Effect"
import type { Step } from "../../Fault.ts"
import * as Journal from "../../Journal.ts"
import type { Engine } from "./handler.ts"

/** The message of a check for steps that were never used, if there are any. */
export const verifyScripts = (engine: Engine): string | undefined => {
  const unused = engine.unusedSteps().map(({ route, step }) => `${route}: ${JSON.stringify(step)}`)
  return unused.length === 0 ? undefined : `Steps of the script that were never used:\n${unused.join("\n")}`
}

/** The journal as a table that says how many entries are missing. */
const table = ({ journal }: Engine): string => {
  const dropped = journal.dropped()
  const note =
    dropped === 0
      ? ""
      : `\n(The journal dropped the ${dropped} oldest ${dropped === 1 ? "entry" : "entries"}. Raise journalLimit to keep more.)`
  return Journal.format(journal.entries()) + note
}

export const makeEngineControls = <E>(engine: Engine, fail: (message: string) => E) => {
  /** Fails with the journal as a table, unless the route received exactly `n` requests. */
  const assertRequests = (route: string, n: number, what: string): Effect.Effect<void, E> =>
    Effect.suspend(() => {
      const count = engine.count(route)
      return count === n
        ? Effect.void
        : Effect.fail(fail(`Expected ${n} ${what}, and there were ${count}:\n${table(engine)}`))
    })
  const entries = (filter: Journal.Filter): Effect.Effect<ReadonlyArray<Journal.Entry>> =>
    Effect.sync(() => Journal.filter(engine.journal.entries(), filter))
  return {
    script: (route: string, ...steps: ReadonlyArray<Step>): Effect.Effect<void> =>
      Effect.sync(() => engine.script(route).add(steps)),
    clearScripts: Effect.sync(engine.clearScripts),
    verify: Effect.suspend((): Effect.Effect<void, E> => {
      const problem = verifyScripts(engine)
      return problem === undefined ? Effect.void : Effect.fail(fail(problem))
    }),
    entries,
    journal: entries({}),
    countRequests: (route: string): Effect.Effect<number> => Effect.sync(() => engine.count(route)),
    assertRequests,
    droppedEntries: Effect.sync(engine.journal.dropped),
    maxConcurrent: Effect.sync(engine.maxConcurrent),
    awaitRequest: (route: string, n = 1): Effect.Effect<Journal.Entry> => engine.arrival(route, n)
  }
}
