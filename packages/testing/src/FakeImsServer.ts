/**
 * The fake IMS and platform as a real server on this machine, for programs in other processes and clients that others
 * wrote. The same handler as `FakeIms.layerTest`; time is the real clock, unless the layer is built under another.
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Environment from "@effect-itwin/core/Environment"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as FakeIms from "./FakeIms.ts"
import { isAdmin, makeAdmin } from "./internal/admin.ts"
import { make, makeControls } from "./internal/controls.ts"
import { makeAdjustableClock } from "./internal/engine/clock.ts"
import { onlyFor, whyNotRemote } from "./internal/hosts.ts"
import { makeListener, serveError } from "./internal/listener.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options extends FakeIms.Options {
  /** The address to listen on; 127.0.0.1 by default. */
  readonly host?: string | undefined
  /** 0, the default, takes a free port. */
  readonly port?: number | undefined
  /** Serves https with this certificate (PEM). */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  /** Needed to listen on another address than loopback; then the admin API needs a token. */
  readonly allowRemote?: boolean | undefined
  /**
   * The name or address by which other machines reach it: the host of its URLs, without scheme and port. Only with
   * `allowRemote`.
   */
  readonly publicHost?: string | undefined
  /**
   * Serves `/health`, and the controls as a JSON API under `/__admin`, for tests in other languages. Time can be
   * advanced there.
   */
  readonly admin?:
    | true
    | {
        /** What requests to `/__admin` must bring as bearer token. */
        readonly token?: Redacted.Redacted | undefined
        /** Sets the fake up again after `POST /__admin/reset`. */
        readonly onReset?: ((fake: FakeIms.FakeIms["Service"]) => Effect.Effect<void>) | undefined
      }
    | undefined
}

/** Destroys the socket that the current request came on. */
const resetConnection = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
  Effect.sync(() => void NodeHttpServerRequest.toIncomingMessage(request).socket.resetAndDestroy())
)

/**
 * Starts the server and provides its controls, and the `Environment` that points to it.
 *
 * **Details**
 *
 * Ids and secrets are random unless a `seed` is given; RS256 keys always are. The issuer of the tokens is the server's
 * own URL, and each answer says `X-Fake-IMS: 1`, so that nobody takes it for the real one.
 *
 * **Gotchas**
 *
 * It answers only requests for loopback and for its own host (others get 421), so that no web page reaches it under a
 * name of its own. Another host than loopback fails with a `ServeError` that says why, unless `allowRemote` is set and
 * neither `seed` nor `NODE_ENV=production` is. So does a `publicHost` that can't be the host of a URL.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<FakeIms.FakeIms, HttpServerError.ServeError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { tls, host = "127.0.0.1", port = 0 } = options
      const admin = options.admin === true ? {} : options.admin
      const nodeEnv = yield* Effect.orDie(Config.option(Config.String("NODE_ENV")))
      const refused = whyNotRemote({
        host,
        allowRemote: options.allowRemote === true,
        publicHost: options.publicHost,
        lacksToken: admin !== undefined && admin.token === undefined,
        seeded: options.seed !== undefined,
        production: Option.contains(nodeEnv, "production")
      })
      if (refused !== undefined) return yield* serveError(refused)
      const listener = yield* makeListener(tls)
      const server = yield* NodeHttpServer.make(() => listener.server, { host, port })
      const address = new URL(HttpServer.formatAddress(server.address))
      if (options.publicHost !== undefined) address.hostname = options.publicHost
      if (tls !== undefined) address.protocol = "https"
      const url = address.origin
      const environment = Environment.custom({
        name: "fake",
        tokenEndpoint: `${url}/connect/token`,
        apiBaseUrl: url,
        [Environment.allowInsecureHttp]: options.allowRemote
      })
      const below = yield* Clock.Clock
      const clock = admin === undefined ? undefined : makeAdjustableClock(below)
      const fake = yield* make(options, {
        issuer: url,
        apiBaseUrl: url,
        algorithm: "RS256",
        seed: randomBytes(32).toString("hex")
      }).pipe(Effect.provideService(Clock.Clock, clock ?? below))
      const controls = makeControls(fake, environment)
      const adminApi =
        clock === undefined
          ? undefined
          : yield* makeAdmin({
              fake,
              controls,
              clock,
              token: admin?.token,
              onReset: admin?.onReset?.(controls) ?? Effect.void
            })
      const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        adminApi !== undefined && isAdmin(request) ? adminApi : fake.all
      )
      yield* server.serve(
        app.pipe(
          onlyFor(address, host),
          Effect.map(HttpServerResponse.setHeader("x-fake-ims", "1")),
          Effect.catchTag("ConnectionBroken", () => Effect.andThen(resetConnection, Effect.interrupt))
        )
      )
      // Closing waits for nobody: not for kept-alive connections, and not for a scripted hang.
      yield* Effect.addFinalizer(() => listener.endConnections)
      return Context.make(FakeIms.FakeIms, controls).pipe(Context.add(Environment.Environment, environment))
    })
  )
