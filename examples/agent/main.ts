/**
 * Keeps one token for the programs of one user: `node examples/agent/main.ts`. They ask for it on a unix socket, which
 * only this user can open:
 *
 *     curl --unix-socket "$XDG_RUNTIME_DIR/itwin-agent.sock" http://agent/token
 *
 * The token is in the memory of this process, and in no file. SIGTERM and SIGINT end it, and remove the socket.
 */
import { createServer } from "node:http"
import { connect } from "node:net"
import { join } from "node:path"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { type AccessToken, ITwin, TokenCache, type TokenError } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { Cause, Config, Data, Effect, Exit, FileSystem, Layer, Redacted, Runtime } from "effect"
import { FetchHttpClient, HttpRouter, HttpServerResponse } from "effect/http"

class AgentError extends Data.TaggedError("AgentError")<{ readonly message: string }> {}

/** The folder in XDG_RUNTIME_DIR belongs to the user alone. */
const socket = Config.String("ITWIN_AGENT_SOCKET").pipe(
  Config.orElse(() => Config.map(Config.String("XDG_RUNTIME_DIR"), (folder) => join(folder, "itwin-agent.sock")))
)

/** Tells whether a program listens on the socket. An agent that was killed leaves the file. */
const isInUse = (path: string) =>
  Effect.callback<boolean>((resume) => {
    const client = connect(path)
    const end = (inUse: boolean) => {
      client.destroy()
      resume(Effect.succeed(inUse))
    }
    client.once("connect", () => end(true)).once("error", () => end(false))
  })

/** Makes room for the socket. Files that this process creates from here on are for its user only: mode 0600. */
const prepare = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  if (yield* fs.exists(path)) {
    if ((yield* fs.stat(path)).type !== "Socket") {
      return yield* new AgentError({ message: `${path} exists and is not a socket. Choose another path.` })
    }
    if (yield* isInUse(path)) return yield* new AgentError({ message: `An agent listens on ${path} already.` })
    yield* fs.remove(path)
  }
  yield* Effect.sync(() => process.umask(0o177))
})

const refuse = (error: TokenError.TokenError) =>
  Effect.as(Effect.logError(error.message), HttpServerResponse.text(`${error.message}\n`, { status: 503 }))

/** Responds with a text of the token. */
const route = (path: "/token" | "/header", textOf: (token: AccessToken.AccessToken) => Redacted.Redacted) =>
  HttpRouter.route(
    "GET",
    path,
    Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get()).pipe(
      Effect.map((token) => HttpServerResponse.text(`${Redacted.value(textOf(token))}\n`)),
      Effect.catch(refuse)
    )
  )

const Routes = HttpRouter.addAll([
  route("/token", (token) => token.value),
  // For `curl -H @-`.
  route("/header", (token) => Redacted.make(`Authorization: ${Redacted.value(token.authorizationHeader)}`))
])

const App = ITwin.layerWith({ warmUp: true }).pipe(Layer.provide([EnvSecretProvider.layer, FetchHttpClient.layer]))

const Agent = Layer.unwrap(
  Effect.gen(function* () {
    const path = yield* socket
    yield* prepare(path)
    return HttpRouter.serve(Routes, { disableLogger: true }).pipe(
      Layer.provide([App, NodeHttpServer.layer(createServer, { path })])
    )
  })
)

Layer.launch(Agent).pipe(
  Effect.provide(NodeServices.layer),
  Effect.tapError((error) => Effect.logFatal(error.message)),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    // A signal is the normal end of a server: exit code 0 instead of 130.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
  })
)
