// Checks the types of the public API. `tsc -b` runs these tests.
import type { ClientCredentials, SecretProvider } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, type Layer } from "effect"
import type { HttpClient } from "effect/http"
import { expectTypeOf, it } from "vitest"

it("provides HttpClient and SecretProvider by FakeIms.layerTest, which cannot fail and needs nothing", () => {
  expectTypeOf(FakeIms.layerTest).returns.toEqualTypeOf<
    Layer.Layer<FakeIms.FakeIms | HttpClient.HttpClient | SecretProvider.SecretProvider>
  >()
  expectTypeOf(FakeIms.layerTest).parameter(0).toEqualTypeOf<FakeIms.TestOptions | undefined>()
})

it("knows by the type of an app whether it has a secret", () => {
  expectTypeOf<FakeIms.App["credentials"]>().toEqualTypeOf<ClientCredentials.ClientCredentials>()
  expectTypeOf<FakeIms.PublicApp["credentials"]>().toEqualTypeOf<ClientCredentials.PublicClient>()
  const check = Effect.gen(function* () {
    const { registerApp } = yield* FakeIms.FakeIms
    const redirectUris = ["http://127.0.0.1/"]
    expectTypeOf(yield* registerApp({ name: "a" })).toEqualTypeOf<FakeIms.App>()
    expectTypeOf(yield* registerApp({ name: "a", type: "web", redirectUris })).toEqualTypeOf<FakeIms.App>()
    expectTypeOf(yield* registerApp({ name: "a", type: "native", redirectUris })).toEqualTypeOf<FakeIms.PublicApp>()
  })
  expectTypeOf(check).not.toBeAny()
  expectTypeOf<FakeIms.TestOptions["app"]>().toEqualTypeOf<FakeIms.ConfidentialRegistration | undefined>()
})

it("fails only with a FakeError in FakeIms.assertTokenRequests", () => {
  expectTypeOf<FakeIms.FakeIms["Service"]["assertTokenRequests"]>().toEqualTypeOf<
    (n: number) => Effect.Effect<void, FakeIms.FakeError>
  >()
})
