/**
 * Reads credentials from the variables `ITWIN_CLIENT_ID` and `ITWIN_CLIENT_SECRET`, or from files that variables point
 * to.
 *
 * Variables are read through Effect's `Config`, from any `ConfigProvider`: the process environment (the default), a
 * `.env` file, or a mounted directory.
 *
 * **Details**
 *
 * The `ConfigProvider` is the one with which the layer was built. Variables and files are read for each token request,
 * so a rotated secret is seen. Absent variables are `NotFound`. One trailing newline is dropped. If the rest is not a
 * client id or a client secret (see `ClientCredentials`), the reason is `InvalidSecret`. Errors name the variables,
 * never a value. This includes paths, because a secret may be in the wrong variable.
 *
 * **Example** (Reading variables)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { SecretProvider } from "@effect-itwin/core"
 * import { EnvSecretProvider } from "@effect-itwin/provider-env"
 * import { ConfigProvider, Effect, Layer } from "effect"
 *
 * const variables = { ITWIN_CLIENT_ID: "service-abc", ITWIN_CLIENT_SECRET: "fake-secret-a+b/c=" }
 *
 * it.effect("returns the credentials that the variables hold", () =>
 *   Effect.gen(function* () {
 *     const provider = yield* SecretProvider.SecretProvider
 *     assert.strictEqual((yield* provider.credentials).clientId, "service-abc")
 *   }).pipe(
 *     Effect.provide(
 *       EnvSecretProvider.layer.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(variables))))
 *     )
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 */
import { ClientCredentials, clientIdFromText, clientSecretFromText } from "@effect-itwin/core/ClientCredentials"
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as Arr from "effect/Array"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { aliasesIn } from "./internal/aliases.ts"
import * as failure from "./internal/failure.ts"
import { fileOrVariable, type Read, variable } from "./internal/read.ts"

/**
 * Names the variables of the id and of the secret. Two lists are tried in pairs, beginning with the first.
 *
 * A name has letters, digits and underscores, and does not begin with a digit. `ConfigProvider.mapInput` maps names to
 * other keys.
 *
 * @category models
 * @since 0.1.0
 */
export interface Names {
  readonly clientId: string | ReadonlyArray<string>
  readonly clientSecret: string | ReadonlyArray<string>
}

const defaults: Names = { clientId: "ITWIN_CLIENT_ID", clientSecret: "ITWIN_CLIENT_SECRET" }

interface Pair {
  readonly clientId: string
  readonly clientSecret: string
}

const listOf = (option: keyof Names, given: unknown): ReadonlyArray<string> => {
  const names: ReadonlyArray<unknown> = Array.isArray(given) ? given : [given]
  return names.map((name) => {
    if (Predicate.isString(name) && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name
    // Not quoted, because it may be the secret.
    throw new RangeError(
      `EnvSecretProvider: ${option} must be the name of a variable (letters, digits and underscores), never its value`
    )
  })
}

const pairsOf = (names: Names): ReadonlyArray<Pair> => {
  const ids = listOf("clientId", names.clientId)
  const secrets = listOf("clientSecret", names.clientSecret)
  if (ids.length === 0 || ids.length !== secrets.length) {
    throw new RangeError("EnvSecretProvider: clientSecret must have as many names as clientId, and at least one")
  }
  return Arr.zip(ids, secrets).map(([clientId, clientSecret]) => ({ clientId, clientSecret }))
}

/** Returns the credentials of one pair, or undefined if neither variable is set. */
const readPair = Effect.fnUntraced(function* (read: Read, pair: Pair) {
  const id = yield* read(pair.clientId)
  const secret = yield* read(pair.clientSecret)
  if (id === undefined && secret === undefined) return undefined
  // Half a pair is a mistake, which the owner must see. Another pair never completes it.
  if (id === undefined) return yield* halfSet(pair.clientId, pair.clientSecret)
  if (secret === undefined) return yield* halfSet(pair.clientSecret, pair.clientId)
  return new ClientCredentials({
    clientId: yield* failure.orInvalid(id.name, clientIdFromText(Redacted.value(id.text))),
    clientSecret: yield* failure.orInvalid(secret.name, clientSecretFromText(secret.text))
  })
})

const halfSet = (missing: string, other: string) =>
  failure.notFound(missing, "Set both.", `Environment variable ${missing} is not set, but ${other} is`)

const make = (pairs: ReadonlyArray<Pair>, read: Read, config: ConfigProvider.ConfigProvider) => ({
  credentials: Effect.gen(function* () {
    for (const pair of pairs) {
      const credentials = yield* readPair(read, pair)
      if (credentials !== undefined) return credentials
    }
    const tried = pairs.map(({ clientId, clientSecret }) => `${clientId} and ${clientSecret}`).join(", or ")
    return yield* failure.notFound(
      tried,
      `Set both to the values shown under My Apps, or provide another SecretProvider.${yield* aliasesIn(config)}`,
      `Environment variables ${tried} are not set`
    )
  })
})

/**
 * Reads variables of other names.
 *
 * **Details**
 *
 * With lists, the first pair with a variable that is set is used. The id of one pair is never combined with the secret
 * of another. No other name is used silently, but the error tells if variables with common names are set. Invalid names
 * are programming errors: building the layer dies with a `RangeError`, which does not quote them.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (names: Names): Layer.Layer<SecretProvider> =>
  Layer.effect(
    SecretProvider,
    Effect.map(ConfigProvider.ConfigProvider, (config) => make(pairsOf(names), variable(config), config))
  )

/**
 * Reads `ITWIN_CLIENT_ID` and `ITWIN_CLIENT_SECRET`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<SecretProvider> = layerWith(defaults)

/**
 * Reads each value from the variable, or from the file whose path is in the variable with `_FILE` appended:
 * `ITWIN_CLIENT_SECRET_FILE=/run/secrets/itwin`, as Docker and Kubernetes mount secrets.
 *
 * **Details**
 *
 * The file is read for each token request, so a replaced file or symlink is seen. If a variable and its `_FILE`
 * variable are both set, the reason is `Misconfigured`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFilesWith = (names: Names): Layer.Layer<SecretProvider, never, FileSystem.FileSystem> =>
  Layer.effect(
    SecretProvider,
    Effect.gen(function* () {
      const config = yield* ConfigProvider.ConfigProvider
      return make(pairsOf(names), fileOrVariable(config, yield* FileSystem.FileSystem), config)
    })
  )

/**
 * Reads `ITWIN_CLIENT_ID` and `ITWIN_CLIENT_SECRET`, or the files of {@link layerFilesWith}.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFiles: Layer.Layer<SecretProvider, never, FileSystem.FileSystem> = layerFilesWith(defaults)
