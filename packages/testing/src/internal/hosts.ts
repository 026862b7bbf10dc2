// Who may reach the server: where it may listen, and for which `Host` it answers.
import { isIPv4, isIPv6 } from "node:net"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."))

/** What can stand between the scheme and the port of a URL, and nothing more. */
const isUrlHost = (host: string): boolean =>
  /^(?:[^\s:/?#@\\]+|\[[^\]]+\])$/.test(host) && URL.canParse(`http://${host}`)

/** Why it may not listen there, and what to do about it; nothing if it may. */
export const whyNotRemote = (options: {
  readonly host: string
  readonly publicHost: string | undefined
  readonly allowRemote: boolean
  readonly lacksToken: boolean
  readonly seeded: boolean
  readonly production: boolean
}): string | undefined => {
  const { host, publicHost } = options
  if (isLoopback(host)) {
    return publicHost === undefined
      ? undefined
      : `Only a server that others can reach has a public host: ${host} is loopback. Drop it, or listen elsewhere.`
  }
  const no = (why: string, what: string) => `The fake does not listen on ${host || "every address"}: ${why}. ${what}`
  if (!options.allowRemote) {
    return no(
      "other machines could reach it, and it gives tokens and secrets away",
      "Listen on 127.0.0.1, or allow it with --allow-remote (allowRemote) and an admin token."
    )
  }
  if (options.production) {
    return no("NODE_ENV is production, and a fake has no place there", "Unset NODE_ENV, or listen on 127.0.0.1.")
  }
  if (options.lacksToken) {
    return no(
      "anybody on the network could steer it",
      "Set an admin token with --admin-token, or in FAKE_IMS_ADMIN_TOKEN."
    )
  }
  if (options.seeded) {
    return no(
      "its secrets and keys follow from a fixed seed, so that others could make them too",
      "Leave the seed out."
    )
  }
  return publicHost === undefined || isUrlHost(publicHost)
    ? undefined
    : `${JSON.stringify(publicHost)} is no public host. Give a name, or an address (IPv6 in brackets), without scheme, port or path.`
}

/** The values of the header `Host` that it answers for. Any other may be a name that a web page gave this machine. */
export const hostsOf = (url: URL, listensOn: string): ReadonlySet<string> => {
  const names = ["127.0.0.1", "localhost", "[::1]", url.hostname, isIPv6(listensOn) ? `[${listensOn}]` : listensOn]
  return new Set(
    names.flatMap((name) => {
      const host = name.toLowerCase()
      // The port of the scheme is left out by clients.
      return url.port === "" ? [host, `${host}:${url.protocol === "https:" ? 443 : 80}`] : [`${host}:${url.port}`]
    })
  )
}

/** The app, for requests to its own hosts; others get 421. */
export const onlyFor = (url: URL, listensOn: string) => {
  const hosts = hostsOf(url, listensOn)
  const refusal = { message: `This is ${url.origin}, and it answers for no other host.` }
  return <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
      hosts.has(headers.host?.toLowerCase() ?? "")
        ? app
        : Effect.succeed(HttpServerResponse.jsonUnsafe(refusal, { status: 421 }))
    )
}
