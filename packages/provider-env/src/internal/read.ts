// Reads one value by its name: from a variable, or from the file that a variable points to.
import type { SecretProviderError } from "@effect-itwin/core/SecretProviderError"
import * as Config from "effect/Config"
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as failure from "./failure.ts"

/** The value under this name, or nothing if it is not there. Redacted even where it should be no secret. */
export type Read = (name: string) => Effect.Effect<Redacted.Redacted | undefined, SecretProviderError>

const checked = (name: string, text: string): Effect.Effect<Redacted.Redacted, SecretProviderError> => {
  if (text.trim() === "") {
    return failure.invalid(name, "It is blank: set it to the value shown when the app was registered.")
  }
  return text === text.trim()
    ? Effect.succeed(Redacted.make(text))
    : failure.invalid(name, "It begins or ends with white space: remove that.")
}

const load = (config: ConfigProvider.ConfigProvider, name: string) =>
  Config.option(Config.Redacted(name))
    .parse(config)
    .pipe(
      Effect.map((value) => (Option.isNone(value) ? undefined : Redacted.value(value.value))),
      Effect.catch(() => failure.unavailable(name, "The ConfigProvider failed to read it."))
    )

export const variable =
  (config: ConfigProvider.ConfigProvider): Read =>
  (name) =>
    Effect.flatMap(load(config, name), (text) => (text === undefined ? Effect.succeed(undefined) : checked(name, text)))

const readFile = (fs: FileSystem.FileSystem, name: string, path: string) =>
  fs.readFileString(path).pipe(
    Effect.map((text) => text.replace(/\r?\n$/, "")),
    Effect.catch(({ reason }) => {
      switch (reason._tag) {
        case "NotFound":
          return failure.notFound(name, "It points to a file that does not exist.")
        case "PermissionDenied":
          return failure.denied(name, "It points to a file that this process may not read.")
        default:
          return failure.unavailable(name, "It points to a file that could not be read.")
      }
    })
  )

export const fileOrVariable =
  (config: ConfigProvider.ConfigProvider, fs: FileSystem.FileSystem): Read =>
  (name) =>
    Effect.gen(function* () {
      const fileName = `${name}_FILE`
      const direct = yield* load(config, name)
      const path = yield* load(config, fileName)
      if (path === undefined) return direct === undefined ? undefined : yield* checked(name, direct)
      if (direct !== undefined) {
        return yield* failure.misconfigured(`${name} and ${fileName}`, "Both are set: unset one of them.")
      }
      return yield* checked(fileName, yield* readFile(fs, fileName, path))
    })
