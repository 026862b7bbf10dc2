// Tells a test that it did not use the fake as it meant to.
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Step } from "../../Fault.ts"
import type { Engine } from "./handler.ts"

/**
 * Reports that a test expected something else of the fake than what happened.
 *
 * @category errors
 * @since 0.1.0
 */
export class FakeError extends Data.TaggedError("FakeError")<{ readonly message: string }> {}

const encodeStep = Schema.encodeSync(Step)

/** Fails if a step of a script was never applied. */
export const verifyScripts = (engine: Pick<Engine, "unusedSteps">): Effect.Effect<void, FakeError> =>
  Effect.suspend(() => {
    const lines = engine.unusedSteps().map(({ route, step }) => `  ${route}: ${JSON.stringify(encodeStep(step))}`)
    return lines.length === 0
      ? Effect.void
      : new FakeError({ message: `The fake has steps in its scripts that were never applied:\n${lines.join("\n")}` })
  })

/** Verifies the scripts when the fake is closed: a step that was never applied is a warning, or a defect if `strict`. */
export const verifyWhenClosed = (
  engine: Pick<Engine, "unusedSteps">,
  strict: boolean
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    Effect.catch(verifyScripts(engine), (error) => (strict ? Effect.die(error) : Effect.logWarning(error.message)))
  )
