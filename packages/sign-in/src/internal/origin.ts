// The address of the web app. It is given and never read from `Host`, which the sender of a request chooses.
import * as Option from "effect/Option"

/** Returns whether the host is one of this machine only, where http is safe. */
const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(hostname)

/** Parses an absolute URL: https, or http on loopback, without user info. */
const parseSafe = (text: string): URL | undefined => {
  const url = URL.parse(text)
  const isSafe = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname))
  return url !== null && isSafe && !text.includes("@") ? url : undefined
}

/**
 * Returns the origin of `baseUrl`. Throws a `RangeError` unless the text is an origin with https, or with http on
 * loopback. The text is not in the message, because user info or a query may hold a secret.
 */
export const originOf = (baseUrl: string): string => {
  const url = parseSafe(baseUrl)
  if (url === undefined || url.pathname !== "/" || /[?#]/.test(baseUrl)) {
    throw new RangeError(
      "SignInRoutes: baseUrl must be an origin, for example https://app.example.com: https, or http on loopback, without user info, path, query and fragment"
    )
  }
  return url.origin
}

/** Returns the URL as it was given, because IMS compares the text. Throws a `RangeError` if it can't be one. */
export const checkPostSignOutUrl = (text: string): string => {
  if (parseSafe(text) === undefined) {
    throw new RangeError(
      "SignInRoutes: postSignOutUrl must be an absolute URL: https, or http on loopback, without user info"
    )
  }
  return text
}

/** The longest address to return to. It travels in a cookie, of which a browser stores 4,096 bytes. */
const maxReturnTo = 512

/** White space, control characters, and the backslash, which browsers read as a slash. */
const forbidden = /[^\x21-\x7e\u00a1-\uffff]|\\/

/** A second slash, also an encoded one, would begin the name of a host in some software between. */
const secondSlash = /^\/(?:[/\\]|%(?:25)*(?:2f|5c))/i

const encodedControl = /%(?:25)*(?:[01][0-9a-f]|7f)/i

/** The routes of the sign-in itself, to which returning makes a loop. */
const ownRoute = /^\/sign-(?:in|out)(?![\w-])/i

const decoded = Option.liftThrowable(decodeURIComponent)

/**
 * Returns the path to which a sign-in returns: the given one if it is a path on the origin, otherwise `/`.
 */
export const returnToOf = (text: string | undefined, origin: string): string => {
  if (text === undefined || text.length > maxReturnTo || !text.startsWith("/")) return "/"
  if (forbidden.test(text) || secondSlash.test(text)) return "/"
  const url = URL.parse(text, origin)
  // The parser resolves dots: "/.//host" has the path "//host".
  if (url === null || url.origin !== origin || secondSlash.test(url.pathname) || encodedControl.test(url.pathname)) {
    return "/"
  }
  const path = Option.getOrUndefined(decoded(url.pathname))
  if (path === undefined || ownRoute.test(path)) return "/"
  const normalized = `${url.pathname}${url.search}${url.hash}`
  return normalized.length > maxReturnTo ? "/" : normalized
}
