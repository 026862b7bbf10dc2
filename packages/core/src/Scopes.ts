/**
 * Scope sets as OAuth 2.0 writes them: space-separated, case-sensitive tokens (RFC 6749 §3.3).
 *
 * A `Scopes` value *is* its canonical form: a branded string whose tokens are deduplicated, sorted and joined by one
 * space. So two equal sets are the same string, and the value serves as cache key, span attribute and request
 * parameter without conversion.
 *
 * **Gotchas**
 *
 * A plain string is not a `Scopes`: go through {@link make} (throws, for literals) or {@link parse} (for input).
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
 * A non-empty set of scope tokens in canonical form.
 *
 * @category models
 * @since 0.1.0
 */
export type Scopes = string & Brand.Brand<"@effect-itwin/core/Scopes">

// scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), RFC 6749 §3.3. Repeated, leading and trailing spaces are forgiven.
const grammar = /^ *[\x21\x23-\x5B\x5D-\x7E]+(?: +[\x21\x23-\x5B\x5D-\x7E]+)* *$/

const canonical = (input: string): string => [...new Set(input.trim().split(/ +/))].sort().join(" ")

/**
 * Schema from a space-separated list, in any order, to the canonical form.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Scopes: Schema.Codec<Scopes, string> = Schema.String.check(
  Schema.isPattern(grammar, {
    expected:
      "one or more space-separated scope tokens: printable ASCII without space, quote and backslash (RFC 6749 §3.3)"
  })
).pipe(
  Schema.decodeTo(
    Schema.String.pipe(Schema.brand("@effect-itwin/core/Scopes")),
    SchemaTransformation.transform({ decode: canonical, encode: (scopes) => scopes })
  )
)

/**
 * Parses untrusted input, such as an answer's `scope` or a variable.
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse: (input: string) => Result.Result<Scopes, Schema.SchemaError> = Schema.decodeResult(Scopes)

/**
 * Builds a scope set from a literal: `Scopes.make("itwins:read users:read")`.
 *
 * Throws a `SchemaError` when a token has a forbidden character or none is given.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (input: string) => Scopes = Schema.decodeSync(Scopes)

/**
 * The wire form: what goes into the `scope` parameter.
 *
 * @category conversions
 * @since 0.1.0
 */
export const format = (scopes: Scopes): string => scopes

/**
 * The tokens of the set, sorted.
 *
 * @category conversions
 * @since 0.1.0
 */
export const tokens = (scopes: Scopes): ReadonlyArray<string> => scopes.split(" ")

/**
 * `itwin-platform`, the one scope that covers all platform APIs; the default everywhere. Apps registered long ago may
 * hold fine-grained scopes such as `users:read` instead.
 *
 * @category constants
 * @since 0.1.0
 */
export const itwinPlatform: Scopes =
  // Not parsed, since it is canonical: the first parse would be a part of what importing this package costs.
  Brand.nominal<Scopes>()("itwin-platform")
