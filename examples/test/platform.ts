// Preloaded into the programs of the documentation: the fake platform replaces the network, and the variables name its
// app. So the programs run as they are printed, against the production hosts.
import { SecretProvider } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, ManagedRuntime, Redacted } from "effect"
import { HttpClient, HttpClientRequest, HttpServerResponse } from "effect/http"

const runtime = ManagedRuntime.make(FakeIms.layerTest({ app: { name: "My App" } }))

const credentials = await runtime.runPromise(
  Effect.flatMap(SecretProvider.SecretProvider, (provider) => provider.credentials)
)
process.env.ITWIN_CLIENT_ID = credentials.clientId
process.env.ITWIN_CLIENT_SECRET = Redacted.value(credentials.clientSecret)

globalThis.fetch = (input, init) =>
  runtime.runPromise(
    HttpClient.execute(HttpClientRequest.fromWeb(new Request(input, init))).pipe(
      Effect.map((response) => HttpServerResponse.toWeb(HttpServerResponse.fromClientResponse(response)))
    )
  )
