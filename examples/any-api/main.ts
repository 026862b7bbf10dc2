/** Prints the iModels of the iTwin in ITWIN_ID: `node examples/any-api/main.ts`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { ITwin } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { Config, Console, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { iModels } from "./imodels.ts"

const App = ITwin.layerWith({ retry: { attempts: 3 } }).pipe(
  Layer.provide([EnvSecretProvider.layer, FetchHttpClient.layer])
)

const program = Effect.gen(function* () {
  const iTwinId = yield* Config.String("ITWIN_ID")
  const client = yield* iModels
  const found = yield* client.list({ query: { iTwinId, $top: 100 } })
  for (const { displayName, id } of found.iModels) yield* Console.log(`${id}  ${displayName ?? "without a name"}`)
})

program.pipe(
  Effect.provide(App),
  // A 403 or 404 names the e-mail to invite.
  Effect.tapError((error) => Console.error(`${error._tag}: ${error.message}`)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
