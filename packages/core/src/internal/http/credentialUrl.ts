// Which URLs may receive credentials.
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(hostname)

/** Returns what a URL that receives credentials must be, if this one is not; undefined if it is valid. */
export const checkCredentialUrl = (text: string, insecureHttp: boolean): string | undefined => {
  const url = URL.parse(text)
  if (url === null) return "an absolute URL"
  if (url.protocol !== "https:" && url.protocol !== "http:") return "an https URL"
  if (url.protocol === "http:" && !insecureHttp && !isLoopback(url.hostname)) {
    return "an https URL (http is for 127.0.0.0/8, [::1] and localhost only)"
  }
  return url.username !== "" || url.password !== "" || /[?#]/.test(text)
    ? "a URL without user info, query or fragment"
    : undefined
}

/** Returns the origin; throws a `SchemaError` unless the text is one that may receive credentials. */
export const decodeOrigin: (text: string) => string = Schema.decodeSync(
  Schema.String.check(
    Schema.makeFilter((text) => {
      const expected = checkCredentialUrl(text, false)
      if (expected !== undefined) return `Expected ${expected}`
      return new URL(text).pathname === "/" ? undefined : "Expected an origin, without a path"
    })
  ).pipe(
    Schema.decodeTo(
      Schema.String,
      SchemaTransformation.transform({ decode: (text) => new URL(text).origin, encode: (text: string) => text })
    )
  )
)
