// Defines the error of the controls of a fake.
import * as Data from "effect/Data"

/**
 * Says that an expectation of the test is not met, or that the test names something that the fake does not know.
 *
 * The message says what, with the journal where that helps.
 *
 * @category errors
 * @since 0.1.0
 */
export class FakeError extends Data.TaggedError("FakeError")<{ readonly message: string }> {}
