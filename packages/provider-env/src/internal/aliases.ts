// Names that other iTwin software uses for a client id. They are not used silently, but an error mentions them.
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"

const prefixes = ["ITP", "IMJS"]
const maxDepth = 8

/** Returns the names with a prefix. A `ConfigProvider` shows the environment as a tree, split at each underscore. */
const namesBelow = (
  config: ConfigProvider.ConfigProvider,
  path: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const node = yield* Effect.orElseSucceed(config.load([...path]), () => undefined)
    if (node === undefined) return []
    const own = node.value === undefined ? [] : [path.join("_")]
    if (node._tag !== "Record" || path.length >= maxDepth) return own
    const below = yield* Effect.forEach([...node.keys], (key) => namesBelow(config, [...path, key]))
    return [...own, ...below.flat()]
  })

/** Returns advice for the first such pair that is set; empty if none is. */
export const aliasesIn = (config: ConfigProvider.ConfigProvider): Effect.Effect<string> =>
  Effect.map(
    Effect.forEach(prefixes, (prefix) => namesBelow(config, [prefix])),
    (found) => {
      const clientId = found.flat().find((name) => name.endsWith("CLIENT_ID"))
      if (clientId === undefined) return ""
      const clientSecret = clientId.replace(/ID$/, "SECRET")
      return (
        ` ${clientId} is set. To use it, write EnvSecretProvider.layerWith({ clientId: "${clientId}", ` +
        `clientSecret: "${clientSecret}" }).`
      )
    }
  )
