// The canary of a sign-in: state, nonce, verifier, code and all tokens have known values, every failure is caused, and
// every string that a user could print is searched for them.
import { assert, describe, it } from "@effect/vitest"
import {
  AuthorizationCode,
  ClientCredentials,
  Environment,
  RetryPolicy,
  Scopes,
  SignInError,
  TokenError,
  TokenRequest
} from "@effect-itwin/core"
import { Cause, DateTime, Effect, Exit, Layer, Redacted, Result, Schema } from "effect"
import { HttpClient, type HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { observe, strings } from "./canary.ts"
import {
  clientId,
  code,
  goodClaims,
  goodHeader,
  issuer,
  jwtOf,
  makeTransaction,
  nonce,
  now,
  state,
  transaction,
  verifier
} from "./signInAnswers.ts"
import { type Step, scripted, transportError } from "./support.ts"

const secret = "fake-secret-client-a+b/c=Gy7"
const access = "fake.token-canary_0123456789abcdef"
const refreshToken = "fake-secret-refresh-a+b/c=Hz8"
const newRefreshToken = "fake-secret-renewed-a+b/c=Ja9"
const idToken = jwtOf(goodHeader, goodClaims)

const forms = (value: string) => [
  value,
  encodeURIComponent(value),
  new URLSearchParams({ v: value }).toString().slice(2),
  btoa(value).replace(/=+$/, "")
]
const sentSecrets = [secret, code, verifier, refreshToken]
const allSecrets = [...sentSecrets, state, nonce, access, newRefreshToken, idToken]
const needles = [...allSecrets.flatMap(forms), idToken.split(".")[1] ?? ""]

const search = (thing: unknown, where: string) => {
  for (const text of strings(thing)) {
    for (const needle of needles)
      assert.isFalse(text.includes(needle), `${where} shows ${needle} in ${text.slice(0, 300)}`)
  }
}

const web = new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make(secret) })
const native = new ClientCredentials.PublicClient({ clientId })

const redeem = (fields: Record<string, string> = { code }, given = transaction) =>
  AuthorizationCode.redeem(new URLSearchParams({ state, ...fields }), given, web)

const refresh = TokenRequest.exchange({
  credentials: native,
  scopes: Scopes.itwinPlatform,
  grant: { _tag: "RefreshToken", refreshToken: Redacted.make(refreshToken) }
})

const revoke = AuthorizationCode.revoke(Environment.production, web, Redacted.make(refreshToken), "refresh_token")

const granted = { access_token: access, token_type: "Bearer", refresh_token: newRefreshToken, id_token: idToken }

const answer =
  (status: number, body: object): Step =>
  () =>
    Response.json(body, { status, headers: { "x-correlation-id": code.replace(/\W/g, "") } })

const echo = { error: `invalid ${code}`, error_description: allSecrets.flatMap(forms).join(" "), ...granted }

const steps: ReadonlyArray<readonly [string, Step]> = [
  ...[200, 302, 400, 401, 429, 500].map((status) => [`an echo with ${status}`, answer(status, echo)] as const),
  ["a bad refresh token", answer(200, { ...granted, refresh_token: `${newRefreshToken}\n` })],
  ["a bad id token", answer(200, { ...granted, id_token: `${idToken}.${idToken}` })],
  ["an access token that is the code", answer(200, { ...granted, access_token: code })],
  ["a body that is cut", () => new Response(JSON.stringify(granted).slice(0, -5))],
  ["a lost connection", transportError("ECONNRESET")]
]

const dying = HttpClient.make((request) => Effect.die(brokenBy(request)))

const brokenBy = (request: HttpClientRequest.HttpClientRequest) =>
  Object.assign(new TypeError(`cannot send ${code} ${verifier}`), {
    request,
    body: request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
  })

const observed = <A, E>(effect: Effect.Effect<A, E, HttpClient.HttpClient>, client: HttpClient.HttpClient) =>
  TestClock.setTime(DateTime.toEpochMillis(now)).pipe(
    Effect.andThen(
      observe(
        Effect.provide(effect, [Layer.succeed(HttpClient.HttpClient, client), RetryPolicy.layer(RetryPolicy.none)])
      )
    )
  )

const searchAll = <A, E>({ exit, exported, seen }: Effect.Success<ReturnType<typeof observe<A, E>>>, name: string) => {
  search(exit, name)
  for (const thing of seen) search(thing, `${name}, logs and spans`)
  for (const [signal, text] of Object.entries(exported)) search(text, `${name}, exported ${signal}`)
  assert.include(exported.traces, '"caller"')
  if (Exit.isFailure(exit)) {
    assert.include(exported.logs, "failed")
    const error: unknown = Cause.squash(exit.cause)
    search(error, `${name}, the error`)
    if (TokenError.isTokenError(error)) {
      search(Schema.encodeSync(Schema.toCodecJson(TokenError.TokenError))(error), `${name}, encoded`)
      search(Schema.encodeSync(TokenError.TokenError)(error), `${name}, encoded`)
    }
    if (SignInError.isSignInError(error)) {
      search(Schema.encodeSync(Schema.toCodecJson(SignInError.SignInError))(error), `${name}, encoded`)
      search(Schema.encodeSync(SignInError.SignInError)(error), `${name}, encoded`)
    }
  }
}

describe("the canary of a sign-in", () => {
  it.effect.each<readonly [string, HttpClient.HttpClient]>([
    ...steps.map(([name, step]) => [name, scripted(step).client] as const),
    ["a client that dies", dying]
  ])("shows nothing when the token endpoint returns %s", ([name, client]) =>
    Effect.gen(function* () {
      for (const request of [Effect.asVoid(redeem()), Effect.asVoid(refresh)]) {
        const outcome = yield* observed(request, client)
        assert.isTrue(Exit.isFailure(outcome.exit))
        searchAll(outcome, name)
      }
    })
  )

  it.effect.each<readonly [string, HttpClient.HttpClient]>([
    ...[302, 400, 500].map((status) => [`an echo with ${status}`, scripted(answer(status, echo)).client] as const),
    ["a lost connection", scripted(transportError("ECONNRESET")).client],
    ["a client that dies", dying]
  ])("shows nothing when the revocation endpoint returns %s", ([name, client]) =>
    Effect.gen(function* () {
      const outcome = yield* observed(revoke, client)
      assert.isTrue(Exit.isFailure(outcome.exit))
      searchAll(outcome, name)
    })
  )

  it.effect.each<readonly [string, Record<string, string>]>([
    ["an error that is a secret", { error: code, error_description: allSecrets.flatMap(forms).join(" ") }],
    ["a refusal that repeats secrets", { error: "access_denied", error_description: `${state} ${verifier} ${nonce}` }],
    ["a bad code", { code: `${code}\n` }],
    ["a code and an error", { code, error: code }],
    ["another state", { code, state: code }],
    ["another issuer", { code, iss: code }],
    ["a token", { code, access_token: access }],
    ["a name that is a secret", { code, [code]: code }]
  ])("shows nothing of a callback with %s", ([name, fields]) =>
    Effect.gen(function* () {
      const bad = jwtOf(goodHeader, { ...goodClaims, nonce: code })
      const client = scripted(answer(200, { ...granted, id_token: bad })).client
      const outcome = yield* observed(redeem(fields), client)
      assert.isTrue(Exit.isFailure(outcome.exit))
      searchAll(outcome, name)
    })
  )

  it.effect("shows nothing when the sign-in succeeds", () =>
    Effect.gen(function* () {
      const outcome = yield* observed(redeem(), scripted(answer(200, granted)).client)
      assert.isTrue(Exit.isSuccess(outcome.exit))
      searchAll(outcome, "a sign-in")
      searchAll(yield* observed(refresh, scripted(answer(200, granted)).client), "a renewal")
      searchAll(yield* observed(revoke, scripted(answer(200, {})).client), "a revocation")
    })
  )

  it.effect("shows nothing of what a sign-in starts with", () =>
    Effect.gen(function* () {
      const started = yield* observed(
        AuthorizationCode.start({
          clientId,
          redirectUri: transaction.redirectUri,
          scopes: Scopes.make("openid itwin-platform")
        }),
        dying
      )
      const { transaction: fresh, url } = yield* started.exit
      const values = [fresh.state, fresh.codeVerifier, fresh.nonce ?? fresh.state].map(Redacted.value)
      for (const thing of [started.exit, ...started.seen, ...Object.values(started.exported), fresh, url]) {
        for (const text of strings(thing)) for (const value of values) assert.notInclude(text, value)
      }
      search(transaction, "a transaction")
      search(makeTransaction({ startedAt: now }), "a transaction")
      const end = { clientId, idToken: Redacted.make(idToken), state }
      search(AuthorizationCode.endSessionUrl(Environment.production, end), "the URL of a sign-out")
    })
  )

  it("shows nothing when a transaction can't be decoded", () => {
    const encoded = Schema.encodeSync(AuthorizationCode.Transaction)(transaction)
    for (const wrong of [
      { ...encoded, state: [state] },
      { ...encoded, codeVerifier: { verifier } },
      { ...encoded, nonce: "", startedAt: "now" },
      { ...encoded, clientId: "" },
      code
    ]) {
      const result = Schema.decodeUnknownResult(AuthorizationCode.Transaction)(wrong)
      assert.isTrue(Result.isFailure(result))
      search(result, "a failed decoding")
    }
  })

  it("shows nothing of a grant", () => {
    const grant = { code: Redacted.make(code), codeVerifier: Redacted.make(verifier) }
    search(grant, "a grant")
    const decoded = AuthorizationCode.decode(new URLSearchParams({ code, state }), transaction, issuer, now)
    search(decoded, "a decoded callback")
  })

  it("finds a secret that is shown, when one is planted", () => {
    assert.throws(() => search(new Error(`has ${verifier}`), "it"), /it shows/)
  })
})
