// Secrets in real files, as Docker and Kubernetes mount them: a symlink is replaced when the secret is rotated.

import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { SecretProvider } from "@effect-itwin/core"
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

/** Writes a new file, and replaces the symlink by one to it in one step. */
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

describe("EnvSecretProvider.layerFiles: the contract of secret providers", () => {
  for (const { name, run } of contract) it.live(name, () => run)
})

describe("EnvSecretProvider.layerFiles", () => {
  it.live.each([
    ["as PowerShell writes it", "\uFEFFfake-secret-a+b/c=\r\n"],
    ["without a byte order mark", "fake-secret-a+b/c="]
  ] as const)("fails with InvalidSecret when the file is UTF-16, %s", ([, text]) =>
    Effect.gen(function* () {
      const { fs, path, variables } = yield* Mount
      variables.ITWIN_CLIENT_ID = "service-1"
      yield* fs.writeFile(path, Buffer.from(text, "utf16le"))
      const error = yield* Effect.flatMap(SecretProvider.SecretProvider, (_) => _.credentials).pipe(
        Effect.flip,
        Effect.provide(EnvSecretProvider.layerFiles),
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables)),
        Effect.provide(NodeServices.layer)
      )
      assert.strictEqual(error.reason._tag, "InvalidSecret")
      assert.include(error.message, "ITWIN_CLIENT_SECRET_FILE has no usable value. The value is UTF-16 text")
    }).pipe(Effect.provide(mounted))
  )
})
