// What the platform demands of an app's name, what the fake demands of a secret, and how it says that a test is wrong.
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"

/**
 * The name rule of the platform: 1 to 60 characters, and none of a list of special ones.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AppName = Schema.String.check(
  Schema.isPattern(/^[^,;[\]=\\<>?"{}|+!@#$%^*`~]{1,60}$/, {
    expected: 'an app name of 1 to 60 characters, none of , ; [ ] = \\ < > ? " { } | + ! @ # $ % ^ * ` ~'
  })
)

/**
 * A secret that can be told from a real one: it starts with `fake-secret-`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FakeSecret = Schema.String.check(
  Schema.isPattern(/^fake-secret-./, { expected: "a made-up secret that starts with fake-secret-" })
)

/**
 * The test asked the fake for something that is not so; the message says what, with the journal where that helps.
 *
 * @category errors
 * @since 0.1.0
 */
export class FakeImsError extends Data.TaggedError("FakeImsError")<{ readonly message: string }> {}
