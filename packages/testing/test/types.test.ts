// What the compiler tells users of the public API. Checked by `tsc -b`.
import type { SecretProvider } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import type { Effect, Layer } from "effect"
import type { HttpClient } from "effect/http"
import { expectTypeOf, it } from "vitest"

it("FakeIms.layerTest takes the place of network and secrets, cannot fail and needs nothing", () => {
  expectTypeOf(FakeIms.layerTest).returns.toEqualTypeOf<
    Layer.Layer<FakeIms.FakeIms | HttpClient.HttpClient | SecretProvider.SecretProvider>
  >()
  expectTypeOf(FakeIms.layerTest).parameter(0).toEqualTypeOf<FakeIms.TestOptions | undefined>()
})

it("FakeIms.assertTokenRequests fails with a FakeError only", () => {
  expectTypeOf<FakeIms.FakeIms["Service"]["assertTokenRequests"]>().toEqualTypeOf<
    (n: number) => Effect.Effect<void, FakeIms.FakeError>
  >()
})
