// Reads errors of the SDK. The message may contain a secret or a token (a parse error quotes the complete response). So
// only names, statuses, and codes that are known or have a safe form are read, and the error is never attached.
import * as Predicate from "effect/Predicate"

export const field = (u: unknown, key: string): unknown => (Predicate.hasProperty(u, key) ? u[key] : undefined)

/** Returns the error and its causes. */
export const chainOf = (error: unknown): ReadonlyArray<unknown> => {
  const chain: Array<unknown> = []
  for (let next = error; Predicate.isNotNullish(next) && chain.length < 5; next = field(next, "cause")) chain.push(next)
  return chain
}

export const messageOf = (u: unknown): string => {
  const message = field(u, "message")
  return Predicate.isString(message) ? message : ""
}

/** Codes of Node's sockets and of the SDK for a request without a response. */
const connection = new Set([
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EAI_AGAIN",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
  "ERR_STREAM_PREMATURE_CLOSE",
  "REQUEST_SEND_ERROR",
  "UND_ERR_BODY_TIMEOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_SOCKET",
  "endpoints_resolution_error",
  "network_error"
])

const tls = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
])

/** The OAuth errors (RFC 6749 §5.2 and Entra ID's own) by which Entra ID rejects a credential. */
const rejections = new Set([
  "access_denied",
  "invalid_client",
  "invalid_grant",
  "invalid_request",
  "invalid_resource",
  "invalid_scope",
  "unauthorized_client",
  "unsupported_grant_type"
])

const codeIn = (known: ReadonlySet<string>, chain: ReadonlyArray<unknown>): string | undefined =>
  chain
    .flatMap((error) => [field(error, "code"), field(error, "errorCode")])
    .find((code): code is string => Predicate.isString(code) && known.has(code))

export const tlsCode = (chain: ReadonlyArray<unknown>) => codeIn(tls, chain)
export const connectionCode = (chain: ReadonlyArray<unknown>) => codeIn(connection, chain) ?? tlsCode(chain)
export const rejectionCode = (chain: ReadonlyArray<unknown>) => codeIn(rejections, chain)

export const isParseError = (chain: ReadonlyArray<unknown>): boolean =>
  codeIn(new Set(["PARSE_ERROR"]), chain) !== undefined

export const statusIn = (chain: ReadonlyArray<unknown>): number | undefined =>
  chain
    .flatMap((error) => [field(error, "statusCode"), field(error, "status")])
    .find((status): status is number => Number.isInteger(status))

/** Returns the statuses of the errors that a chain of credentials collected. */
export const nestedStatuses = (error: unknown): ReadonlyArray<number> => {
  const errors = field(error, "errors")
  return Array.isArray(errors)
    ? errors.map((nested: unknown) => statusIn(chainOf(nested))).filter(Predicate.isNotUndefined)
    : []
}

/** Returns a code like `AADSTS7000215` or `AKV10032`, whose digits can't be a secret. */
export const codeOf = (pattern: RegExp, text: string): string | undefined => pattern.exec(text)?.[0]

/** Recognizes a failure of Entra ID that MSAL repeats for a minute or more without a request: it has no status. */
export const isReplay = (chain: ReadonlyArray<unknown>): boolean =>
  chain.some((error) => field(error, "name") === "ServerError" && field(error, "status") === undefined)

/** Tells whether the error is a bug. The `TypeError` of `fetch` is not: it reports a connection. */
export const isBug = (error: unknown): boolean =>
  (error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError) &&
  connectionCode(chainOf(error)) === undefined
