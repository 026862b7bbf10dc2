import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"

const main = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  const { credentials } = yield* fake.registerApp({ name: "Bench" })
  const { clientId, clientSecret } = credentials
  console.log(
    JSON.stringify({ url: fake.environment.apiBaseUrl, clientId, clientSecret: Redacted.value(clientSecret) })
  )
  // Returns the number of token requests.
  process.stdin.on("data", () => console.log(Effect.runSync(fake.tokenRequests).length))
  return yield* Effect.never
})

await Effect.runPromise(main.pipe(Effect.provide(FakeImsServer.layer())))
