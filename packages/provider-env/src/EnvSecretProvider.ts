/**
 * Credentials from variables, or from files that variables point to: `ITWIN_CLIENT_ID` and `ITWIN_CLIENT_SECRET`, read
 * through Effect's `Config`.
 *
 * Any `ConfigProvider` serves: the process environment (the default), a `.env` file, a mounted directory.
 *
 * **Details**
 *
 * The `ConfigProvider` is taken when the layer is built; variables and files are read each time credentials are asked
 * for, so a rotated secret is seen. What is absent is `NotFound`; what is blank, or padded with white space, is
 * `InvalidSecret`. Errors name the variables, never a value: not even that of a variable that should hold a path, since
 * people put secrets into the wrong one.
 *
 * @since 0.1.0
 */
import { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
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

const isName = (u: unknown): u is string => typeof u === "string" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(u)

/** Names end up in messages, so what is no name may be the secret: it goes no further, and is not quoted. */
const listOf = (option: keyof Names, given: unknown) => {
  const names: ReadonlyArray<unknown> = Array.isArray(given) ? given : [given]
  return names.every(isName)
    ? Effect.succeed(names)
    : failure.misconfigured(
        option,
        "Give the name of a variable (letters, digits and underscores), never its value: the provider reads that itself."
      )
}

/** The credentials of one pair, or nothing if neither half is there. */
const readPair = Effect.fnUntraced(function* (read: Read, idName: string, secretName: string) {
  const clientId = yield* read(idName)
  const clientSecret = yield* read(secretName)
  if (clientId === undefined && clientSecret === undefined) return undefined
  // Half a pair is a mistake to be told, and never completed from another pair.
  if (clientId === undefined) return yield* failure.notFound(idName, `${secretName} is set: set both.`)
  if (clientSecret === undefined) return yield* failure.notFound(secretName, `${idName} is set: set both.`)
  if (!/^[\w.-]+$/.test(Redacted.value(clientId))) {
    return yield* failure.invalid(idName, "It is no client id. Is it the secret, with both swapped?")
  }
  return new ClientCredentials({ clientId: Redacted.value(clientId), clientSecret })
})

const make = (names: Names, read: Read, config: ConfigProvider.ConfigProvider): SecretProvider["Service"] => ({
  credentials: Effect.gen(function* () {
    const idNames = yield* listOf("clientId", names.clientId)
    const secretNames = yield* listOf("clientSecret", names.clientSecret)
    if (idNames.length !== secretNames.length || idNames.length === 0) {
      return yield* failure.misconfigured(
        "clientId with clientSecret",
        "Give as many names for the secret as for the id: they are tried as pairs."
      )
    }
    for (const [index, idName] of idNames.entries()) {
      const credentials = yield* readPair(read, idName, secretNames[index] ?? "")
      if (credentials !== undefined) return credentials
    }
    const tried = idNames.map((idName, index) => `${idName} with ${secretNames[index]}`).join(", ")
    return yield* failure.notFound(
      tried,
      "Set both to what was shown when the service app was registered at developer.bentley.com, under My Apps." +
        (yield* aliasesIn(config))
    )
  })
})

/**
 * Reads variables of other names.
 *
 * **Details**
 *
 * With lists, the first pair of which anything is set is used; one pair's id is never mixed with another's secret. No
 * other name is picked up silently, but the error names the common ones that it finds set. A value in the place of a
 * name is `Misconfigured`, and is not repeated.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (names: Names): Layer.Layer<SecretProvider> =>
  Layer.effect(
    SecretProvider,
    Effect.map(ConfigProvider.ConfigProvider, (config) => make(names, variable(config), config))
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
 * The file is read each time, so a swapped symlink is seen; one newline at its end is dropped. A variable and its
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
      return make(names, fileOrVariable(config, yield* FileSystem.FileSystem), config)
    })
  )

/**
 * {@link layerFilesWith} for `ITWIN_CLIENT_ID` and `ITWIN_CLIENT_SECRET`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFiles: Layer.Layer<SecretProvider, never, FileSystem.FileSystem> = layerFilesWith(defaults)
