// Starts the real IModelHost with our client. run.ts compiles it in an empty project, as a module and as CommonJS, against
// the types of iTwin.js, and runs it.
import { ServiceAuthorizationClient, TokenCache, type TokenError } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { IModelHost } from "@itwin/core-backend"
import type { AccessToken } from "@itwin/core-bentley"
import type { AuthorizationClient } from "@itwin/core-common"
import type { AuthorizationCallback } from "@itwin/imodels-client-management"
import type { Config } from "effect"
import { Layer } from "effect"
import { FetchHttpClient } from "effect/http"

const App = TokenCache.layer.pipe(Layer.provide([EnvSecretProvider.layer, FetchHttpClient.layer]))

const main = async (): Promise<void> => {
  const errors: Array<TokenError.TokenError | Config.ConfigError> = []
  const client = ServiceAuthorizationClient.fromLayer(App, { onError: (error) => errors.push(error) })
  const authorizationClient: AuthorizationClient = client
  const authorization: AuthorizationCallback = client.authorization

  await IModelHost.startup({ authorizationClient, cacheDir: process.env.CACHE ?? "" })
  const first: AccessToken = await IModelHost.getAccessToken()
  const second: AccessToken = await IModelHost.getAccessToken()
  const ofCallback = await authorization().then(
    ({ scheme, token }) => `${scheme} ${token}`,
    () => ""
  )
  await IModelHost.shutdown()
  await client.dispose()

  const reasons = errors.map((error) => (error._tag === "TokenError" ? error.reason._tag : error._tag))
  console.log(JSON.stringify({ node: process.version, headers: [first, second, ofCallback], errors: reasons }))
}

void main()
