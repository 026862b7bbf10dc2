/**
 * Credentials from variables, or from files that variables point to: `ITWIN_CLIENT_ID` and `ITWIN_CLIENT_SECRET`, read
 * through Effect's `Config`.
 *
 * Any `ConfigProvider` serves: the process environment (the default), a `.env` file, a mounted directory.
 *
 * **Details**
 *
 * The `ConfigProvider` is taken when the layer is built; variables and files are read each time credentials are asked
 * for, so a rotated secret is seen. What is absent is `NotFound`. One trailing newline is dropped; text that then is not
 * a client id or a client secret (see `ClientCredentials`) is `InvalidSecret`. Errors name the variables, never a value:
 * not even that of a variable that should hold a path, since people put secrets into the wrong one.
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
 * Names of variables: one for the id and one for the secret, or a list for each, tried as pairs from the first on.
 * A name has letters, digits and underscores, and no digit first; `ConfigProvider.mapInput` leads it to other keys.
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
    // The value may be the secret itself, so it is not quoted.
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

/** The credentials of one pair, or nothing if neither half is there. */
const readPair = Effect.fnUntraced(function* (read: Read, pair: Pair) {
  const id = yield* read(pair.clientId)
  const secret = yield* read(pair.clientSecret)
  if (id === undefined && secret === undefined) return undefined
  // Half a pair is a mistake that the owner has to see; another pair never completes it.
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
 * With lists, the first pair of which anything is set is used; one pair's id is never mixed with another's secret. No
 * other name is picked up silently, but the error names the common ones that it finds set. Invalid names are programming
 * errors: building the layer dies with a `RangeError`, which does not quote them.
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
 * Reads each value from the variable, or from the file that the variable with `_FILE` appended points to:
 * `ITWIN_CLIENT_SECRET_FILE=/run/secrets/itwin`, as Docker and Kubernetes mount secrets.
 *
 * **Details**
 *
 * The file is read each time, so a swapped symlink is seen. A variable and its
 * `_FILE` both set is `Misconfigured`.
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
 * {@link layerFilesWith} for `ITWIN_CLIENT_ID` and `ITWIN_CLIENT_SECRET`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFiles: Layer.Layer<SecretProvider, never, FileSystem.FileSystem> = layerFilesWith(defaults)
