// Reads one value from a variable, or from the file that a variable points to.
import type { SecretProviderError } from "@effect-itwin/core/SecretProviderError"
import * as Config from "effect/Config"
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as failure from "./failure.ts"

/** The text of a variable or a file, and the name of the variable. */
export interface Found {
  readonly name: string
  readonly text: Redacted.Redacted
}

/** Returns the text, or undefined if there is none. Redacted even if it should not be a secret. */
export type Read = (name: string) => Effect.Effect<Found | undefined, SecretProviderError>

const found = (name: string, text: string): Found => ({ name, text: Redacted.make(text) })

const load = (config: ConfigProvider.ConfigProvider, name: string) =>
  Config.option(Config.Redacted(name))
    .parse(config)
    .pipe(
      Effect.map((value) => (Option.isNone(value) ? undefined : Redacted.value(value.value))),
      Effect.catch(() =>
        failure.unavailable(name, "The ConfigProvider failed to load it. Check the source of the ConfigProvider.")
      )
    )

export const variable =
  (config: ConfigProvider.ConfigProvider): Read =>
  (name) =>
    Effect.map(load(config, name), (text) => (text === undefined ? undefined : found(name, text)))

const readFile = (fs: FileSystem.FileSystem, name: string, path: string) =>
  fs.readFileString(path).pipe(
    Effect.catch(({ reason }) => {
      switch (reason._tag) {
        case "NotFound":
          return failure.notFound(name, "Create it, or correct the path.", `The file that ${name} names does not exist`)
        case "PermissionDenied":
          return failure.denied(name, "Grant this process read access to the file that the variable names.")
        default:
          return failure.unavailable(
            name,
            "The file that the variable names could not be read. Check that it is a file."
          )
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
      if (path === undefined) return direct === undefined ? undefined : found(name, direct)
      if (direct !== undefined) {
        return yield* failure.misconfigured(`${name} and ${fileName}`, "Both are set. Unset one of them.")
      }
      return found(fileName, yield* readFile(fs, fileName, path))
    })
