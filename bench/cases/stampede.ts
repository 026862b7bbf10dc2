// Counts the token requests of 10,000 concurrent first callers, and of 100 callers of @itwin/service-authorization.
import { ClientCredentials, Environment, SecretProvider, TokenCache } from "@effect-itwin/core"
import { ServiceAuthorizationClient } from "@itwin/service-authorization"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { print } from "./print.ts"
import { start } from "./server.ts"

const server = await start("fakeServer.ts")
const { clientId = "", clientSecret = "" } = server
const credentials = new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make(clientSecret) })

await Effect.runPromise(
  Effect.flatMap(TokenCache.TokenCache, (cache) =>
    Effect.all(
      Array.from({ length: 10_000 }, () => cache.get()),
      { concurrency: "unbounded" }
    )
  ).pipe(
    Effect.provide(
      TokenCache.layer.pipe(
        Layer.provide([
          FetchHttpClient.layer,
          SecretProvider.layerStatic(credentials),
          Environment.layer(
            Environment.custom({ tokenEndpoint: `${server.url}/connect/token`, apiBaseUrl: server.url })
          )
        ])
      )
    )
  )
)

const ours = await server.count()
const client = new ServiceAuthorizationClient({
  clientId,
  clientSecret,
  scope: "itwin-platform",
  authority: server.url
})
await Promise.all(Array.from({ length: 100 }, () => client.getAccessToken()))

print({ ours: [ours], "service-authorization": [(await server.count()) - ours] })
server.stop()
process.exit(0)
