/**
 * An HTTP server that other apps of the iTwin Platform call with their access tokens; docs/receive-tokens.md explains
 * the parts.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { AccessTokenVerifier, BearerMiddleware, VerifiedToken } from "@effect-itwin/verify"
import { Config, Effect, Layer } from "effect"
import { FetchHttpClient, HttpRouter, HttpServerResponse } from "effect/http"

/** Accepts the apps whose client ids are in CLIENT_IDS, separated by commas. */
export const Verifier = Layer.unwrap(
  Effect.map(Config.String("CLIENT_IDS"), (ids) =>
    AccessTokenVerifier.layer({ clientIds: ids.split(",").map((id) => id.trim()) })
  )
)

const whoami = Effect.map(VerifiedToken.CurrentToken, ({ clientId, kind, scopes }) =>
  HttpServerResponse.jsonUnsafe({ clientId, kind, scopes })
)

const createReport = Effect.map(VerifiedToken.CurrentToken, ({ clientId }) =>
  HttpServerResponse.jsonUnsafe({ createdFor: clientId }, { status: 201 })
)

export const Routes = Layer.mergeAll(
  // Anybody may ask whether the server is there.
  HttpRouter.add("GET", "/livez", HttpServerResponse.text("live\n")),
  HttpRouter.add("GET", "/whoami", whoami).pipe(Layer.provide(BearerMiddleware.layer)),
  HttpRouter.add("POST", "/reports", createReport).pipe(
    Layer.provide(BearerMiddleware.layerWith({ scopes: ["itwins:modify"] }))
  )
)

/** Listens on HOST and PORT (0 takes a free port). */
const Listener = NodeHttpServer.layerConfig(createServer, {
  host: Config.withDefault(Config.String("HOST"), "127.0.0.1"),
  port: Config.withDefault(Config.Int("PORT"), 3000)
})

export const Server = HttpRouter.serve(Routes).pipe(
  Layer.provide([Verifier, Listener]),
  Layer.provide(FetchHttpClient.layer)
)
