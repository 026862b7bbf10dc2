// Measures the first `get` of a replica whose token is in a store on Redis, next to a PING of the same Redis: the name of
// the row and the key are derived, the row is claimed, and the token is opened. Prints the median of microseconds for
// each. Needs `redis-server`.
import { ClientCredentials, Environment, SecretProvider, TokenCache } from "@effect-itwin/core"
import { RedisTokenStore } from "@effect-itwin/store-redis"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { connect, startRedis } from "../../packages/store-redis/test/redisServer.ts"
import { print } from "./print.ts"

const redis = await startRedis()
const ping = await connect(redis.port)

let requests = 0
const ims = HttpClient.make((request) =>
  Effect.sync(() => {
    requests++
    const body = { access_token: "x".repeat(1200), token_type: "Bearer", expires_in: 3600 }
    return HttpClientResponse.fromWeb(request, Response.json(body))
  })
)

const series = { ours: [] as number[], yardstick: [] as number[] }
const program = Effect.gen(function* () {
  for (let i = 0; i < 1500; i++) {
    const cache = yield* TokenCache.make()
    let started = performance.now()
    yield* cache.get()
    const ours = (performance.now() - started) * 1000
    started = performance.now()
    yield* Effect.promise(() => ping.sendCommand(["PING"]))
    const yardstick = (performance.now() - started) * 1000
    // The first third warms up.
    if (i < 500) continue
    series.ours.push(ours)
    series.yardstick.push(yardstick)
  }
}).pipe(
  Effect.scoped,
  Effect.provide([
    RedisTokenStore.layerUrl({ url: redis.url }),
    Layer.succeed(HttpClient.HttpClient, ims),
    Environment.layer(Environment.production),
    SecretProvider.layerStatic(
      new ClientCredentials.ClientCredentials({
        clientId: "service-bench",
        clientSecret: Redacted.make("fake-secret-a+b/c=")
      })
    )
  ])
)
await Effect.runPromise(program)
if (requests !== 1) throw new Error(`${requests} token requests instead of 1: the store was not used`)
print(series)
ping.destroy()
await redis.close()
process.exit(0)
