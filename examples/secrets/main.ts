/**
 * Reads the secret of one program from three places. `ITWIN_SECRETS` chooses the place; the program does not depend on
 * it.
 *
 *   static       credentials that the program already has, read once at the start
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

// Only if the secret does not exist, or the machine has no identity. A secret that was disabled in the vault stays
// disabled.
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
