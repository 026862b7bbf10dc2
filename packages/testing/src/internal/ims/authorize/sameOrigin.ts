import type { Call } from "../../engine/handler.ts"
import type { Ims } from "../state.ts"

/**
 * Returns whether a form came from a page of the fake itself. Browsers say where it came from; other programs, which do
 * not, have no session that another page could abuse.
 */
export const isSameOrigin = ({ environment }: Pick<Ims, "environment">, { headers }: Call): boolean => {
  const site = headers["sec-fetch-site"]
  if (site !== undefined) return site === "same-origin"
  const host = headers.host ?? new URL(environment.authorizationEndpoint).host
  return headers.origin === undefined || URL.parse(headers.origin)?.host === host
}
