// Measures a warm token request over loopback, next to the same form and JSON body by Effect's `HttpClient` without
// limits, retries or checks; also by plain fetch and by openid-client. Prints the median of microseconds for each.
import { ClientCredentials, Environment, Scopes, TokenRequest } from "@effect-itwin/core"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import * as openid from "openid-client"
import { print } from "./print.ts"
import { start } from "./server.ts"

const server = await start("bareServer.ts")
const endpoint = `${server.url}/connect/token`
const credentials = new ClientCredentials.ClientCredentials({
  clientId: "service-bench",
  clientSecret: Redacted.make("fake-secret-a+b/c=")
})

const runtime = ManagedRuntime.make(
  Layer.merge(
    FetchHttpClient.layer,
    Environment.layer(Environment.custom({ tokenEndpoint: endpoint, apiBaseUrl: server.url }))
  )
)
const ours = TokenRequest.send({ credentials, scopes: Scopes.itwinPlatform })

const headers = () => ({
  accept: "application/json",
  "user-agent": "effect-itwin/0.1.0",
  "x-correlation-id": crypto.randomUUID().replaceAll("-", "")
})
const form = {
  grant_type: "client_credentials",
  client_id: "service-bench",
  client_secret: "fake-secret-a+b/c=",
  scope: "itwin-platform"
}

const bare = Effect.gen(function* () {
  const request = HttpClientRequest.post(endpoint, { headers: headers() }).pipe(HttpClientRequest.bodyUrlParams(form))
  return yield* (yield* HttpClient.execute(request)).json
})

const plain = async () => {
  const response = await fetch(endpoint, { method: "POST", headers: headers(), body: new URLSearchParams(form) })
  const body = (await response.json()) as { readonly access_token: string }
  if (body.access_token === "") throw new Error("no token")
}

const configuration = new openid.Configuration(
  { issuer: server.url, token_endpoint: endpoint },
  "service-bench",
  undefined,
  openid.ClientSecretPost("fake-secret-a+b/c=")
)
openid.allowInsecureRequests(configuration)
const peer = () => openid.clientCredentialsGrant(configuration, { scope: "itwin-platform" })

const took = async (run: () => Promise<unknown>): Promise<number> => {
  const started = performance.now()
  await run()
  return (performance.now() - started) * 1000
}

const series = {
  ours: [] as number[],
  yardstick: [] as number[],
  "plain fetch": [] as number[],
  "openid-client": [] as number[]
}
for (let i = 0; i < 3000; i++) {
  const a = await took(plain)
  const b = await took(() => runtime.runPromise(ours))
  const c = await took(peer)
  const d = await took(() => runtime.runPromise(bare))
  // The first third warms up.
  if (i < 1000) continue
  series["plain fetch"].push(a)
  series.ours.push(b)
  series["openid-client"].push(c)
  series.yardstick.push(d)
}
print(series)
server.stop()
process.exit(0)
