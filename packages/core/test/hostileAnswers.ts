// What a token endpoint may return, one entry for each row of docs/hostile-answers.md. The table has the outcomes. The
// tests run every row, and fail when an entry has no row or a row has no entry.
import { readFileSync } from "node:fs"
import { type AccessToken, ClientCredentials, Scopes, type TokenError } from "@effect-itwin/core"
import { Duration, Effect, type Exit, Redacted, Result } from "effect"
import { json, type Step, tokenAnswer, transportError } from "./support.ts"

export interface Row {
  readonly stage: string
  readonly comes: string
  readonly outcome: string
  readonly again: string
}

/** The rows of the table, as the documentation has them. */
export const table: ReadonlyArray<Row> = readFileSync(
  new URL("../../../docs/hostile-answers.md", import.meta.url),
  "utf8"
)
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .slice(2)
  .map(([, stage = "", comes = "", outcome = "", again = ""]) => ({ stage, comes, outcome, again }))

/** Has only characters that a scope and a token may have, so that it could be taken for one. */
const secret = "fake-secret-Ab+Cd/Ef="

/** The credentials of every row. */
export const credentials = new ClientCredentials.ClientCredentials({
  clientId: "service-Ab12",
  clientSecret: Redacted.make(secret)
})

/** The scopes that every row requests. */
export const requested = Scopes.make("itwins:read users:read")

const wait = (retryAfter: Duration.Duration | undefined) =>
  retryAfter === undefined ? "" : `, wait ${Duration.format(retryAfter)}`

const said = (description: string | undefined) => (description === undefined ? "" : `: ${description}`)

const failure = (reason: TokenError.TokenErrorReason): string => {
  const name = `\`${reason._tag}\``
  switch (reason._tag) {
    case "InvalidResponse":
      return `${name}: ${reason.detail}`
    case "UnexpectedStatus":
      return `${name} ${reason.status}`
    case "RateLimited":
      return name + wait(reason.retryAfter)
    case "ServerError": {
      const code = reason.code === undefined ? "" : ` ${reason.code}`
      return `${name} ${reason.status}${code}${said(reason.description)}${wait(reason.retryAfter)}`
    }
    case "Transport":
      return `${name} ${reason.kind} ${reason.code ?? ""}`.trimEnd()
    case "RedirectRefused":
      return name + (reason.origin === undefined ? "" : ` to ${reason.origin}`) + (reason.followed ? ", followed" : "")
    case "OAuthError":
      return `${name} ${reason.code}${said(reason.description)}`
    default:
      return name + ("description" in reason ? said(reason.description) : "")
  }
}

/** The outcome in the words of the table. */
export const outcomeOf = (exit: Exit.Exit<AccessToken.AccessToken, TokenError.TokenError>): string => {
  const result = Effect.runSync(Effect.result(exit))
  if (Result.isFailure(result)) return failure(result.failure.reason)
  const { life, scopes } = result.success
  return `token, ${Math.round(Duration.toSeconds(life))} s${scopes === requested ? "" : `, scope \`${scopes}\``}`
}

/** The number of requests, in the words of the table. */
export const againOf = (requests: number): string => (requests === 1 ? "no" : `yes, ${requests} requests`)

const good = '{"access_token":"t","token_type":"Bearer","expires_in":3600}'

const formEncoded = new URLSearchParams({ v: secret }).toString().slice(2)

const token = tokenAnswer

const raw =
  (status: number, body: string, contentType?: string): Step =>
  () =>
    // From bytes, because a string would add its own content type.
    new Response(new TextEncoder().encode(body), {
      status,
      headers: contentType === undefined ? {} : { "content-type": contentType }
    })

const bytes =
  (status: number, before: string, between: Iterable<number>, after: string): Step =>
  () =>
    new Response(
      new Uint8Array([...new TextEncoder().encode(before), ...between, ...new TextEncoder().encode(after)]),
      {
        status
      }
    )

const empty =
  (status: number): Step =>
  () =>
    new Response(null, { status })

const redirect =
  (status: number, location: string): Step =>
  () =>
    new Response(null, { status, headers: { location } })

const limited =
  (retryAfter: string, status = 429): Step =>
  () =>
    new Response(null, { status, headers: { "retry-after": retryAfter } })

const oauthError = (error: string, status = 400, error_description = "Because."): Step =>
  json({ error, error_description }, { status })

/** A response with this URL. */
const from =
  (url: string, status = 200): Step =>
  () =>
    Object.defineProperty(new Response(good, { status }), "url", { value: url })

const brokenBody: Step = () =>
  new Response(
    new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(good))
        controller.error(Object.assign(new TypeError("terminated"), { code: "ECONNRESET" }))
      }
    })
  )

const endless: Step = () =>
  new Response(
    new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(64 * 1024))
      }
    })
  )

/** The stage, what is returned, and the responses. The last one is repeated. */
export const answers: ReadonlyArray<readonly [stage: string, comes: string, ...answers: ReadonlyArray<Step>]> = [
  ["token type", "`Bearer`", token()],
  ["token type", "`bearer`, `BEARER` in any case", token({ token_type: "bEARER" })],
  ["token type", "none", token({ token_type: undefined })],
  ["token type", "`null`", token({ token_type: null })],
  ["token type", "empty", token({ token_type: "" })],
  ["token type", "`DPoP`", token({ token_type: "DPoP" })],
  ["token type", "`Bearer` with a space after it", token({ token_type: "Bearer " })],
  ["token type", "an array with `Bearer` in it", token({ token_type: ["Bearer"] })],
  ["life", "none", token({ expires_in: undefined })],
  ["life", "`null`", token({ expires_in: null })],
  ["life", "3599", token({ expires_in: 3599 })],
  ["life", "digits in a string", token({ expires_in: "3600" })],
  ["life", "a fraction", token({ expires_in: 3600.9 })],
  ["life", "a fraction in a string", token({ expires_in: "3600.9" })],
  ["life", "0", token({ expires_in: 0 })],
  ["life", "less than a second", token({ expires_in: 0.5 })],
  ["life", "negative zero", raw(200, '{"access_token":"t","token_type":"Bearer","expires_in":-0}')],
  ["life", "-1", token({ expires_in: -1 })],
  ["life", '`"-1"`', token({ expires_in: "-1" })],
  ["life", "a day", token({ expires_in: 86_400 })],
  ["life", "a day and a second", token({ expires_in: 86_401 })],
  ["life", "10 digits", token({ expires_in: 9_999_999_999 })],
  ["life", "11 digits", token({ expires_in: 10_000_000_000 })],
  ["life", "11 digits in a string", token({ expires_in: "00000003600" })],
  ["life", "1e400, which JSON allows", raw(200, '{"access_token":"t","token_type":"Bearer","expires_in":1e400}')],
  ["life", "400 digits in a string", token({ expires_in: "9".repeat(400) })],
  ["life", "`NaN`, which JSON does not know", raw(200, '{"access_token":"t","token_type":"Bearer","expires_in":NaN}')],
  ["life", '`"NaN"`', token({ expires_in: "NaN" })],
  ["life", '`"Infinity"`', token({ expires_in: "Infinity" })],
  ["life", '`"1e3"`', token({ expires_in: "1e3" })],
  ["life", '`"0x10"`', token({ expires_in: "0x10" })],
  ["life", '`"3600s"`', token({ expires_in: "3600s" })],
  ["life", "an empty string", token({ expires_in: "" })],
  ["life", "a date", token({ expires_in: "2026-01-01T00:00:00Z" })],
  ["life", "`true`", token({ expires_in: true })],
  ["life", "an array with a number in it", token({ expires_in: [3600] })],
  ["life", "an object", token({ expires_in: {} })],
  ["token", "every character that may be in one", token({ access_token: "aZ09-._~+/==" })],
  ["token", "none", token({ access_token: undefined })],
  ["token", "`null`", token({ access_token: null })],
  ["token", "empty", token({ access_token: "" })],
  ["token", "the text `null`", token({ access_token: "null" })],
  ["token", "the text `undefined`", token({ access_token: "undefined" })],
  ["token", "the client secret", token({ access_token: "fake-secret-Ab+Cd/Ef=" })],
  ["token", "a number", token({ access_token: 1 })],
  ["token", "`false`", token({ access_token: false })],
  ["token", "an object", token({ access_token: { value: "t" } })],
  ["token", "an array with the token in it", token({ access_token: ["t"] })],
  ["token", "a line break in it", token({ access_token: "a\r\nx-evil: 1" })],
  ["token", "a NUL in it", token({ access_token: "a\u0000b" })],
  ["token", "a space in it", token({ access_token: "a b" })],
  ["token", "a line break after it", token({ access_token: "a\n" })],
  ["token", "`é` in it", token({ access_token: "é" })],
  ["token", "a letter that looks like an ASCII one", token({ access_token: "\u0430bc" })],
  ["token", "`=` in the middle of it", token({ access_token: "a=b" })],
  ["token", "bytes that are not UTF-8 in it", bytes(200, '{"access_token":"t', [0xff], '","token_type":"Bearer"}')],
  ["token", "32 KiB", token({ access_token: "t".repeat(32 * 1024) })],
  ["token", "32 KiB and a character", token({ access_token: "t".repeat(32 * 1024 + 1) })],
  [
    "token",
    "two of them",
    raw(200, '{"access_token":"a b","access_token":"t","token_type":"Bearer","expires_in":3600}')
  ],
  [
    "token",
    "in a field `__proto__`",
    raw(200, '{"__proto__":{"access_token":"t","token_type":"Bearer","expires_in":3600}}')
  ],
  ["token", "in a field of an inner object", json({ data: { access_token: "t", token_type: "Bearer" } })],
  ["token", "a refresh token and unknown fields next to it", token({ refresh_token: "r", id_token: 1, x: {} })],
  ["scope", "none", token({ scope: undefined })],
  ["scope", "`null`", token({ scope: null })],
  ["scope", "empty", token({ scope: "" })],
  ["scope", "as requested, in another order, one twice", token({ scope: "users:read  itwins:read users:read" })],
  ["scope", "narrower", token({ scope: "itwins:read" })],
  ["scope", "wider", token({ scope: "itwins:read users:read a" })],
  ["scope", "another", token({ scope: "other" })],
  ["scope", "spaces only", token({ scope: "  " })],
  ["scope", "an array", token({ scope: ["itwins:read", "users:read"] })],
  ["scope", "a number", token({ scope: 1 })],
  ["scope", "a quote in it", token({ scope: 'a"b' })],
  ["scope", "a control character in it", token({ scope: "a\u001bb" })],
  ["scope", "`é` in it", token({ scope: "é" })],
  ["scope", "the secret", token({ scope: secret })],
  ["scope", "the token", token({ access_token: "fake.token", scope: "a fake.token" })],
  ["scope", "as requested, and the secret", token({ scope: `itwins:read ${secret} users:read` })],
  ["scope", "as requested, and base64", token({ scope: "itwins:read users:read Zk9PYmFyMTIz" })],
  ["scope", "4 KiB and a character", token({ scope: "s".repeat(4 * 1024 + 1) })],
  ["content type", "`application/json; charset=utf-8`", raw(200, good, "application/json; charset=utf-8")],
  ["content type", "none", raw(200, good)],
  ["content type", "`text/html`", raw(200, good, "text/html")],
  ["content type", "`application/json; charset=utf-16`", raw(200, good, "application/json; charset=utf-16")],
  ["content type", "`application/jwt`, with a JWT as the body", raw(200, "e30.e30.x", "application/jwt")],
  [
    "content type",
    "a form, which some servers return",
    raw(200, "access_token=t&token_type=Bearer", "application/x-www-form-urlencoded")
  ],
  ["body", "a byte order mark before the JSON", raw(200, `\uFEFF${good}`)],
  ["body", "two byte order marks", raw(200, `\uFEFF\uFEFF${good}`)],
  ["body", "UTF-16", bytes(200, "", Buffer.from(`\uFEFF${good}`, "utf16le"), "")],
  ["body", "spaces around the JSON", raw(200, `\r\n\t ${good}\r\n`)],
  ["body", "empty", raw(200, "")],
  ["body", "JSON that ends too early", raw(200, good.slice(0, 30))],
  ["body", "text after the JSON", raw(200, `${good}<!-- -->`)],
  ["body", "HTML of a captive portal", raw(200, "<html><body>Sign in to the hotel</body></html>", "text/html")],
  ["body", "single quotes, trailing comma", raw(200, "{'access_token':'t',}")],
  ["body", "an array with the response in it", raw(200, `[${good}]`)],
  ["body", "a string with the response in it", json(good)],
  ["body", "`null`", raw(200, "null")],
  ["body", "a number", raw(200, "3600")],
  ["body", "an empty object", json({})],
  ["body", "an object 40,000 levels deep", raw(200, `${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}`)],
  ["body", "an object 40,000 levels deep, not closed", raw(200, '{"a":'.repeat(40_000))],
  ["body", "256 KiB", raw(200, good.padEnd(256 * 1024))],
  ["body", "256 KiB and a byte", raw(200, good.padEnd(256 * 1024 + 1))],
  [
    "body",
    "an error of more than 256 KiB",
    raw(400, JSON.stringify({ error: "invalid_client", error_description: "x".repeat(256 * 1024) }))
  ],
  ["error", "`invalid_client`", oauthError("invalid_client", 401)],
  ["error", "`invalid_client` with status 400", oauthError("invalid_client", 400)],
  ["error", "`unauthorized_client`", oauthError("unauthorized_client")],
  ["error", "`invalid_scope`", oauthError("invalid_scope")],
  ["error", "`invalid_request`", oauthError("invalid_request")],
  ["error", "`unsupported_grant_type`", oauthError("unsupported_grant_type")],
  ["error", "`invalid_grant`", oauthError("invalid_grant")],
  ["error", "a non-standard code", oauthError("account_locked")],
  ["error", "`INVALID_CLIENT`", oauthError("INVALID_CLIENT")],
  ["error", "no description", json({ error: "invalid_client" }, { status: 401 })],
  [
    "error",
    "a description that is an object",
    json({ error: "invalid_client", error_description: { text: "x" } }, { status: 401 })
  ],
  [
    "error",
    "JSON as `text/plain`",
    raw(401, '{"error":"invalid_client","error_description":"Because."}', "text/plain")
  ],
  [
    "error",
    "JSON without content type, with a byte order mark",
    raw(401, '\uFEFF{"error":"invalid_client","error_description":"Because."}')
  ],
  ["error", "HTML with status 400", raw(400, "<html><h1>Bad Request</h1></html>", "text/html")],
  ["error", "HTML with status 401", raw(401, "<html>401</html>", "text/html")],
  [
    "error",
    "an object instead of the code, as the APIs return it",
    json({ error: { code: "Unauthorized", message: "x" } }, { status: 401 })
  ],
  ["error", "an array instead of the code", json({ error: ["invalid_client"] }, { status: 400 })],
  ["error", "an empty code", json({ error: "" }, { status: 400 })],
  ["error", "a description and no code", json({ error_description: "Because." }, { status: 400 })],
  ["error", "an array that contains the error", json([{ error: "invalid_client" }], { status: 400 })],
  ["error", "control characters in the description", oauthError("invalid_request", 400, "a\u0000b\nc\u001b[31m\u007f")],
  [
    "error",
    "quotes, a backslash and non-ASCII letters in the description",
    oauthError("invalid_request", 400, 'say "hi" \\ é')
  ],
  ["error", "control characters in the code", oauthError("a\nb")],
  ["error", "a code of 100 characters", oauthError("x".repeat(100))],
  ["error", "a description of 200,000 characters", oauthError("invalid_request", 400, "x".repeat(200_000))],
  [
    "error",
    "the request in the description",
    oauthError("invalid_request", 400, `client_id=service-Ab12&client_secret=${formEncoded}`)
  ],
  [
    "error",
    "the secret in base64 in the description",
    oauthError("invalid_request", 400, `Not ${btoa(secret)}, sorry.`)
  ],
  ["error", "the secret as the code", oauthError(secret)],
  [
    "error",
    "the secret at the place where the description is cut",
    oauthError("invalid_request", 400, `Because.${" ".repeat(497)}${secret}`)
  ],
  ["error", "the complete form as the body", raw(400, `client_secret=${formEncoded}`)],
  ["error", "200 with `invalid_client`", oauthError("invalid_client", 200)],
  ["error", "200 with a token and an error", token({ error: "invalid_scope" })],
  ["error", "200 with a token and an error that is an object", token({ error: {} })],
  ["error", "200 with a token and an error of `null`", token({ error: null })],
  ["error", "200 with a token and an empty error", token({ error: "" })],
  ["error", "200 with a token and an error of `false`", token({ error: false })],
  ["status", "201 with a token", json(JSON.parse(good), { status: 201 })],
  ["status", "204", empty(204)],
  ["status", "206 with a token", json(JSON.parse(good), { status: 206 })],
  ["status", "301 to the same origin", redirect(301, "/elsewhere")],
  ["status", "302 to another origin", redirect(302, "https://login.example.com/x?token=y")],
  ["status", "303 to another origin", redirect(303, "https://login.example.com/")],
  ["status", "307 to the same origin", redirect(307, "/connect/token/")],
  ["status", "307 to another origin", redirect(307, "https://login.example.com/connect/token")],
  ["status", "308 to another origin", redirect(308, "https://login.example.com/connect/token")],
  [
    "status",
    "302 with a token in its body",
    () =>
      new Response(good.replace('"t"', '"fake.token"'), {
        status: 302,
        headers: { location: "https://login.example.com/" }
      })
  ],
  ["status", "302 to a host that may be an encoded secret", redirect(302, "https://fk9pbmfymti.example.com/")],
  ["status", "302 without `Location`", empty(302)],
  ["status", "302 to an invalid URL", redirect(302, "http://[")],
  ["status", "304", empty(304)],
  ["status", "0, which browsers report for a redirect that is not followed", () => Response.error()],
  ["status", "400 without a body", empty(400)],
  ["status", "401 without a body", empty(401)],
  ["status", "403 of a firewall", raw(403, "<html>blocked</html>", "text/html")],
  ["status", "404", raw(404, "<html>not found</html>", "text/html")],
  ["status", "404 with a token", raw(404, good)],
  ["status", "407 of a proxy", empty(407)],
  ["status", "408, always", empty(408)],
  ["status", "408, then a token", empty(408), token()],
  ["status", "413", empty(413)],
  ["status", "418", raw(418, "I'm a teapot")],
  ["status", "429, always", empty(429)],
  ["status", "429, then a token", empty(429), token()],
  ["status", "429 with `Retry-After: 2`, then a token", limited("2"), token()],
  ["status", "429 with `Retry-After: 60`", limited("60")],
  ["status", "429 with a `Retry-After` of a year", limited("31536000")],
  ["status", "429 with a `Retry-After` of 10,000 digits", limited("9".repeat(10_000))],
  ["status", "429 with a negative `Retry-After`, always", limited("-5")],
  ["status", "429 with a `Retry-After` in the past, always", limited("Thu, 01 Jan 1970 00:00:00 GMT")],
  ["status", "429 with `invalid_client`", oauthError("invalid_client", 429)],
  ["status", "500 once, then a token", empty(500), token()],
  ["status", "500, always", empty(500)],
  ["status", "500 with `invalid_client`", oauthError("invalid_client", 500)],
  ["status", "500, then `invalid_client`", empty(500), oauthError("invalid_client", 401)],
  ["status", "500 with a token", raw(500, good)],
  ["status", "502 of a proxy, HTML, always", raw(502, "<html>Bad Gateway</html>", "text/html")],
  ["status", "502, 503, then a token", empty(502), empty(503), token()],
  ["status", "503, always", empty(503)],
  ["status", "503 with `Retry-After: 600`", limited("600", 503)],
  ["status", "503 once, then a token of another type", empty(503), token({ token_type: "DPoP" })],
  ["status", "599", empty(599)],
  ["client", "follows a redirect to another origin itself", from("https://login.example.com/connect/token")],
  ["client", "follows a redirect on the same origin itself", from("https://ims.bentley.com/elsewhere")],
  ["client", "follows a redirect itself, to a page that fails", from("https://login.example.com/", 500)],
  ["client", "dies", () => Effect.die(new Error(secret))],
  ["client", "interrupts itself", () => Effect.interrupt],
  ["client", "does not find the host", transportError("ENOTFOUND")],
  ["client", "gets no response from the name server, once", transportError("EAI_AGAIN"), token()],
  ["client", "does not trust the certificate", transportError("DEPTH_ZERO_SELF_SIGNED_CERT")],
  ["client", "loses the connection once", transportError("ECONNRESET"), token()],
  ["client", "loses the connection during the body, always", brokenBody],
  ["client", "returns nothing, always", () => Effect.never],
  ["client", "returns a body that never ends", endless]
]
