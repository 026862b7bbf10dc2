/**
 * Serves the fake Key Vault by https on this machine: vault, token endpoint and metadata service on one origin, for
 * programs in other processes. The handler is that of `FakeKeyVault.layerTest`. Time is the real clock, unless the layer
 * is built under another.
 *
 * **Gotchas**
 *
 * The Azure SDK sends a vault's token only over https (since `@azure/keyvault-common` 2.1.1, even with
 * `allowInsecureConnection`). So the server makes a certificate for itself, which the client must trust: write
 * {@link Endpoint} `certificate` to a file and name the file in `NODE_EXTRA_CA_CERTS`, or pass it to the SDK as
 * `tlsOptions: { ca }`. The SDK also needs `disableChallengeResourceVerification`, because 127.0.0.1 is not a name below
 * `vault.azure.net`. `AZURE_POD_IDENTITY_AUTHORITY_HOST`, set to the server's URL, leads a managed identity to it.
 *
 * **Example** (What a client needs)
 *
 * ```ts
 * import { FakeKeyVault, FakeKeyVaultServer } from "@effect-itwin/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const vault = yield* FakeKeyVault.FakeKeyVault
 *   yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
 *   const { certificate, url } = yield* FakeKeyVaultServer.Endpoint
 *   return { url, tlsOptions: { ca: certificate } }
 * })
 *
 * const { url } = await Effect.runPromise(program.pipe(Effect.provide(FakeKeyVaultServer.layer())))
 * console.log(new URL(url).hostname) // 127.0.0.1
 * ```
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as FakeKeyVault from "./FakeKeyVault.ts"
import { selfSigned } from "./internal/serve/certificate.ts"
import { isLoopback, onlyFor, urlOf } from "./internal/serve/hosts.ts"
import { listen, serveError } from "./internal/serve/node.ts"

/**
 * Configures the server, in addition to what configures the fake.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends FakeKeyVault.Options {
  /** The loopback address to listen on; by default both, so that 127.0.0.1 and `localhost` reach it. */
  readonly host?: string | undefined
  /** 0, the default, takes a free port. */
  readonly port?: number | undefined
  /** A key and certificate (PEM) of your own, or `false` for plain http; by default the server makes its own. */
  readonly tls?: { readonly key: string; readonly cert: string } | false | undefined
}

/**
 * Holds what a client needs to reach the server.
 *
 * @category services
 * @since 0.1.0
 */
export class Endpoint extends Context.Service<
  Endpoint,
  {
    /** The URL of vault, token endpoint and metadata service. */
    readonly url: string
    /** The certificate to trust, as PEM; absent over http. */
    readonly certificate: string | undefined
  }
>()("@effect-itwin/testing/FakeKeyVaultServer/Endpoint") {}

/**
 * Starts the server and provides its controls.
 *
 * **Details**
 *
 * The challenge names the server's own token endpoint, not Microsoft's, so that no client sends a fake's client secret
 * there. Ids and secrets are random unless a `seed` is given. Each response has the header `X-Fake-Key-Vault: 1`.
 *
 * **Gotchas**
 *
 * The server answers only requests for loopback (others get 421), so that a web page can't reach it under another name. An
 * address other than loopback, or a certificate that can't be used, is a `ServeError`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<FakeKeyVault.FakeKeyVault | Endpoint, HttpServerError.ServeError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const host = options?.host
      if (host !== undefined && !isLoopback(host)) {
        return yield* serveError(
          `The fake vault does not listen on ${host || "every address"}: it gives secrets away. Listen on 127.0.0.1.`
        )
      }
      const tls = options?.tls ?? selfSigned(["127.0.0.1", "localhost", "::1", ...(host === undefined ? [] : [host])])
      const server = yield* listen({ host, port: options?.port ?? 0, tls: tls === false ? undefined : tls })
      const at = { secure: tls !== false, host, port: server.port }
      const address = urlOf(at)
      const url = address.origin
      const { handler, controls } = yield* FakeKeyVault.make(options, {
        url,
        authority: url,
        metadata: url,
        seed: randomBytes(32).toString("hex"),
        algorithm: "RS256"
      })
      yield* server.serve(
        handler.pipe(
          onlyFor({ ...at, url: address }),
          Effect.map(HttpServerResponse.setHeader("x-fake-key-vault", "1"))
        )
      )
      return Context.make(FakeKeyVault.FakeKeyVault, controls).pipe(
        Context.add(Endpoint, { url, certificate: tls === false ? undefined : tls.cert })
      )
    })
  )
