/**
 * Serves the fake IMS and platform on this machine, for programs in other processes and for clients that others wrote.
 * The handler is that of `FakeIms.layerTest`. Time is the real clock, unless the layer is built under another.
 *
 * **Gotchas**
 *
 * Under a `TestClock`, a delay of the fake and a real socket wait for each other. Use it with `it.live`.
 *
 * **Example** (What another process needs to use it)
 *
 * ```ts
 * import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const fake = yield* FakeIms.FakeIms
 *   const { credentials } = yield* fake.registerApp({ name: "Mine" })
 *   return { endpoint: fake.environment.tokenEndpoint, credentials }
 * })
 *
 * const { endpoint } = await Effect.runPromise(program.pipe(Effect.provide(FakeImsServer.layer())))
 * console.log(new URL(endpoint).pathname) // /connect/token
 * ```
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import * as Environment from "@effect-itwin/core/Environment"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as FakeIms from "./FakeIms.ts"
import type { FakeKeyVault } from "./FakeKeyVault.ts"
import { makeControls } from "./internal/controls.ts"
import { isAdjustableClock, makeAdjustableClock } from "./internal/engine/clock.ts"
import { makeFake } from "./internal/fakeIms.ts"
import { isAdmin, makeAdmin } from "./internal/serve/admin/mount.ts"
import { onlyFor, urlOf, whyNotRemote } from "./internal/serve/hosts.ts"
import { listen, serveError } from "./internal/serve/node.ts"

/**
 * Configures the server, in addition to what configures the fake.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends FakeIms.Options {
  /** The address to listen on. By default both loopback addresses, so that 127.0.0.1 and `localhost` reach it. */
  readonly host?: string | undefined
  /** 0, the default, takes a free port. */
  readonly port?: number | undefined
  /** Serves https with this certificate (PEM). */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  /** Allows addresses other than loopback. The admin API then needs a token. */
  readonly allowRemote?: boolean | undefined
  /**
   * The URL by which others reach it, for example behind a port mapping: `http://fake-ims:8080`, without a path. The
   * issuer and all URLs are made from it. A host other than loopback needs `allowRemote`.
   */
  readonly publicUrl?: string | undefined
  /**
   * Serves `/health`, and the controls as a JSON API under `/__admin`, for tests in other languages. Time can be moved
   * there. `/__admin/openapi.json` describes the API. A page at `/` shows the flow and the journal to a person.
   */
  readonly admin?:
    | true
    | {
        /** The bearer token that requests to `/__admin` must carry. */
        readonly token?: Redacted.Redacted | undefined
        /** The vault that is controlled too, under `/__admin/vault`. */
        readonly vault?: FakeKeyVault["Service"] | undefined
        /** Sets the fake up again after `POST /__admin/reset`. */
        readonly onReset?: ((fake: FakeIms.FakeIms["Service"]) => Effect.Effect<void>) | undefined
      }
    | undefined
}

/**
 * Starts the server and provides its controls, and the `Environment` that points to it.
 *
 * **Details**
 *
 * Ids and secrets are random unless a `seed` is given; RS256 keys always are. The issuer of the tokens is the server's
 * own URL. Each response has the header `X-Fake-IMS: 1`, so that it can be told from the real one.
 *
 * **Gotchas**
 *
 * The server answers only requests for loopback, its own host and that of `publicUrl` (others get 421), so that a web page can't
 * reach it under another name. A host other than loopback fails with a `ServeError` that says why, unless `allowRemote`
 * is set, and neither a `seed` nor `NODE_ENV=production`. So does a `publicUrl` with a path.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<FakeIms.FakeIms, HttpServerError.ServeError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { tls, host, port = 0, publicUrl } = options
      const admin = options.admin === true ? {} : options.admin
      const nodeEnv = yield* Effect.orDie(Config.option(Config.String("NODE_ENV")))
      const refused = whyNotRemote({
        host,
        publicUrl,
        allowRemote: options.allowRemote === true,
        lacksToken: admin !== undefined && admin.token === undefined,
        seeded: options.seed !== undefined,
        production: Option.contains(nodeEnv, "production")
      })
      if (refused !== undefined) return yield* serveError(refused)
      const server = yield* listen({ host, port, tls })
      const at = { secure: tls !== undefined, host, port: server.port }
      const address = urlOf({ ...at, publicUrl })
      const url = address.origin
      const environment = Environment.custom({
        name: "fake",
        tokenEndpoint: `${url}/connect/token`,
        apiBaseUrl: url,
        [Environment.allowInsecureHttp]: options.allowRemote
      })
      const below = yield* Clock.Clock
      const adjustable = () => (isAdjustableClock(below) ? below : makeAdjustableClock(below))
      const clock = admin === undefined ? undefined : adjustable()
      const fake = yield* makeFake(options, {
        environment,
        algorithm: "RS256",
        seed: randomBytes(32).toString("hex")
      }).pipe(Effect.provideService(Clock.Clock, clock ?? below))
      const controls = makeControls(fake, environment)
      const adminApi =
        clock === undefined
          ? undefined
          : yield* makeAdmin({
              url,
              ims: controls,
              journal: fake.engine.journal,
              vault: admin?.vault,
              clock,
              token: admin?.token,
              added: new Set(),
              onReset: admin?.onReset?.(controls) ?? Effect.void
            })
      const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        adminApi !== undefined && isAdmin(request) ? adminApi : fake.all
      )
      yield* server.serve(
        app.pipe(onlyFor({ ...at, url: address }), Effect.map(HttpServerResponse.setHeader("x-fake-ims", "1")))
      )
      return Context.make(FakeIms.FakeIms, controls).pipe(Context.add(Environment.Environment, environment))
    })
  )
