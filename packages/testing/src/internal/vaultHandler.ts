// The one handler behind both ways to serve the fake Key Vault.
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { ConnectionBroken } from "./engine/broken.ts"
import { entraToken, instanceDiscovery, metadataToken, openidConfiguration } from "./entra.ts"
import type { Vault } from "./vault.ts"
import { getSecret } from "./vaultApi.ts"

type Handle = (
  request: HttpServerRequest.HttpServerRequest
) => Effect.Effect<HttpServerResponse.HttpServerResponse, ConnectionBroken>

export type Host = "vault" | "entra" | "metadata"

const notFound: Handle = () =>
  Effect.succeed(
    HttpServerResponse.jsonUnsafe(
      { error: { code: "NotFound", message: "The fake has no such route." } },
      { status: 404 }
    )
  )

/** The routes of these hosts, as one app. */
export const makeVaultHandler = (vault: Vault, hosts: ReadonlyArray<Host>) => {
  const routes: ReadonlyArray<readonly [Host, method: string, path: RegExp, Handle]> = [
    ["vault", "GET", /^\/secrets\/[^/]+(\/[^/]*)?$/, getSecret(vault)],
    ["entra", "POST", /^\/[^/]+\/oauth2\/v2\.0\/token$/, entraToken(vault)],
    ["entra", "GET", /^\/common\/discovery\/instance$/, instanceDiscovery(vault)],
    ["entra", "GET", /^\/[^/]+\/v2\.0\/\.well-known\/openid-configuration$/, openidConfiguration(vault)],
    ["metadata", "GET", /^\/metadata\/identity\/oauth2\/token\/?$/, metadataToken(vault)]
  ]
  return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    // A request may ask for what is no URL: `//`, `http://[`.
    const pathname = URL.parse(request.url, vault.url)?.pathname ?? ""
    const route = routes.find(
      ([host, method, path]) => hosts.includes(host) && method === request.method && path.test(pathname)
    )
    return (route?.[3] ?? notFound)(request)
  })
}
