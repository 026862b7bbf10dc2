/**
 * One program, three places for its secret. `ITWIN_SECRETS` picks one; the program does not know which.
 *
 *   static       the credentials are at hand, read once at the start
 *   environment  ITWIN_CLIENT_ID and ITWIN_CLIENT_SECRET, read for each token request (the default)
 *   key-vault    Azure Key Vault, as the ITWIN_KEY_VAULT_ variables say; if it has no such secret, the environment
 */

import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { ClientCredentials, Environment, ITwin, SecretProvider, Users } from "@effect-itwin/core"
import { KeyVaultSecretProvider } from "@effect-itwin/provider-azure-keyvault"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { Config, Console, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"

const StaticSecrets = Layer.unwrap(
  Effect.map(
    Config.all({ clientId: Config.String("ITWIN_CLIENT_ID"), clientSecret: Config.Redacted("ITWIN_CLIENT_SECRET") }),
    (credentials) => SecretProvider.layerStatic(new ClientCredentials.ClientCredentials(credentials))
  )
)

// Only for a secret that is not there, or a machine without an identity: one that was disabled in the vault stays so.
const VaultSecrets = KeyVaultSecretProvider.layerConfig.pipe(SecretProvider.layerOrElse(EnvSecretProvider.layer))

const backends = { static: StaticSecrets, environment: EnvSecretProvider.layer, "key-vault": VaultSecrets }

const Secrets = Layer.unwrap(
  Effect.map(
    Config.withDefault(Config.Literals(["static", "environment", "key-vault"], "ITWIN_SECRETS"), "environment"),
    (name): Layer.Layer<SecretProvider.SecretProvider, Config.ConfigError> => backends[name]
  )
)

const App = ITwin.layer.pipe(
  Layer.provide([Secrets, FetchHttpClient.layer]),
  Layer.provideMerge(Environment.layerConfig)
)

const program = Effect.gen(function* () {
  const me = yield* Users.me
  yield* Console.log(`I am ${me.givenName}.`)
})

program.pipe(
  Effect.provide(App),
  Effect.tapError((error) => {
    const reason = "reason" in error ? `/${error.reason._tag}` : ""
    return Console.error(`${error._tag}${reason}: ${error.message}`)
  }),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
