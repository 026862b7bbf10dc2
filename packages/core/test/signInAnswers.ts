// What can come back from a sign-in, written before the code that reads it: callbacks at the redirect URI, and id tokens
// of the token endpoint. Each row names its rule and what must become of it. "accepted" or the reason of the
// SignInError; with InvalidAnswer, what its detail says.
import { AuthorizationCode, Scopes } from "@effect-itwin/core"
import { DateTime, Redacted } from "effect"

export const issuer = "https://ims.bentley.com"
export const clientId = "web-Ab12"
export const now = DateTime.makeUnsafe("2026-01-01T12:00:00Z")
export const seconds = DateTime.toEpochMillis(now) / 1000

export const state = "fake-secret-state-a+b/c=x7Kq9mZw2Lr4Tt8"
export const nonce = "fake-secret-nonce-a+b/c=p3Vn6Ys1Hd5Jf0"
export const verifier = "fake-secret-verifier-a+b/c=Qe4Rg7Uj2Ik9Ol"
export const code = "fake-secret-code-a+b/c=Wm8Xc3Bv6Nz1As"

export const makeTransaction = (fields: Partial<AuthorizationCode.Transaction> = {}) =>
  new AuthorizationCode.Transaction({
    state: Redacted.make(state),
    nonce: Redacted.make(nonce),
    codeVerifier: Redacted.make(verifier),
    redirectUri: "https://app.example.com/sign-in/callback",
    clientId,
    scopes: Scopes.make("openid offline_access itwin-platform"),
    issuer,
    startedAt: DateTime.subtract(now, { seconds: 5 }),
    ...fields
  })

export const transaction = makeTransaction()

export type Outcome = "accepted" | "Denied" | "Refused" | "UnknownState" | "NoAnswer" | `InvalidAnswer: ${string}`

export interface Callback {
  readonly rule: string
  readonly query: ReadonlyArray<readonly [string, string]>
  readonly outcome: Outcome
  readonly transaction?: AuthorizationCode.Transaction
}

const callback = (
  rule: string,
  query: ReadonlyArray<readonly [string, string]>,
  outcome: Outcome,
  transaction?: AuthorizationCode.Transaction
): Callback => ({ rule, query, outcome, ...(transaction === undefined ? {} : { transaction }) })

const fits = ["state", state] as const
const granted = ["code", code] as const
const startedAgo = (seconds: number) => makeTransaction({ startedAt: DateTime.subtract(now, { seconds }) })

/** RFC 6749 §4.1.2, RFC 9207 §2.4, RFC 9700 §4. */
export const callbacks: ReadonlyArray<Callback> = [
  callback("a code with the state is accepted", [granted, fits], "accepted"),
  callback("the order of the parameters does not matter", [fits, granted], "accepted"),
  callback("the right iss is accepted", [granted, fits, ["iss", issuer]], "accepted"),
  callback("unknown parameters are ignored", [granted, fits, ["session_state", "x.y"], ["new", "1"]], "accepted"),
  callback("a parameter without a value counts as absent", [granted, fits, ["error", ""]], "accepted"),
  callback("a sign-in may take 10 minutes", [granted, fits], "accepted", startedAgo(600)),
  callback("a clock that was set back does no harm", [granted, fits], "accepted", startedAgo(-30)),
  callback("a code of 4,096 characters is accepted", [["code", "c".repeat(4096)], fits], "accepted"),

  callback("state is needed", [granted], "UnknownState"),
  callback("state has a value", [granted, ["state", ""]], "UnknownState"),
  callback("state fits", [granted, ["state", "forged"]], "UnknownState"),
  callback("state fits in its case", [granted, ["state", state.toUpperCase()]], "UnknownState"),
  callback("state fits completely", [granted, ["state", state.slice(0, -1)]], "UnknownState"),
  callback("state has nothing more", [granted, ["state", `${state}x`]], "UnknownState"),
  callback("state fits in the last character", [granted, ["state", `${state.slice(0, -1)}!`]], "UnknownState"),
  callback("the state of another sign-in does not fit (mixed up)", [granted, ["state", nonce]], "UnknownState"),
  callback("only the parameter state counts", [["code", state]], "UnknownState"),
  callback("an error is not believed without the state", [["error", "access_denied"]], "UnknownState"),
  callback(
    "nothing is looked at before the state fits",
    [granted, granted, ["state", "forged"], ["iss", "https://evil.example"]],
    "UnknownState",
    startedAgo(9000)
  ),
  callback("an empty callback is of no sign-in", [], "UnknownState"),

  callback("code occurs once", [granted, granted, fits], "InvalidAnswer: repeats the parameter code"),
  callback("code occurs once, also with another value", [granted, ["code", "b"], fits], "InvalidAnswer: repeats"),
  callback("state occurs once", [granted, fits, fits], "InvalidAnswer: repeats the parameter state"),
  callback("state occurs once, also if one fits", [granted, ["state", "b"], fits], "InvalidAnswer: repeats"),
  callback(
    "iss occurs once",
    [granted, fits, ["iss", issuer], ["iss", "https://evil.example"]],
    "InvalidAnswer: repeats the parameter iss"
  ),
  callback("error occurs once", [fits, ["error", "a"], ["error", "b"]], "InvalidAnswer: repeats the parameter error"),
  callback("a repeated parameter without a value is repeated", [granted, ["code", ""], fits], "InvalidAnswer: repeats"),
  callback("an unknown parameter occurs once", [granted, fits, ["x", "1"], ["x", "2"]], "InvalidAnswer: a parameter"),

  callback("a sign-in ends after 10 minutes (replayed)", [granted, fits], "NoAnswer", startedAgo(601)),
  callback("a late error is late", [["error", "access_denied"], fits], "NoAnswer", startedAgo(86_400)),

  callback("iss is the issuer", [granted, fits, ["iss", "https://evil.example"]], "InvalidAnswer: iss is not"),
  callback("iss is the issuer to the letter", [granted, fits, ["iss", `${issuer}/`]], "InvalidAnswer: iss is not"),
  callback("iss is not empty", [granted, fits, ["iss", ""]], "InvalidAnswer: iss is not"),
  callback(
    "iss counts for errors too",
    [["error", "access_denied"], fits, ["iss", "https://evil.example"]],
    "InvalidAnswer: iss is not"
  ),
  callback(
    "the sign-in was started at this issuer (mixed up)",
    [granted, fits],
    "InvalidAnswer: at another issuer",
    makeTransaction({ issuer: "https://qa-ims.bentley.com" })
  ),

  callback("a token in the callback is refused", [granted, fits, ["access_token", "t"]], "InvalidAnswer: a token"),
  callback("an id token in the callback is refused", [granted, fits, ["id_token", "t"]], "InvalidAnswer: a token"),
  callback("a code or an error is needed", [fits], "InvalidAnswer: neither a code nor an error"),
  callback("a code without a value is absent", [["code", ""], fits], "InvalidAnswer: neither"),
  callback("there is a code or an error, not both", [granted, fits, ["error", "x"]], "InvalidAnswer: both"),
  callback("a code is no longer than 4,096 characters", [["code", "c".repeat(4097)], fits], "InvalidAnswer: 4096"),
  callback("a code is printable ASCII", [["code", "a\nb"], fits], "InvalidAnswer: forbidden character"),

  callback("a user may decline", [["error", "access_denied"], fits], "Denied"),
  callback("another error is a refusal", [["error", "invalid_scope"], fits], "Refused"),
  callback("the code of an error is exact", [["error", "Access_Denied"], fits], "Refused"),
  callback("a very long error is a refusal", [["error", "x".repeat(100_000)], fits], "Refused")
]

const base64url = (text: string) => Buffer.from(text, "utf8").toString("base64url")

export const goodHeader = { alg: "RS256", kid: "key-1", typ: "JWT" }
export const goodClaims = {
  iss: issuer,
  aud: clientId,
  sub: "fake-user-1",
  iat: seconds - 2,
  exp: seconds + 300,
  nonce,
  email: "ada@example.com",
  name: "Ada Lovelace",
  given_name: "Ada",
  family_name: "Lovelace"
}

export const jwtOf = (header: unknown, claims: unknown, signature = "ZmFrZS1zaWduYXR1cmU"): string =>
  [header, claims]
    .map((part) => base64url(typeof part === "string" ? part : JSON.stringify(part)))
    .concat(signature)
    .join(".")

export interface IdTokenRow {
  readonly rule: string
  readonly token: string
  /** "accepted", or what the detail says. */
  readonly outcome: string
  readonly transaction?: AuthorizationCode.Transaction
}

const claims = (rule: string, changed: Record<string, unknown>, outcome: string): IdTokenRow => ({
  rule,
  token: jwtOf(goodHeader, { ...goodClaims, ...changed }),
  outcome
})
const header = (rule: string, changed: Record<string, unknown>, outcome: string): IdTokenRow => ({
  rule,
  token: jwtOf({ ...goodHeader, ...changed }, goodClaims),
  outcome
})
const raw = (rule: string, token: string, outcome: string): IdTokenRow => ({ rule, token, outcome })

const good = jwtOf(goodHeader, goodClaims)
const { kid: _kid, nonce: _nonce, ...withoutNonce } = { ...goodClaims, kid: 0 }
const without = (name: keyof typeof goodClaims): Record<string, unknown> => ({ [name]: undefined })

/** OpenID Connect Core §3.1.3.7, RFC 8725. */
export const idTokens: ReadonlyArray<IdTokenRow> = [
  raw("a token of this sign-in is accepted", good, "accepted"),
  claims("a list with one audience is accepted", { aud: [clientId] }, "accepted"),
  claims("several audiences with azp are accepted", { aud: [clientId, "api"], azp: clientId }, "accepted"),
  claims("azp may be there with one audience", { azp: clientId }, "accepted"),
  claims("unknown claims are ignored", { org: { id: 1 }, amr: ["pwd"] }, "accepted"),
  claims("claims of a wrong type are left out", { email: 5, name: "x".repeat(1025), given_name: "" }, "accepted"),
  claims("clocks may differ by a minute at expiry", { exp: seconds - 59 }, "accepted"),
  claims("clocks may differ by a minute at issue", { iat: seconds + 60 }, "accepted"),
  claims("nbf in the past is accepted", { nbf: seconds + 60 }, "accepted"),
  header("elliptic curves are accepted", { alg: "ES256" }, "accepted"),
  header("a type is not needed", { typ: undefined }, "accepted"),

  claims("iss is the issuer (mixed up)", { iss: "https://evil.example" }, "another issuer"),
  claims("iss is the issuer to the letter", { iss: `${issuer}/` }, "another issuer"),
  claims("iss is needed", without("iss"), "another issuer"),
  claims("aud is this client (mixed up)", { aud: "web-Other" }, "another client"),
  claims("aud is needed", without("aud"), "another client"),
  claims("aud contains this client", { aud: ["web-Other"], azp: clientId }, "another client"),
  claims("aud is not a pattern", { aud: `${clientId} web-Other` }, "another client"),
  claims("several audiences need azp", { aud: [clientId, "web-Other"] }, "another client"),
  claims("azp is this client", { aud: [clientId, "web-Other"], azp: "web-Other" }, "another client"),
  claims("azp is this client, also with one audience", { azp: "web-Other" }, "another client"),
  claims("sub is needed", without("sub"), "does not name the user"),
  claims("sub is not empty", { sub: "" }, "does not name the user"),
  claims("sub is a text", { sub: 5 }, "does not name the user"),
  claims("sub has at most 255 characters", { sub: "s".repeat(256) }, "does not name the user"),
  claims("nonce is needed", without("nonce"), "another sign-in"),
  claims("nonce is that of this sign-in (replayed)", { nonce: state }, "another sign-in"),
  claims("nonce fits completely", { nonce: nonce.slice(0, -1) }, "another sign-in"),
  claims("nonce fits in the last character", { nonce: `${nonce.slice(0, -1)}!` }, "another sign-in"),
  claims("nonce is a text", { nonce: [nonce] }, "another sign-in"),
  claims("exp is needed", without("exp"), "no time of expiry"),
  claims("exp is a number", { exp: String(seconds + 300) }, "no time of expiry"),
  claims("exp is in the future", { exp: seconds - 60 }, "has expired"),
  claims("iat is needed", without("iat"), "no time of issue"),
  claims("iat is a number", { iat: true }, "no time of issue"),
  claims("iat is not in the future", { iat: seconds + 61 }, "issued in the future"),
  claims("nbf is not in the future", { nbf: seconds + 61 }, "not valid yet"),
  claims("nbf is a number", { nbf: "now" }, "not valid yet"),
  {
    rule: "a token that was not requested is not believed",
    token: jwtOf(goodHeader, withoutNonce),
    outcome: "was not requested",
    transaction: new AuthorizationCode.Transaction({
      state: Redacted.make(state),
      codeVerifier: Redacted.make(verifier),
      redirectUri: "https://app.example.com/sign-in/callback",
      clientId,
      scopes: Scopes.itwinPlatform,
      issuer,
      startedAt: now
    })
  },

  header("alg none is refused", { alg: "none" }, "signature algorithm"),
  header("alg None is refused", { alg: "None" }, "signature algorithm"),
  header("alg is needed", { alg: undefined }, "signature algorithm"),
  header("alg is not that of a shared secret", { alg: "HS256" }, "signature algorithm"),
  header("an unknown extension is refused", { crit: ["b64"] }, "requires an extension"),
  header("an access token is not an id token", { typ: "at+jwt" }, "type of another token"),
  raw("a signature is needed", jwtOf({ alg: "none" }, goodClaims, ""), "not a signed JWT"),
  raw("a token has three parts", good.split(".").slice(0, 2).join("."), "not a signed JWT"),
  raw("an encrypted token is refused", `${good}.a.b`, "not a signed JWT"),
  raw("the header is JSON", jwtOf("{", goodClaims), "not a signed JWT"),
  raw("the claims are JSON", jwtOf(goodHeader, "not json"), "not a signed JWT"),
  raw("the claims are an object", jwtOf(goodHeader, [goodClaims]), "not a signed JWT"),
  raw(
    "a claim occurs once",
    jwtOf(goodHeader, `{"sub":"fake-user-2",${JSON.stringify(goodClaims).slice(1)}`),
    "not a signed JWT"
  ),
  raw(
    "a claim occurs once, however it is written",
    jwtOf(goodHeader, `{"s\\u0075b":"fake-user-2",${JSON.stringify(goodClaims).slice(1)}`),
    "not a signed JWT"
  ),
  raw("a name in the header occurs once", jwtOf(`{"alg":"none","alg":"RS256"}`, goodClaims), "not a signed JWT"),
  raw("base64 is that of URLs", good.replace(".", "+."), "not a signed JWT"),
  raw("base64url has one form", good.replace(".", "=."), "not a signed JWT"),
  raw("a token has at most 32 KiB", jwtOf(goodHeader, { ...goodClaims, x: "x".repeat(33_000) }), "longer than"),
  raw("an empty text is not a token", "", "not a signed JWT")
]
