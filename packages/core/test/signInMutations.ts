// Mutations of the sign-in of users, for scripts/mutations.ts. Their "rule" is 13: the code flow.
import { mutationOf, type Row } from "./mutationRow.ts"

const callback = "internal/users/callback.ts"
const idToken = "internal/users/idToken.ts"
const flow = "AuthorizationCode.ts"
const same = "internal/users/sameText.ts"
const request = "TokenRequest.ts"
const grant = "internal/request/grant.ts"
const client = "internal/request/client.ts"
const tokens = "internal/request/userTokens.ts"

const table = "AuthorizationCode"
const redeem = "AuthorizationCode.redeem"
const exchange = "TokenRequest.exchange"

const mutation = mutationOf(13)

const callbackRows: ReadonlyArray<Row> = [
  mutation("does not compare the state", callback, 'name === "state" && isSameText(value, state)', "true", table),
  mutation(
    "accepts a callback without a state",
    callback,
    "if (!parameters.some(",
    "if (parameters.length > 0 && !parameters.some(",
    table
  ),
  mutation("compares the state with any parameter", callback, 'name === "state" && isSameText', "isSameText", table),
  mutation("compares only the length of a text", same, "return difference === 0", "return true", table),
  mutation("compares a beginning", same, "if (self.length !== that.length) return false", "", table),
  mutation("accepts repeated parameters", callback, "if (values.has(name)) {", "if (name === undefined) {", table),
  mutation(
    "accepts a sign-in at any time",
    callback,
    "Duration.isGreaterThan(DateTime.distance(transaction.startedAt, now), timeLimit)",
    "timeLimit === undefined",
    table
  ),
  mutation("accepts a sign-in for an hour", callback, "Duration.minutes(10)", "Duration.minutes(60)", table),
  mutation(
    "ends a sign-in at its last moment",
    callback,
    "Duration.isGreaterThan(DateTime",
    "Duration.isGreaterThanOrEqualTo(DateTime",
    table
  ),
  mutation(
    "accepts a sign-in of another issuer",
    callback,
    "if (transaction.issuer !== issuer)",
    "if (issuer === undefined)",
    table,
    redeem
  ),
  mutation(
    "ignores iss",
    callback,
    "iss !== undefined && iss !== issuer",
    "iss === undefined && issuer === undefined",
    table
  ),
  mutation(
    "accepts an empty iss",
    callback,
    "iss !== undefined && iss !== issuer",
    'iss !== undefined && iss !== "" && iss !== issuer',
    table
  ),
  mutation(
    "accepts the beginning of an issuer",
    callback,
    "iss !== undefined && iss !== issuer",
    "iss !== undefined && !iss.startsWith(issuer)",
    table
  ),
  mutation(
    "ignores tokens in the callback",
    callback,
    "tokens.some((name) => values.has(name))",
    "tokens.length === 0",
    table
  ),
  mutation(
    "prefers a code to an error",
    callback,
    'if (code !== "" && error !== "") return',
    'if (error === "?") return',
    table
  ),
  mutation(
    "ignores errors",
    callback,
    'if (error !== "") return Result.fail(refusal',
    'if (error === "?") return Result.fail(refusal',
    table
  ),
  mutation("accepts a callback without a code", callback, 'if (code === "") return', 'if (code === "?") return', table),
  mutation("accepts a code of any length", callback, "code.length <= maxCodeLength && ", "", table),
  mutation("accepts a code of any characters", callback, "&& /^[\\x20-\\x7E]+$/.test(code)", "", table),
  mutation(
    "takes every error for a refusal by the user",
    callback,
    'return code === "access_denied"',
    'return code !== ""',
    table
  ),
  mutation(
    "takes a refusal by the user for an error",
    callback,
    'return code === "access_denied"',
    'return code === ""',
    table
  ),
  mutation("shows the code of an error as it is", callback, "code: serverText.showCode(code)", "code", table),
  mutation("shows a description as it is", callback, "serverText.show(description)", "description", table)
]

const idTokenRows: ReadonlyArray<Row> = [
  mutation("accepts any algorithm", idToken, "!Predicate.isString(alg) || !algorithm.test(alg)", "alg === 0", table),
  mutation("accepts algorithms of shared secrets", idToken, "[RPE]S", "[RPEH]S", table),
  mutation("ignores crit", idToken, "if (crit !== undefined)", "if (crit === 0)", table),
  mutation("accepts every type", idToken, "return typ === undefined || (", "return true || (", table),
  mutation(
    "accepts a token without a signature",
    idToken,
    "\\.[\\w-]+$/.exec(token)",
    "\\.[\\w-]*$/.exec(token)",
    table
  ),
  mutation("accepts a token of five parts", idToken, "\\.[\\w-]+$/.exec(token)", "\\.[\\w-]+/.exec(token)", table),
  mutation("accepts a token of any length", idToken, "if (token.length > maxLength)", "if (token.length < 0)", table),
  mutation("accepts any issuer", idToken, "if (claims.iss !== issuer)", "if (issuer === undefined)", table),
  mutation("accepts any audience", idToken, "audiences.includes(clientId) &&", "", table),
  mutation("accepts several audiences without azp", idToken, "? audiences.length === 1 :", "? true :", table),
  mutation("accepts any azp", idToken, ": azp === clientId)", ": true)", table),
  mutation(
    "accepts any subject",
    idToken,
    '!Predicate.isString(sub) || sub === "" || sub.length > maxSubjectLength',
    "false",
    table
  ),
  mutation("accepts an empty subject", idToken, 'sub === "" ||', "", table),
  mutation("accepts a long subject", idToken, " || sub.length > maxSubjectLength", "", table),
  mutation(
    "accepts a token that was not requested",
    idToken,
    'if (nonce === undefined) return "was not requested"',
    "if (nonce === undefined) return problemOfTimes(claims, now)",
    table
  ),
  mutation(
    "ignores the nonce",
    idToken,
    "!Predicate.isString(claims.nonce) || !isSameText(claims.nonce, Redacted.value(nonce))",
    "nonce === undefined",
    table,
    redeem
  ),
  mutation("ignores the times", idToken, "return problemOfTimes(claims, now)\n", "return undefined\n", table),
  mutation("accepts an expired token", idToken, "if (exp + skew <= now)", "if (exp < 0)", table),
  mutation("allows clocks to differ by an hour", idToken, "const skew = 60\n", "const skew = 3600\n", table),
  mutation("allows clocks to differ by nothing", idToken, "const skew = 60\n", "const skew = 0\n", table),
  mutation(
    "needs no time of expiry",
    idToken,
    "if (!isTime(exp)) return",
    "if (!isTime(exp)) return undefined; if (exp < 0) return",
    table
  ),
  mutation(
    "needs no time of issue",
    idToken,
    "if (!isTime(iat)) return",
    "if (!isTime(iat)) return undefined; if (iat < 0) return",
    table
  ),
  mutation("accepts a token of the future", idToken, "if (iat - skew > now)", "if (iat < 0)", table),
  mutation("ignores nbf", idToken, "return nbf === undefined || (", "return true || (", table),
  mutation("accepts repeated claims", "internal/strictJson.ts", "&& !hasRepeatedNames(json, parsed)", "", table),
  mutation(
    "shows claims of any type and length",
    flow,
    'typeof value === "string" && value !== "" && value.length <= maxClaimLength ? value : undefined',
    "value === undefined ? value : String(value)",
    table
  )
]

const flowRows: ReadonlyArray<Row> = [
  mutation(
    "sends the verifier as the challenge",
    flow,
    "code_challenge: Base64Url.encode(new Uint8Array(digest))",
    "code_challenge: codeVerifier",
    table
  ),
  mutation(
    "says that the challenge is plain",
    flow,
    'code_challenge_method: "S256"',
    'code_challenge_method: "plain"',
    table
  ),
  mutation("uses 128 bits", flow, "new Uint8Array(32)", "new Uint8Array(16)", table),
  mutation("uses the state as nonce", flow, "nonce: Redacted.make(nonce)", "nonce: Redacted.make(state)", table),
  mutation("sends no nonce", flow, "    nonce,\n    code_challenge", "    code_challenge", table),
  mutation(
    "always sends a nonce",
    flow,
    'Scopes.tokens(scopes).includes("openid") ? random(crypto) : undefined',
    "random(crypto)",
    table
  ),
  mutation("accepts any redirect URI", flow, "  checkRedirectUri(redirectUri)\n", "", table),
  mutation(
    "redeems the code of another client",
    flow,
    "if (credentials.clientId !== transaction.clientId)",
    "if (credentials.clientId === undefined)",
    redeem
  ),
  mutation("needs no id token", flow, 'Scopes.tokens(accessToken.scopes).includes("openid")', "false", redeem),
  mutation(
    "needs an id token that was not granted",
    flow,
    'Scopes.tokens(accessToken.scopes).includes("openid")',
    "true",
    redeem
  ),
  mutation(
    "believes an id token that was not requested",
    flow,
    "if (nonce === undefined) return { accessToken, refreshToken }",
    "if (nonce === undefined) return { accessToken, refreshToken, idToken }",
    redeem
  ),
  mutation(
    "returns an id token that is not checked",
    flow,
    "yield* Effect.fromResult(decodeIdToken(idToken, { transaction, issuer, now: yield* DateTime.now }))",
    "undefined",
    redeem
  ),
  mutation(
    "takes every status for a revocation",
    "internal/users/revoke.ts",
    "if (status === 200) return",
    "if (status > 0) return",
    redeem
  )
]

const grantRows: ReadonlyArray<Row> = [
  mutation(
    "sends a code again whenever the failure may pass",
    request,
    'options.grant._tag !== "AuthorizationCode" || isUnprocessed(error)',
    "true",
    exchange
  ),
  mutation(
    "sends a refresh token once",
    request,
    'options.grant._tag !== "AuthorizationCode" || isUnprocessed(error)',
    "isUnprocessed(error)",
    exchange
  ),
  mutation(
    "takes a closed connection for one that was refused",
    request,
    'reason.kind === "refused"',
    'reason.kind !== "tls"',
    exchange
  ),
  mutation("never sends a code again after 429", request, 'reason._tag === "RateLimited" ||', "", exchange),
  mutation(
    "ignores whether a request may be repeated",
    "internal/request/attempts.ts",
    " && request.mayRepeat(input)",
    "",
    exchange
  ),
  mutation("sends no verifier", grant, ",\n        code_verifier: grant.codeVerifier", "", exchange, redeem),
  mutation("sends no redirect URI", grant, "        redirect_uri: grant.redirectUri,\n", "", exchange, redeem),
  mutation(
    "does not look for codes and refresh tokens in server text",
    client,
    "Redacted.isRedacted(value) ? [[name, Redacted.value(value)] as const] : []",
    "name === value ? [[name, value] as const] : []",
    exchange
  ),
  mutation(
    "does not look for the client secret in server text",
    "internal/request/client.ts",
    '["client_secret", Redacted.value(credentials.clientSecret)],',
    "",
    exchange
  ),
  mutation(
    "does not look for new refresh tokens in server text",
    "internal/request/decode.ts",
    "[json.access_token, json.refresh_token, json.id_token]",
    "[json.access_token]",
    exchange
  ),
  mutation(
    "takes the refresh token of an app without users",
    tokens,
    'context.form.grant_type === "client_credentials"',
    "false",
    exchange
  ),
  mutation("accepts a refresh token of any characters", tokens, "/^[\\x20-\\x7E]+$/", "/^/", exchange),
  mutation("accepts an id token of any form", tokens, "/^[\\w-]+\\.[\\w-]+\\.[\\w-]*$/", "/^/", exchange),
  mutation("accepts tokens of any length", tokens, "value.length <= maxLength && ", "", exchange)
]

export const signInRows: ReadonlyArray<Row> = [...callbackRows, ...idTokenRows, ...flowRows, ...grantRows]
