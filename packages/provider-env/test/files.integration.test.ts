// Secrets in real files, as Docker and Kubernetes mount them: a symlink that is swapped when the secret is rotated.

import { NodeServices } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { SecretProviderContract } from "@effect-itwin/testing"
import { ConfigProvider, Context, Effect, FileSystem, Layer, Redacted } from "effect"

class Mount extends Context.Service<
  Mount,
  { readonly path: string; readonly fs: FileSystem.FileSystem; readonly variables: Record<string, string> }
>()("Mount") {}

const mounted = Layer.effect(
  Mount,
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* fs.makeTempDirectoryScoped()
    const path = `${directory}/client-secret`
    return { path, fs, variables: { ITWIN_CLIENT_SECRET_FILE: path } }
  })
).pipe(Layer.provide(NodeServices.layer))

let version = 0

/** Writes a new file, and swaps the symlink to it in one step. */
const swap = (text: string) =>
  Effect.flatMap(Mount, ({ fs, path }) =>
    Effect.gen(function* () {
      const target = `${path}.${version++}`
      yield* fs.writeFileString(target, text)
      yield* fs.symlink(target, `${target}.link`)
      yield* fs.rename(`${target}.link`, path)
    })
  )

const contract = SecretProviderContract.cases<Mount>({
  backend: mounted,
  layer: EnvSecretProvider.layerFiles.pipe(
    Layer.provide(
      Layer.unwrap(Effect.map(Mount, ({ variables }) => ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables))))
    ),
    Layer.provide(NodeServices.layer)
  ),
  set: ({ clientId, clientSecret }) =>
    Effect.andThen(
      Effect.map(Mount, ({ variables }) => {
        variables.ITWIN_CLIENT_ID = clientId
      }),
      swap(`${Redacted.value(clientSecret)}\n`)
    ),
  rotate: ({ clientSecret }) => swap(Redacted.value(clientSecret)),
  remove: Effect.flatMap(Mount, ({ fs, path }) => fs.remove(path)),
  setRaw: swap
})

describe("EnvSecretProvider.layerFiles keeps the contract of secret providers", () => {
  for (const { name, run } of contract) it.live(name, () => run)
})
