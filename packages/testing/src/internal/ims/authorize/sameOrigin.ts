import type { Call } from "../../engine/handler.ts"

/**
 * Returns whether a form came from a page of the fake itself. Browsers say where it came from; other programs, which do
 * not, have no session that another page could abuse.
 */
export const isSameOrigin = ({ headers }: Call): boolean => {
  const site = headers["sec-fetch-site"]
  if (site !== undefined) return site === "same-origin"
  return headers.origin === undefined || URL.parse(headers.origin)?.host === headers.host
}
