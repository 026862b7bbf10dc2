// Turns the failure of an HTTP client into the reason of a TokenError. Only a kind and a code are taken from the
// foreign error, because it contains the request with the secret.
import * as Predicate from "effect/Predicate"
import * as TokenError from "../../TokenError.ts"
import { makeServerText } from "../shown/serverText.ts"

const kinds: ReadonlyArray<readonly [RegExp, TokenError.TransportKind]> = [
  [/^(ENOTFOUND|EAI_.*|EDNS.*|ENODATA)$/, "dns"],
  [/REFUSED/i, "refused"],
  [/PROXY|UND_ERR_PRX/, "proxy"],
  [/^(ERR_TLS.*|ERR_SSL.*|EPROTO|CERT_.*|.*_CERT.*|UNABLE_TO_VERIFY_LEAF_SIGNATURE|HOSTNAME_MISMATCH)$/, "tls"],
  [
    /^(ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET|UND_ERR_RES_CONTENT_LENGTH_MISMATCH|ERR_STREAM_PREMATURE_CLOSE)$/,
    "reset"
  ]
]

/** Foreign code may put anything into a code, so only what looks like words is shown. */
const ordinary = makeServerText([])

/**
 * Returns the first code in the chain of causes. Runtimes wrap the error that has the code one to three levels deep.
 */
export const codeOf = (error: unknown, depth = 0): string | undefined => {
  if (depth > 5 || !Predicate.isObject(error)) return undefined
  if (Predicate.hasProperty(error, "errors") && Array.isArray(error.errors)) {
    for (const inner of error.errors) {
      const code = codeOf(inner, depth + 1)
      if (code !== undefined) return code
    }
  }
  const inner = Predicate.hasProperty(error, "cause") ? codeOf(error.cause, depth + 1) : undefined
  if (inner !== undefined) return inner
  return Predicate.hasProperty(error, "code") &&
    Predicate.isString(error.code) &&
    /^[A-Za-z][A-Za-z_]{1,63}$/.test(error.code)
    ? ordinary.showComplete(error.code)
    : undefined
}

const kindOf = (code: string | undefined): TokenError.TransportKind | undefined =>
  code === undefined ? undefined : kinds.find(([pattern]) => pattern.test(code))?.[1]

/** Returns whether a repetition may help. An unknown host and an untrusted certificate need a change by a person. */
export const mayPass = (code: string | undefined): boolean => code !== "ENOTFOUND" && kindOf(code) !== "tls"

/** Returns where the request failed. `fallback` is the kind of an error that has no known code. */
export const transportOf = (
  cause: unknown,
  fallback: TokenError.TransportKind
): { readonly kind: TokenError.TransportKind; readonly code: string | undefined } => {
  const code = codeOf(cause)
  return { kind: kindOf(code) ?? fallback, code }
}

/** Returns why the token request failed. */
export const transportReason = (cause: unknown, fallback: TokenError.TransportKind): TokenError.Transport =>
  new TokenError.Transport(transportOf(cause, fallback))
