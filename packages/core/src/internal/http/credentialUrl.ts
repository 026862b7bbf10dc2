// Which URLs may receive credentials.

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
