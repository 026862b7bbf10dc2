// The types of the public API. `tsc -b` checks them.
import type { SecretProvider } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import type { FileSystem, Layer } from "effect"
import { expectTypeOf, it } from "vitest"

it("EnvSecretProvider.layer and layerWith cannot fail to build and need nothing", () => {
  expectTypeOf(EnvSecretProvider.layer).toEqualTypeOf<Layer.Layer<SecretProvider.SecretProvider>>()
  expectTypeOf(EnvSecretProvider.layerWith).toEqualTypeOf<
    (names: EnvSecretProvider.Names) => Layer.Layer<SecretProvider.SecretProvider>
  >()
})

it("EnvSecretProvider.layerFiles needs a FileSystem", () => {
  type Expected = Layer.Layer<SecretProvider.SecretProvider, never, FileSystem.FileSystem>
  expectTypeOf(EnvSecretProvider.layerFiles).toEqualTypeOf<Expected>()
  expectTypeOf(EnvSecretProvider.layerFilesWith).returns.toEqualTypeOf<Expected>()
})

it("EnvSecretProvider.Names takes one name or a list for each half", () => {
  expectTypeOf<{ clientId: "A"; clientSecret: ["B", "C"] }>().toExtend<EnvSecretProvider.Names>()
  expectTypeOf<{ clientId: "A" }>().not.toExtend<EnvSecretProvider.Names>()
})
