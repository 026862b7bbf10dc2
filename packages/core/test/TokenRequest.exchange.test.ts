// Codes, refresh tokens and public clients. What all grants share is in TokenRequest.test.ts.
import { assert, describe, it } from "@effect/vitest"
import { ClientCredentials, Environment, RetryPolicy, Scopes, TokenRequest } from "@effect-itwin/core"
import { DateTime, Effect, Exit, Fiber, Redacted, Result, Schema } from "effect"
import { Headers, type HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { credentials, json, type Step, scripted, tokenAnswer, transportError } from "./support.ts"

const endpoint = Environment.production.tokenEndpoint
const scopes = Scopes.make("openid offline_access itwin-platform")
const native = new ClientCredentials.PublicClient({ clientId: "native-Ab12" })

const code = "fake-secret-code-a+b/c= Xk2"
const verifier = "fake-secret-verifier-a+b/c= Ym3"
const refreshToken = "fake-secret-refresh-a+b/c= Zn4"

const grants = {
  ClientCredentials: { _tag: "ClientCredentials" },
  AuthorizationCode: {
    _tag: "AuthorizationCode",
    code: Redacted.make(code),
    redirectUri: "https://app.example.com/callback?a=b&c",
    codeVerifier: Redacted.make(verifier)
  },
  RefreshToken: { _tag: "RefreshToken", refreshToken: Redacted.make(refreshToken) }
} as const satisfies Record<TokenRequest.Grant["_tag"], TokenRequest.Grant>

const form = (request: HttpClientRequest.HttpClientRequest | undefined) =>
  request?.body._tag === "Uint8Array"
    ? Object.fromEntries(new URLSearchParams(new TextDecoder().decode(request.body.body)))
    : {}

const codeForm = {
  grant_type: "authorization_code",
  code,
  redirect_uri: "https://app.example.com/callback?a=b&c",
  code_verifier: verifier
}
const refreshForm = { grant_type: "refresh_token", refresh_token: refreshToken }
const secretForm = { client_id: "service-Ab12", client_secret: Redacted.value(credentials.clientSecret) }

describe("TokenRequest.encode", () => {
  it.each([
    ["a code with a secret", credentials, grants.AuthorizationCode, { ...codeForm, ...secretForm }],
    ["a code without a secret", native, grants.AuthorizationCode, { ...codeForm, client_id: "native-Ab12" }],
    ["a refresh token with a secret", credentials, grants.RefreshToken, { ...refreshForm, ...secretForm }],
    ["a refresh token without a secret", native, grants.RefreshToken, { ...refreshForm, client_id: "native-Ab12" }]
  ] as const)("sends %s, and no scope", (_name, credentials, grant, expected) => {
    const request = TokenRequest.encode({ credentials, scopes, grant, endpoint, correlationId: "id" })
    assert.deepStrictEqual(form(request), expected)
    assert.isUndefined(request.headers.authorization)
    assert.notInclude(JSON.stringify(request), "fake-secret")
  })

  it("sends the same request for the client credentials grant and for no grant", () => {
    const options = { credentials, scopes, endpoint, correlationId: "id" }
    assert.deepStrictEqual(
      form(TokenRequest.encode({ ...options, grant: grants.ClientCredentials })),
      form(TokenRequest.encode(options))
    )
  })

  it("uses Basic authentication for a client with a secret only", () => {
    const options = { scopes, endpoint, correlationId: "id", authentication: "client_secret_basic" } as const
    const basic = TokenRequest.encode({ ...options, credentials, grant: grants.RefreshToken })
    assert.deepStrictEqual(form(basic), refreshForm)
    assert.match(basic.headers.authorization ?? "", /^Basic /)
    const open = TokenRequest.encode({ ...options, credentials: native, grant: grants.RefreshToken })
    assert.deepStrictEqual(form(open), { ...refreshForm, client_id: "native-Ab12" })
    assert.isUndefined(open.headers.authorization)
  })
})

const sentAt = DateTime.makeUnsafe("2026-01-01T00:00:00Z")

const decode = (
  grant: TokenRequest.Grant,
  body: object,
  options: { readonly status?: number; readonly credentials?: TokenRequest.Exchange["credentials"] } = {}
) =>
  TokenRequest.decodeGranted(
    { status: options.status ?? 200, headers: Headers.empty, body: JSON.stringify(body) },
    {
      credentials: options.credentials ?? credentials,
      scopes,
      grant,
      endpoint,
      correlationId: "id",
      sentAt,
      receivedAt: sentAt
    }
  )

const access = { access_token: "fake.token", token_type: "Bearer", expires_in: 3600 }
const idToken = "eyJh.eyJp.c2ln"

const failureOf = (result: ReturnType<typeof decode>) => Result.getOrThrow(Result.flip(result))

describe("TokenRequest.decodeGranted", () => {
  it("returns the three tokens of a user", () => {
    for (const grant of [grants.AuthorizationCode, grants.RefreshToken]) {
      const granted = Result.getOrThrow(decode(grant, { ...access, refresh_token: "fake r~!", id_token: idToken }))
      assert.strictEqual(Redacted.value(granted.accessToken.value), "fake.token")
      assert.strictEqual(granted.accessToken.scopes, scopes)
      assert.strictEqual(granted.refreshToken && Redacted.value(granted.refreshToken), "fake r~!")
      assert.strictEqual(granted.idToken && Redacted.value(granted.idToken), idToken)
    }
  })

  it.each([{}, { refresh_token: null, id_token: null }])("returns only the access token when %j is added", (added) => {
    const { idToken, refreshToken } = Result.getOrThrow(decode(grants.AuthorizationCode, { ...access, ...added }))
    assert.isUndefined(refreshToken)
    assert.isUndefined(idToken)
  })

  it.each([
    { refresh_token: "fake-refresh", id_token: idToken },
    { refresh_token: 5, id_token: {} },
    { refresh_token: "", id_token: "not a token" }
  ])("ignores %j when the grant is that of the app itself", (added) => {
    const { idToken, refreshToken } = Result.getOrThrow(decode(grants.ClientCredentials, { ...access, ...added }))
    assert.isUndefined(refreshToken)
    assert.isUndefined(idToken)
  })

  it.each([
    ["a refresh token that is a number", { refresh_token: 5 }, "refresh_token is not a text"],
    ["an empty refresh token", { refresh_token: "" }, "refresh_token is not a text"],
    ["a refresh token with a line break", { refresh_token: "a\nb" }, "refresh_token is not a text"],
    ["a refresh token that is too long", { refresh_token: "x".repeat(32 * 1024 + 1) }, "at most 32768 characters"],
    ["an id token that is an object", { id_token: {} }, "id_token is not a signed JWT"],
    ["an id token with two parts", { id_token: "a.b" }, "id_token is not a signed JWT"],
    ["an encrypted id token", { id_token: "a.b.c.d.e" }, "id_token is not a signed JWT"],
    ["an id token that is too long", { id_token: `a.${"b".repeat(32 * 1024)}.c` }, "at most 32768 characters"]
  ])("rejects %s and says why", (_name, added, detail) => {
    const { reason } = failureOf(decode(grants.RefreshToken, { ...access, ...added }))
    assert.strictEqual(reason._tag, "InvalidResponse")
    assert.include(reason._tag === "InvalidResponse" ? reason.detail : "", detail)
  })

  it.each([
    ["the code", grants.AuthorizationCode, "fake-code-0123"],
    ["the code verifier", grants.AuthorizationCode, "fake-verifier-0123"],
    ["the refresh token", grants.RefreshToken, "fake-refresh-0123"],
    ["the client secret", grants.RefreshToken, "fake-client-0123"]
  ] as const)("rejects an access token that is %s", (name, grant, value) => {
    const secret = Redacted.make(value)
    const same = {
      ...grant,
      ...(name === "the code" ? { code: secret } : {}),
      ...(name === "the code verifier" ? { codeVerifier: secret } : {}),
      ...(name === "the refresh token" ? { refreshToken: secret } : {})
    }
    const app = new ClientCredentials.ClientCredentials({
      clientId: "web-Ab12",
      clientSecret: name === "the client secret" ? secret : credentials.clientSecret
    })
    const error = failureOf(decode(same, { ...access, access_token: value }, { credentials: app }))
    assert.deepInclude(error.reason, { detail: `access_token is ${name}` })
  })

  it.each([
    ["ClientCredentials", "client credentials"],
    ["AuthorizationCode", "authorization code"],
    ["RefreshToken", "refresh token"]
  ] as const)("names the grant %s that the app may not use", (tag, name) => {
    for (const error of ["unauthorized_client", "unsupported_grant_type"]) {
      assert.include(failureOf(decode(grants[tag], { error }, { status: 400 })).message, `the ${name} grant`)
    }
  })

  // Each secret ends with a word of its own, which would be shown otherwise.
  it.each([
    ["the code", "lanterns", false],
    ["the code verifier", "umbrella", false],
    ["the refresh token", "mountain", false],
    ["the client secret", "sandwich", false],
    ["a new refresh token", "elephant", false],
    ["a new id token", "porridge", false],
    ["a new access token", "keyboard", false],
    ["nothing", "airplane", true]
  ])("shows server text only if it does not repeat a secret: %s", (_name, word, isShown) => {
    const app = new ClientCredentials.ClientCredentials({
      clientId: "web-Ab12",
      clientSecret: Redacted.make("fake-secret-a+b/c=sandwich")
    })
    const body = {
      error: "invalid_grant",
      error_description: `About ${word}`,
      refresh_token: "fake-secret-a+b/c=elephant",
      id_token: "a.b.porridge",
      access_token: "fake-secret-a+b/c=keyboard"
    }
    const sent = [
      {
        ...grants.AuthorizationCode,
        code: Redacted.make("fake-secret-a+b/c=lanterns"),
        codeVerifier: Redacted.make("fake-secret-a+b/c=umbrella")
      },
      { ...grants.RefreshToken, refreshToken: Redacted.make("fake-secret-a+b/c=mountain") }
    ]
    const descriptions = sent.map((grant) => {
      const { reason } = failureOf(decode(grant, body, { status: 400, credentials: app }))
      return reason._tag === "InvalidGrant" ? reason.description : "another reason"
    })
    const ofOneGrant = ["lanterns", "umbrella", "mountain"].includes(word)
    assert.strictEqual(descriptions.filter((text) => text !== undefined).length, isShown ? 2 : ofOneGrant ? 1 : 0)
  })

  it.prop("never throws, whatever the tokens are", [Schema.Unknown, Schema.Unknown], ([refresh_token, id_token]) => {
    const body = Result.try(() => JSON.stringify({ ...access, refresh_token, id_token }))
    if (Result.isFailure(body)) return
    const result = decode(grants.RefreshToken, JSON.parse(body.success))
    if (Result.isFailure(result)) assert.strictEqual(result.failure.reason._tag, "InvalidResponse")
  })
})

const status =
  (status: number, headers: Record<string, string> = {}): Step =>
  () =>
    Response.json({}, { status, headers })

const failures: ReadonlyArray<readonly [name: string, step: Step, refresh: number, code: number]> = [
  ["the name is not resolved for now", transportError("EAI_AGAIN"), 3, 3],
  ["the host is unknown", transportError("ENOTFOUND"), 1, 1],
  ["the connection is refused", transportError("ECONNREFUSED"), 3, 3],
  ["the rate is limited", status(429), 3, 3],
  ["the rate is limited for longer than the policy waits", status(429, { "retry-after": "3600" }), 1, 1],
  ["the connection is closed", transportError("ECONNRESET"), 3, 1],
  ["the transport fails in an unknown way", transportError("UND_ERR_OTHER"), 3, 1],
  ["IMS fails", status(500), 3, 1],
  ["IMS is in maintenance", status(503, { "retry-after": "1" }), 3, 1],
  ["the request times out at IMS", status(408), 3, 1],
  ["the response does not arrive", () => Effect.never, 3, 1],
  ["IMS rejects the grant", json({ error: "invalid_grant" }, { status: 400 }), 1, 1]
]

describe("TokenRequest.exchange", () => {
  const run = Effect.fnUntraced(function* (grant: TokenRequest.Grant, ...steps: ReadonlyArray<Step>) {
    const script = scripted(...steps)
    const fiber = yield* TokenRequest.exchange({ credentials: native, scopes, grant }).pipe(
      Effect.provide([script.layer, RetryPolicy.layer(RetryPolicy.make({}))]),
      Effect.forkChild
    )
    yield* TestClock.adjust("1 minute")
    return { exit: yield* Fiber.await(fiber), requests: script.requests }
  })

  it.effect.each(failures)("sends a code only again when IMS can't have seen it: %s", ([, step, refresh, code]) =>
    Effect.gen(function* () {
      const count = Effect.fnUntraced(function* (grant: TokenRequest.Grant) {
        const { exit, requests } = yield* run(grant, step)
        assert.isTrue(Exit.isFailure(exit))
        return requests.length
      })
      assert.strictEqual(yield* count(grants.AuthorizationCode), code)
      assert.strictEqual(yield* count(grants.RefreshToken), refresh)
    })
  )

  it.effect("does not send a code again after a second attempt that may have arrived", () =>
    Effect.gen(function* () {
      const { requests } = yield* run(grants.AuthorizationCode, transportError("ECONNREFUSED"), status(500))
      assert.strictEqual(requests.length, 2)
    })
  )

  it.effect("returns the tokens, and sends the same form in each attempt", () =>
    Effect.gen(function* () {
      const { exit, requests } = yield* run(
        grants.AuthorizationCode,
        transportError("ECONNREFUSED"),
        tokenAnswer({ refresh_token: "fake-refresh", id_token: idToken })
      )
      const granted = yield* exit
      assert.strictEqual(granted.accessToken.clientId, "native-Ab12")
      assert.strictEqual(granted.refreshToken && Redacted.value(granted.refreshToken), "fake-refresh")
      assert.deepStrictEqual(form(requests[1]), form(requests[0]))
      assert.deepStrictEqual(form(requests[0]), { ...codeForm, client_id: "native-Ab12" })
    })
  )
})
