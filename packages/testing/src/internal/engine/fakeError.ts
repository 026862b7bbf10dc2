// The error of the controls of a fake.
import * as Data from "effect/Data"

/**
 * Reports that the test expected something else of the fake than what happened.
 *
 * @category errors
 * @since 0.1.0
 */
export class FakeError extends Data.TaggedError("FakeError")<{ readonly message: string }> {}
