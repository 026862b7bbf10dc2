/** Signs a person in to a program on this machine: `ITWIN_CLIENT_ID=native-… node examples/native/main.ts`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { ITwinHttpClient, SessionStore, TokenCache, Users, UserTokens } from "@effect-itwin/core"
import { LoopbackSignIn } from "@effect-itwin/sign-in"
import { Config, Console, Effect, Layer, String as Text } from "effect"
import { FetchHttpClient } from "effect/http"
import { openBrowser } from "./browser.ts"

/** Registered with the app. Several, because another program may have a port. REDIRECT_URIS replaces them. */
const redirectUris = Config.String("REDIRECT_URIS").pipe(
  Config.withDefault("http://127.0.0.1:37610/callback,http://127.0.0.1:37611/callback,http://127.0.0.1:37612/callback"),
  Config.map(Text.split(","))
)

/** What the program does with the platform. It is the same code as in a service or a web app. */
const greet = Effect.flatMap(Users.me, ({ displayName }) => Console.log(`Hello ${displayName}`))

const program = Effect.gen(function* () {
  const clientId = yield* Config.String("ITWIN_CLIENT_ID")
  const opensBrowser = yield* Config.withDefault(Config.Boolean("OPEN_BROWSER"), true)

  const signedIn = yield* LoopbackSignIn.signIn({
    clientId,
    redirectUris: yield* redirectUris,
    open: (url) => Effect.andThen(Console.log(`Sign in at ${url}`), opensBrowser ? openBrowser(url) : Effect.void)
  })

  // Keeps the tokens in memory, and renews them for as long as the program runs.
  const Session = UserTokens.layerPublic({ clientId }).pipe(Layer.provide(SessionStore.layerMemory))
  yield* Effect.gen(function* () {
    const tokens = yield* UserTokens.UserTokens
    const id = yield* tokens.open(signedIn)
    const Client = ITwinHttpClient.layer.pipe(Layer.provide(Layer.succeed(TokenCache.TokenCache, tokens.cacheOf(id))))
    yield* Effect.provide(greet, Client)
    // Signs out: the refresh token is revoked.
    yield* tokens.close(id)
  }).pipe(Effect.provide(Session))
})

NodeRuntime.runMain(Effect.provide(program, FetchHttpClient.layer))
