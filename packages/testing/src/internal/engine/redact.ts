// Decides what the journal shows of a request: all names, and only those values that are known to be harmless.

const redacted = "<redacted>"

/** Lists parameters of forms and queries of OAuth 2.0 and OpenID Connect whose values are not secret. */
const harmless = new Set([
  "grant_type",
  "client_id",
  "scope",
  "redirect_uri",
  "response_type",
  "response_mode",
  "code_challenge_method",
  "client_assertion_type",
  "token_type_hint",
  "prompt",
  "resource",
  "audience",
  "api-version"
])

/**
 * Proxies keep a copy under another name, for example `x-forwarded-authorization`. `x-identity-header` is what Azure App
 * Service has instead of a secret.
 */
const hiddenHeaders = /authorization|cookie|secret|token|api-?key|subscription-key|password|^x-identity-header$/

/** Matches headers whose values differ in each run, so that two journals could not be compared. */
const traceHeaders = /^(?:traceparent|tracestate|b3|x-b3-.*)$/

/** Matches JSON Web Tokens, and what the fakes make up: secrets, codes, refresh tokens and ids of sessions. */
const secretText = /eyJ[\w-]*\.[\w-]*(?:\.[\w-]*)*|fake-(?:secret|code|refresh|session)-[^\s"'<>&,;]*/g

/** Returns the text without the secrets in it: those of a known shape, and the given ones. */
export const redactText = (text: string, secrets: Iterable<string>): string => {
  let shown = text
  // The longest first, because one can be the beginning of another.
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (secret !== "") shown = shown.replaceAll(secret, redacted)
  }
  return shown.replaceAll(secretText, redacted)
}

/** Shows only the values of harmless parameters, without secrets in them. */
export const redactForm = (
  form: Iterable<readonly [string, string]>,
  redact: (text: string) => string
): Record<string, string> =>
  Object.fromEntries(Array.from(form, ([name, value]) => [redact(name), harmless.has(name) ? redact(value) : redacted]))

const credentialName =
  /secret|token|password|credential|assertion|signature|^(?:code|state|nonce|sig|key|api-?key)$|code_/i

/** Shows the values of a query, except those of credentials: APIs take parameters of any name. */
export const redactQuery = (
  query: Iterable<readonly [string, string]>,
  redact: (text: string) => string
): Record<string, string> =>
  Object.fromEntries(
    Array.from(query, ([name, value]) => [
      redact(name),
      harmless.has(name) || !credentialName.test(name) ? redact(value) : redacted
    ])
  )

export const redactHeaders = (
  headers: Readonly<Record<string, string | undefined>>,
  redact: (text: string) => string
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value = ""]) => {
      if (traceHeaders.test(name)) return [name, "<trace>"]
      // The page that a browser comes from may have a code or a state in its address.
      if (name === "referer") return [name, redact(value.replace(/[?#].*$/s, ""))]
      if (!hiddenHeaders.test(name)) return [name, redact(value)]
      const scheme = /^(Basic|Bearer) /i.exec(value)?.[1]
      return [name, name === "authorization" && scheme !== undefined ? `${scheme} ${redacted}` : redacted]
    })
  )
