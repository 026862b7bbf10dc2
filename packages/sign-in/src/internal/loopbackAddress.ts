// Redirect URIs of native programs: http on a loopback address of this machine (RFC 8252 §7.3).

export interface LoopbackAddress {
  /** As it is registered, because the sign-in server compares the text. */
  readonly redirectUri: string
  /** The interfaces to listen on. */
  readonly interfaces: readonly [string, ...ReadonlyArray<string>]
  readonly port: number
  /** What `Host` must be. */
  readonly host: string
  readonly path: string
}

const interfacesOf: Readonly<Record<string, LoopbackAddress["interfaces"]>> = {
  "127.0.0.1": ["127.0.0.1"],
  "[::1]": ["::1"],
  // A browser may try either.
  localhost: ["127.0.0.1", "::1"]
}

/** Reads a redirect URI. Throws a `RangeError` unless it is http on loopback, without user info, query and fragment. */
export const loopbackAddressOf = (redirectUri: string): LoopbackAddress => {
  const url = URL.parse(redirectUri)
  const interfaces = url?.protocol === "http:" ? interfacesOf[url.hostname] : undefined
  // The server compares the text, so a spelling that the parser corrects would never match.
  if (url === null || interfaces === undefined || url.port === "0" || /[?#@\\]/.test(redirectUri)) {
    throw new RangeError(
      "LoopbackSignIn: each of redirectUris must be http on 127.0.0.1, [::1] or localhost, with a port of 1 or more, without user info, query and fragment, for example http://127.0.0.1:3000/callback"
    )
  }
  return {
    redirectUri,
    interfaces,
    port: url.port === "" ? 80 : Number(url.port),
    host: url.host,
    path: url.pathname
  }
}
