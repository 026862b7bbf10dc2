/**
 * Represents scope sets as OAuth 2.0 writes them: space-separated, case-sensitive scope tokens (RFC 6749 §3.3).
 *
 * A `Scopes` value is a branded string in canonical form: sorted, without duplicates, joined by one space. Two equal
 * sets are therefore the same string, which serves as cache key, span attribute and request parameter.
 *
 * **Gotchas**
 *
 * A plain string is not a `Scopes`. Use {@link make} for literals (it throws), and {@link parse} for input.
 *
 * **Example** (Comparing scope sets)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { Scopes } from "@effect-itwin/core"
 *
 * it("returns the same value for the same scopes in any order", () => {
 *   assert.strictEqual(Scopes.make("users:read itwins:read"), Scopes.make("itwins:read users:read"))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Brand from "effect/Brand"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/**
 * Represents a non-empty set of scope tokens in canonical form.
 *
 * @category models
 * @since 0.1.0
 */
export type Scopes = string & Brand.Brand<"@effect-itwin/core/Scopes">

// scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), RFC 6749 §3.3. Repeated, leading and trailing spaces are accepted.
const grammar = /^ *[\x21\x23-\x5B\x5D-\x7E]+(?: +[\x21\x23-\x5B\x5D-\x7E]+)* *$/

const canonical = (input: string): string => [...new Set(input.trim().split(/ +/))].sort().join(" ")

/**
 * Decodes a space-separated list, in any order, to the canonical form.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Scopes: Schema.Codec<Scopes, string> = Schema.String.check(
  Schema.isPattern(grammar, {
    expected:
      "one or more space-separated scope tokens: printable ASCII characters except space, quote and backslash (RFC 6749 §3.3)"
  })
).pipe(
  Schema.decodeTo(
    Schema.String.pipe(Schema.brand("@effect-itwin/core/Scopes")),
    SchemaTransformation.transform({ decode: canonical, encode: (scopes) => scopes })
  )
)

/**
 * Parses untrusted input, for example the `scope` of a response, or a variable.
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse: (input: string) => Result.Result<Scopes, Schema.SchemaError> = Schema.decodeResult(Scopes)

/**
 * Builds a scope set from a literal: `Scopes.make("itwins:read users:read")`.
 *
 * Throws a `SchemaError` if a scope token has a forbidden character, or if there is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (input: string) => Scopes = Schema.decodeSync(Scopes)

/**
 * Returns the value of the `scope` parameter.
 *
 * @category conversions
 * @since 0.1.0
 */
export const format = (scopes: Scopes): string => scopes

/**
 * Returns the scope tokens of the set, sorted.
 *
 * @category conversions
 * @since 0.1.0
 */
export const tokens = (scopes: Scopes): ReadonlyArray<string> => scopes.split(" ")

/**
 * Covers all APIs of the platform: the scope `itwin-platform`, the default everywhere. Old apps may have fine-grained
 * scopes instead, for example `users:read`.
 *
 * @category constants
 * @since 0.1.0
 */
export const itwinPlatform: Scopes =
  // Already canonical, so it is not parsed: that keeps the import of this package fast.
  Brand.nominal<Scopes>()("itwin-platform")
