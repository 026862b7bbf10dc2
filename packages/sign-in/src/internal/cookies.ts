// The cookies of the sign-in.
//
// A browser accepts a cookie whose name begins with `__Host-` only with `Secure` and `Path=/` and without `Domain`. So
// no other host, not even a subdomain, can set one.
import type * as Duration from "effect/Duration"
import type * as Headers from "effect/http/Headers"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

/** Holds the id of the session. */
export const sessionCookie = "__Host-itwin-session"

/** Begins the names of the cookies that hold one sign-in in progress each. */
export const transactionPrefix = "__Host-itwin-sign-in-"

/** The longest value that is looked at. A browser stores 4,096 bytes for name, value and attributes. */
const maxValue = 4096

const attributes = { path: "/", secure: true, httpOnly: true, sameSite: "lax" } as const

/**
 * Returns the cookies of the request. A name that occurs twice is left out, because no browser sends one twice.
 *
 * Names and values are not trimmed: `trim` removes a no-break space too. Another host of the same site may set a cookie
 * with one before `__Host-`, because a browser compares the prefix with the whole name.
 */
export const cookiesOf = (headers: Headers.Headers): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  const seen = new Set<string>()
  for (const pair of (headers.cookie ?? "").split(/;[ \t]*/)) {
    const at = pair.indexOf("=")
    if (at < 0) continue
    const name = pair.slice(0, at)
    const value = pair.slice(at + 1)
    if (seen.has(name) || value.length > maxValue) found.delete(name)
    else found.set(name, value)
    seen.add(name)
  }
  return found
}

/** Sets a cookie. `value` has no character that needs an encoding: it is base64url. */
export const setCookie = (name: string, value: string, maxAge: Duration.Input) =>
  HttpServerResponse.setCookieUnsafe(name, value, { ...attributes, maxAge })

/** Removes a cookie from the browser. */
export const removeCookie = (name: string) => HttpServerResponse.setCookieUnsafe(name, "", { ...attributes, maxAge: 0 })
