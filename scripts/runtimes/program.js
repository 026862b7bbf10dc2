// What run.ts runs on each runtime: core, from its tarball, against the server of run.ts. Uses nothing that only one
// runtime has.
import {
  ClientCredentials,
  Environment,
  ITwin,
  RetryPolicy,
  SecretProvider,
  TokenCache,
  Users
} from "@effect-itwin/core"
import { Effect, Layer, Redacted, Schedule } from "effect"
import { FetchHttpClient } from "effect/http"

export const prove = (server) => {
  const app = ITwin.layer.pipe(
    Layer.provide([
      FetchHttpClient.layer,
      Environment.layer(Environment.custom({ tokenEndpoint: `${server}/connect/token`, apiBaseUrl: server })),
      RetryPolicy.layer(RetryPolicy.make({ attempts: 1 })),
      SecretProvider.layerStatic(
        new ClientCredentials.ClientCredentials({
          clientId: "service-runtimes",
          clientSecret: Redacted.make("fake-secret-a+b/c=")
        })
      )
    ])
  )
  const control = (path) => Effect.promise(() => fetch(`${server}${path}`, { method: "POST" }).then((r) => r.json()))
  return Effect.gen(function* () {
    yield* control("/control/reset")
    const cache = yield* TokenCache.TokenCache
    const users = yield* Effect.all(
      Array.from({ length: 100 }, () => Users.me),
      { concurrency: "unbounded" }
    )
    const cold = yield* control("/control/counts")
    const token = yield* cache.get()
    // An outage: a call with the cached token works, a new token is not to be had, and after recovery it is.
    yield* control("/control/down")
    const during = yield* Users.me
    const failure = yield* Effect.flip(cache.refresh())
    yield* control("/control/up")
    const recovered = yield* cache.refresh().pipe(Effect.retry({ times: 40, schedule: Schedule.spaced("500 millis") }))
    const after = yield* Users.me
    return {
      token: token.tokenType === "Bearer",
      me: users.every((user) => user.displayName === "Runtime"),
      coldTokenRequests: cold.tokenRequests,
      outage: during.displayName === "Runtime" && failure.reason._tag === "ServerError",
      recovery: Redacted.value(recovered.value) !== Redacted.value(token.value) && after.displayName === "Runtime"
    }
  }).pipe(Effect.provide(app), Effect.runPromise)
}
