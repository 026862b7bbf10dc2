/**
 * An HTTP server that calls the iTwin Platform. All requests share one token; docs/backend.md explains the parts.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { ITwin, type ITwinApiError, TokenCache, type TokenError, Users } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { Config, Duration, Effect, Layer } from "effect"
import {
  FetchHttpClient,
  type HttpClientError,
  HttpMiddleware,
  HttpRouter,
  HttpServerResponse,
  ProblemDetails
} from "effect/http"

/** Requests the first token at the start, before the first caller. Tests use this layer with the fake. */
export const Platform = ITwin.layerWith({ warmUp: true })

/** The same layer for production. Built once, so that the backend has one token. */
const App = Platform.pipe(Layer.provide([EnvSecretProvider.layer, FetchHttpClient.layer]))

type Failure = TokenError.TokenError | ITwinApiError.ITwinApiError | HttpClientError.HttpClientError

/** Reasons that a person has to fix in this backend: its secret, its configuration, its code. */
const ours: ReadonlyArray<TokenError.TokenErrorReason["_tag"]> = [
  "SecretUnavailable",
  "InvalidClient",
  "UnauthorizedClient",
  "InvalidScope",
  "OriginRefused",
  "Defect"
]

const statusOf = (error: Failure): number => {
  if (error._tag === "HttpClientError") return 502
  if (error.isRetryable || error.reason._tag === "Closed") return 503
  return error._tag === "TokenError" && ours.includes(error.reason._tag) ? 500 : 502
}

const titles: Record<number, string> = {
  500: "This backend is misconfigured.",
  502: "The iTwin Platform returned an unexpected response.",
  503: "The iTwin Platform is temporarily unavailable."
}

/** When another request makes sense: when the next token request is made, or when the server asked for it. */
const waitOf = (error: Failure): Duration.Duration => {
  const nextAttemptIn = error._tag === "TokenError" ? error.nextAttemptIn : undefined
  const retryAfter = error._tag === "HttpClientError" ? undefined : error.retryAfter
  return nextAttemptIn ?? retryAfter ?? Duration.seconds(1)
}

/** The caller learns the kind of failure. The message, with client id and correlation id, goes to the log. */
const respond = Effect.fnUntraced(function* (error: Failure) {
  const status = statusOf(error)
  const reason = `${error._tag}/${error.reason._tag}`
  const log = status === 503 ? Effect.logWarning : Effect.logError
  yield* log(error.message).pipe(Effect.annotateLogs({ "error.type": reason, "http.status": status }))
  const response = ProblemDetails.toResponse({ type: "about:blank", status, title: titles[status] ?? "", reason })
  const seconds = Math.max(1, Math.ceil(Duration.toSeconds(waitOf(error))))
  return status === 503 ? HttpServerResponse.setHeader(response, "retry-after", String(seconds)) : response
})

const me = Effect.gen(function* () {
  const { displayName, email, givenName } = yield* Users.me
  return HttpServerResponse.jsonUnsafe({ name: givenName ?? displayName, email })
}).pipe(Effect.catch(respond))

const ready = Effect.gen(function* () {
  const { isReady } = yield* TokenCache.TokenCache
  return (yield* isReady)
    ? HttpServerResponse.text("ready\n")
    : HttpServerResponse.text("waiting for an access token\n", { status: 503 })
})

export const Routes = HttpRouter.addAll([
  HttpRouter.route("GET", "/me", me),
  HttpRouter.route(
    "GET",
    "/livez",
    HttpMiddleware.withLoggerDisabled(Effect.succeed(HttpServerResponse.text("live\n")))
  ),
  HttpRouter.route("GET", "/readyz", HttpMiddleware.withLoggerDisabled(ready))
])

/** Listens on HOST and PORT (0 takes a free port). Closing completes the requests in progress, for at most 20 s. */
const Listener = NodeHttpServer.layerConfig(createServer, {
  host: Config.withDefault(Config.String("HOST"), "127.0.0.1"),
  port: Config.withDefault(Config.Int("PORT"), 3000),
  gracefulShutdownTimeout: Config.succeed("20 seconds")
})

export const Server = HttpRouter.serve(Routes).pipe(Layer.provide([App, Listener]))
