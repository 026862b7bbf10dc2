// A program that uses every package. scripts/check-packages.ts compiles it against the tarballs with each supported
// TypeScript; nothing runs it.
import {
  ITwin,
  ITwinHttpClient,
  ServiceAuthorizationClient,
  SessionStore,
  type TokenError,
  Users,
  UserTokens
} from "@effect-itwin/core"
import * as TokenCache from "@effect-itwin/core/TokenCache"
import { KeyVaultCredential, KeyVaultSecretProvider } from "@effect-itwin/provider-azure-keyvault"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { CurrentUser, LoopbackSignIn, SignInRoutes } from "@effect-itwin/sign-in"
import { RedisTokenStore } from "@effect-itwin/store-redis"
import { FakeIms, FakeImsServer, FakeKeyVault } from "@effect-itwin/testing"
import {
  AccessTokenVerifier,
  BearerMiddleware,
  BearerSecurity,
  IntrospectionVerifier,
  VerifiedToken
} from "@effect-itwin/verify"
import { Console, Effect, Layer } from "effect"
import { FetchHttpClient, HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import type { Redis } from "effect/persistence"

export const App = ITwin.layerWith({ renewal: "inline" }).pipe(
  Layer.provide([EnvSecretProvider.layer, FetchHttpClient.layer])
)

export const Vault = KeyVaultSecretProvider.layer({
  vaultUrl: "https://my-vault.vault.azure.net",
  json: "itwin",
  credential: KeyVaultCredential.managedIdentity()
})

export const Fleet = ITwin.layer.pipe(
  Layer.provide([RedisTokenStore.layerConfig(), EnvSecretProvider.layer, FetchHttpClient.layer])
)
export const OwnRedis: Layer.Layer<never, never, Redis.Redis> = RedisTokenStore.layer({ prefix: "app:" })
export const StoreUrl: Layer.Layer<never> = RedisTokenStore.layerUrl({ url: "redis://127.0.0.1", idle: "5 seconds" })

export const Test = ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))
export const Server = FakeImsServer.layer({ port: 0 })
export const FakeVault = FakeKeyVault.layerTest()

export const name = Users.me.pipe(
  Effect.map((me): string | undefined => me.givenName),
  Effect.catchReason("TokenError", "InvalidClient", (reason) => Effect.succeed(reason.message)),
  Effect.provide(App)
)

/** What iTwin.js asks for. */
export const authorizationClient: { getAccessToken(): Promise<string> } = ServiceAuthorizationClient.fromLayer(App)

export const isReady: Effect.Effect<boolean, never, TokenCache.TokenCache> = Effect.flatMap(
  TokenCache.TokenCache,
  (cache) => cache.isReady
)

export const status = Effect.gen(function* () {
  const api = yield* ITwinHttpClient.ITwinHttpClient
  const response = yield* api.get("/itwins")
  return response.status
}).pipe(Effect.catchTag("TokenError", (error: TokenError.TokenError) => Effect.succeed(error.status ?? 0)))

export const Verifier = AccessTokenVerifier.layer({ clientIds: ["service-Ab12"], scopes: ["itwin-platform"] })
export const Introspection = IntrospectionVerifier.layer({ clientIds: ["service-Ab12"], cacheFor: "10 seconds" })

export const Routes = HttpRouter.add(
  "GET",
  "/whoami",
  Effect.map(VerifiedToken.CurrentToken, ({ clientId }) => HttpServerResponse.text(clientId))
).pipe(Layer.provide(BearerMiddleware.layer), Layer.provide(Verifier), Layer.provide(FetchHttpClient.layer))

export const Api = HttpApi.make("backend").add(
  HttpApiGroup.make("backend")
    .add(HttpApiEndpoint.get("whoami", "/whoami").annotate(BearerSecurity.RequiredScopes, ["itwins:read"]))
    .middleware(BearerSecurity.BearerSecurity)
)

const hello = Effect.gen(function* () {
  const { user } = yield* CurrentUser.CurrentUser
  const { displayName } = yield* Users.me
  return HttpServerResponse.text(`Hello ${displayName ?? user?.subject}`)
})

export const WebApp = HttpRouter.serve(
  Layer.mergeAll(
    SignInRoutes.layer({ baseUrl: "https://app.example.com", prompt: "login" }),
    HttpRouter.add("GET", "/hello", hello).pipe(Layer.provide(CurrentUser.layer))
  )
).pipe(
  Layer.provide(UserTokens.layerWith({ life: "8 hours" }).pipe(Layer.provideMerge(SessionStore.layerMemory))),
  Layer.provide([EnvSecretProvider.layer, FetchHttpClient.layer])
)

export const signIn = LoopbackSignIn.signIn({
  clientId: "native-Ab12",
  redirectUris: ["http://127.0.0.1:3000/callback"],
  open: Console.log
}).pipe(
  Effect.catchTag("NoFreePort", ({ redirectUris }) => Effect.die(redirectUris)),
  Effect.provide(FetchHttpClient.layer)
)
