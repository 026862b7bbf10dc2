// Checks the types of the public API. `tsc -b` runs these tests.
import type { SecretProvider } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import type { Effect, Layer } from "effect"
import type { HttpClient } from "effect/http"
import { expectTypeOf, it } from "vitest"

it("provides HttpClient and SecretProvider by FakeIms.layerTest, which cannot fail and needs nothing", () => {
  expectTypeOf(FakeIms.layerTest).returns.toEqualTypeOf<
    Layer.Layer<FakeIms.FakeIms | HttpClient.HttpClient | SecretProvider.SecretProvider>
  >()
  expectTypeOf(FakeIms.layerTest).parameter(0).toEqualTypeOf<FakeIms.TestOptions | undefined>()
})

it("fails only with a FakeError in FakeIms.assertTokenRequests", () => {
  expectTypeOf<FakeIms.FakeIms["Service"]["assertTokenRequests"]>().toEqualTypeOf<
    (n: number) => Effect.Effect<void, FakeIms.FakeError>
  >()
})
