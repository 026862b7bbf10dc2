/**
 * Requests a token, and prints the app to which it belongs. `pnpm start` runs it.
 *
 * If ITWIN_CLIENT_ID and ITWIN_CLIENT_SECRET are set, it uses the platform that the environment names. Otherwise it
 * starts a fake of the platform on this machine, registers an app there, and runs the same program.
 */

import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Environment, ITwin, TokenCache, Users } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Config, ConfigProvider, Console, Context, Duration, Effect, Layer, Option, Redacted, Ref } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"

class TokenRequests extends Context.Service<TokenRequests, Ref.Ref<number>>()("quickstart/TokenRequests") {}

/** The HTTP client of the platform, which counts the token requests. */
const HttpLayer = Layer.effect(
  HttpClient.HttpClient,
  Effect.gen(function* () {
    const count = yield* TokenRequests
    const { tokenEndpoint } = yield* Environment.Environment
    return HttpClient.tapRequest(yield* HttpClient.HttpClient, (request) =>
      request.url === tokenEndpoint ? Ref.update(count, (n) => n + 1) : Effect.void
    )
  })
).pipe(Layer.provide(FetchHttpClient.layer))

/** Reads the secret from variables, and requests a token. The same for the fake and the real platform. */
const App = ITwin.layer.pipe(
  Layer.provide([EnvSecretProvider.layer, HttpLayer]),
  Layer.provideMerge(Layer.effect(TokenRequests, Ref.make(0)))
)

const line = (label: string, text: string) => Console.log(`  ${label.padEnd(13)} ${text}`)

const program = Effect.gen(function* () {
  const cache = yield* TokenCache.TokenCache
  yield* line("Asked", `${cache.environment.tokenEndpoint} (${cache.environment.name})`)

  const token = yield* cache.get()
  yield* line("Granted", `${token.tokenType} token, scope ${token.scopes}, life ${Duration.format(token.life)}`)
  yield* line("As client", token.clientId)

  const me = yield* Users.me
  yield* line("Who am I", `${me.givenName ?? "?"} ${me.surname ?? ""}`.trim())
  yield* line("E-mail", me.email ?? "none")

  const again = yield* cache.get()
  yield* line("Second get", again === token ? "the same token, from memory" : "another token")
  yield* line("Requests", `${yield* Ref.get(yield* TokenRequests)} to the token endpoint`)
}).pipe(Effect.provide(App))

/** Starts a fake platform, and sets the variables to its app. */
const FakePlatform = Layer.unwrap(
  Effect.gen(function* () {
    const fake = yield* FakeIms.FakeIms
    const { credentials } = yield* fake.registerApp({ name: "Quickstart" })
    return ConfigProvider.layerAdd(
      ConfigProvider.fromEnvRecord({
        ITWIN_CLIENT_ID: credentials.clientId,
        ITWIN_CLIENT_SECRET: Redacted.value(credentials.clientSecret)
      })
    )
  })
).pipe(Layer.provideMerge(FakeImsServer.layer()))

const main = Effect.gen(function* () {
  const variables = yield* Config.all([
    Config.option(Config.Redacted("ITWIN_CLIENT_ID")),
    Config.option(Config.Redacted("ITWIN_CLIENT_SECRET"))
  ])
  if (variables.some(Option.isSome)) {
    yield* Console.log("A token for the app in ITWIN_CLIENT_ID:\n")
    return yield* Effect.provide(program, Environment.layerConfig)
  }
  yield* Console.log("ITWIN_CLIENT_ID and ITWIN_CLIENT_SECRET are not set: asking a fake IMS on this machine.\n")
  yield* Effect.provide(program, FakePlatform)
  yield* Console.log("\nSet both to those of your own service app, and the same program asks the iTwin Platform.")
})

main.pipe(
  Effect.tapError((error) => {
    const reason = "reason" in error ? `/${error.reason._tag}` : ""
    return Console.error(`\n${error._tag}${reason}: ${error.message}`)
  }),
  Effect.tapDefect((defect) => Console.error(defect)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
