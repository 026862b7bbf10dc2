// Decides who may reach the server: where it listens, under which URL others know it, and for which `Host` it answers.
import { isIPv4, isIPv6 } from "node:net"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || host === "[::1]" || (isIPv4(host) && host.startsWith("127."))

/** Reads a public URL: scheme, host and port, and nothing else. */
export const parsePublicUrl = (text: string): URL | undefined => {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined
  // A path, query, fragment or user info is lost in the origin; the slash at the end is not one of them.
  return url.href === `${url.origin}/` && !/[?#\\]/.test(text) ? url : undefined
}

export const whyNotPublicUrl = (text: string): string | undefined =>
  parsePublicUrl(text) === undefined
    ? `${JSON.stringify(text)} is not a valid public URL. Give scheme, host and port without a path, for example http://fake-ims:8080.`
    : undefined

/** Returns why the server may not be reached there, and what to do about it; `undefined` if it may. */
export const whyNotRemote = (options: {
  /** Where it listens; `undefined` is loopback. */
  readonly host: string | undefined
  readonly publicUrl: string | undefined
  readonly allowRemote: boolean
  readonly lacksToken: boolean
  readonly seeded: boolean
  readonly production: boolean
}): string | undefined => {
  const { host = "127.0.0.1", publicUrl } = options
  if (publicUrl !== undefined) {
    const invalid = whyNotPublicUrl(publicUrl)
    if (invalid !== undefined) return invalid
  }
  const publicHost = publicUrl === undefined ? undefined : parsePublicUrl(publicUrl)?.hostname
  const listensRemotely = !isLoopback(host)
  if (!listensRemotely && (publicHost === undefined || isLoopback(publicHost))) return undefined

  const subject = listensRemotely
    ? `The fake does not listen on ${host || "every address"}`
    : `The fake is not served as ${publicUrl}`
  const no = (why: string, what: string) => `${subject}: ${why}. ${what}`
  if (!options.allowRemote) {
    return no(
      "other machines could reach it, and it gives tokens and secrets away",
      "Stay on loopback (127.0.0.1), or allow it with --allow-remote (allowRemote) and an admin token."
    )
  }
  if (options.production) {
    return no(
      "NODE_ENV is production, and a fake does not belong there",
      "Unset NODE_ENV, or stay on loopback (127.0.0.1)."
    )
  }
  if (options.lacksToken) {
    return no(
      "anybody on the network could control it",
      "Set an admin token with --admin-token, or in FAKE_IMS_ADMIN_TOKEN."
    )
  }
  return options.seeded
    ? no("its secrets and keys follow from a fixed seed, so others could make them too", "Remove the seed.")
    : undefined
}

const inUrl = (host: string): string => (isIPv6(host) ? `[${host}]` : host)

const everyAddress = new Set(["", "0.0.0.0", "::"])

/** Returns the URL of a server: the public one, or the address on which this machine reaches it. */
export const urlOf = (options: {
  readonly secure: boolean
  readonly host: string | undefined
  readonly port: number
  readonly publicUrl?: string | undefined
}): URL => {
  const { host = "127.0.0.1", publicUrl } = options
  const address = everyAddress.has(host) || host === "localhost" ? "127.0.0.1" : host
  return new URL(publicUrl ?? `${options.secure ? "https" : "http"}://${inUrl(address)}:${options.port}`)
}

/** Returns the values that the header `Host` has for this host and port. Clients leave out the port of the scheme. */
const valuesOf = (protocol: string, host: string, port: number): ReadonlyArray<string> => {
  const standard = protocol === "https:" ? 443 : 80
  const name = host.toLowerCase()
  return port === standard ? [name, `${name}:${port}`] : [`${name}:${port}`]
}

/** Describes how a server is reached. */
export interface Reach {
  readonly url: URL
  readonly secure: boolean
  readonly host: string | undefined
  readonly port: number
}

/** Returns the values of `Host` that the server answers. Any other may be a name that a web page gave this machine. */
export const hostsOf = ({ url, secure, host = "127.0.0.1", port }: Reach): ReadonlySet<string> => {
  const publicPort = Number(url.port || (url.protocol === "https:" ? 443 : 80))
  return new Set([
    ...["127.0.0.1", "localhost", "[::1]", inUrl(host)].flatMap((name) =>
      valuesOf(secure ? "https:" : "http:", name, port)
    ),
    ...valuesOf(url.protocol, url.hostname, publicPort)
  ])
}

/** Serves the app to requests for the server's own hosts; others get 421. */
export const onlyFor = (reach: Reach) => {
  const hosts = hostsOf(reach)
  const refusal = { message: `This is ${reach.url.origin}. It does not answer for another host.` }
  return <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
      hosts.has(headers.host?.toLowerCase() ?? "")
        ? app
        : Effect.succeed(HttpServerResponse.jsonUnsafe(refusal, { status: 421 }))
    )
}
