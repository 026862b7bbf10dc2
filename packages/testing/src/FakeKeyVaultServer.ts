/**
 * The fake Key Vault as a real HTTPS server on this machine: vault, token endpoint and metadata service on one origin,
 * for programs in other processes. The same handler as `FakeKeyVault.layerTest`; time is the real clock, unless the
 * layer is built under another.
 *
 * **Gotchas**
 *
 * The Azure SDK sends a vault's token over https only (since `@azure/keyvault-common` 2.1.1, whatever
 * `allowInsecureConnection` says). So the server makes a certificate for itself, which the client must trust: write
 * {@link Endpoint} `certificate` to a file and name that in `NODE_EXTRA_CA_CERTS`, or give it to the SDK as
 * `tlsOptions: { ca }`. The SDK also needs `disableChallengeResourceVerification`, since 127.0.0.1 is no name below
 * `vault.azure.net`; `AZURE_POD_IDENTITY_AUTHORITY_HOST`, set to the server's URL, leads a managed identity here.
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
 * What a client needs to reach the server.
 *
 * @category services
 * @since 0.1.0
 */
export class Endpoint extends Context.Service<
  Endpoint,
  {
    /** Of vault, token endpoint and metadata service alike. */
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
 * The challenge names the server's own token endpoint, not Microsoft's, so that no client takes a fake's client secret
 * there. Ids and secrets are random unless a `seed` is given. Each answer says `X-Fake-Key-Vault: 1`.
 *
 * **Gotchas**
 *
 * It answers only requests for loopback (others get 421), so that a web page can't reach it under another name. An
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
