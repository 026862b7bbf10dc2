// Measures a cached `getAccessToken` of ServiceAuthorizationClient, next to that of @itwin/service-authorization. Prints
// nanoseconds per call, each awaited.
import {
  ClientCredentials,
  Environment,
  SecretProvider,
  ServiceAuthorizationClient,
  TokenCache
} from "@effect-itwin/core"
import * as itwin from "@itwin/service-authorization"
import { Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { print } from "./print.ts"
import { start } from "./server.ts"

const turns = 1_000_000

const server = await start("fakeServer.ts")
const { clientId = "", clientSecret = "", url } = server

const ours = ServiceAuthorizationClient.fromLayer(
  TokenCache.layer.pipe(
    Layer.provide([
      FetchHttpClient.layer,
      SecretProvider.layerStatic(
        new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make(clientSecret) })
      ),
      Environment.layer(Environment.custom({ tokenEndpoint: `${url}/connect/token`, apiBaseUrl: url }))
    ])
  )
)
const yardstick = new itwin.ServiceAuthorizationClient({
  clientId,
  clientSecret,
  scope: "itwin-platform",
  authority: url
})

const loop = async (client: { readonly getAccessToken: () => Promise<string> }) => {
  const started = performance.now()
  for (let i = 0; i < turns; i++) await client.getAccessToken()
  return ((performance.now() - started) * 1e6) / turns
}

const series = { ours: [] as number[], yardstick: [] as number[] }
// Interleaved; the first round requests the tokens and warms up.
for (let round = 0; round < 8; round++) {
  const a = await loop(yardstick)
  const b = await loop(ours)
  if (round > 0) {
    series.yardstick.push(a)
    series.ours.push(b)
  }
}
print(series)
await ours.dispose()
server.stop()
process.exit(0)
