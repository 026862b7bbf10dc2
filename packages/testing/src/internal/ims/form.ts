// Reads the form of a request to IMS (RFC 6749 §3.2).
import type { Call } from "../engine/handler.ts"
import { formDecode } from "./rejectedClient.ts"

export interface Form {
  /** The parameters that have a value. */
  readonly values: Readonly<Record<string, string | undefined>>
  /** Returns a value as it is in the body. */
  readonly raw: (name: string) => string
}

/** Lists parameters that are credentials. They must be sent in the body or in a header (RFC 6749 §2.3.1). */
const credentials = [
  "client_secret",
  "client_assertion",
  "token",
  "access_token",
  "refresh_token",
  "code",
  "code_verifier",
  "password"
]

/** Reads the form, or says what is wrong with the request. */
export const readForm = ({ headers, body, query }: Call): Form | { readonly problem: string } => {
  const inQuery = credentials.find((name) => query.has(name))
  if (inQuery !== undefined) return { problem: `The parameter ${inQuery} must not be in the query.` }
  const contentType = headers["content-type"]?.split(";")[0]?.trim().toLowerCase()
  if (contentType !== "application/x-www-form-urlencoded") {
    return { problem: "The body must be application/x-www-form-urlencoded." }
  }
  const values = new Map<string, string>()
  const seen = new Set<string>()
  for (const [name, value] of new URLSearchParams(body)) {
    // Parameters must not be repeated. Those without a value count as omitted.
    if (seen.has(name))
      return { problem: `${/^\w{1,50}$/.test(name) ? `The parameter ${name}` : "A parameter"} is repeated.` }
    seen.add(name)
    if (value !== "") values.set(name, value)
  }
  return {
    values: Object.fromEntries(values),
    raw: (name) => {
      const pair = body.split("&").find((pair) => formDecode(pair.split("=")[0] ?? "") === name) ?? ""
      return pair.includes("=") ? pair.slice(pair.indexOf("=") + 1) : ""
    }
  }
}
