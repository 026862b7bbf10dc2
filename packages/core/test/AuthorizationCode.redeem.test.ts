// From the callback to the tokens, and the revocation of tokens.
import { assert, describe, it } from "@effect/vitest"
import {
  AuthorizationCode,
  ClientCredentials,
  Environment,
  RetryPolicy,
  Scopes,
  TokenRequest
} from "@effect-itwin/core"
import { Effect, Fiber, Redacted } from "effect"
import type { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import {
  clientId,
  code,
  goodClaims,
  goodHeader,
  jwtOf,
  makeTransaction,
  now,
  state,
  verifier
} from "./signInAnswers.ts"
import { json, type Step, scripted, tokenAnswer, transportError } from "./support.ts"

const web = new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make("fake-secret-x+y/z=") })
const native = new ClientCredentials.PublicClient({ clientId })
const query = new URLSearchParams({ code, state })
const idToken = jwtOf(goodHeader, goodClaims)
const ok = tokenAnswer({ refresh_token: "fake-refresh", id_token: idToken })

const form = (request: HttpClientRequest.HttpClientRequest | undefined) =>
  request?.body._tag === "Uint8Array"
    ? Object.fromEntries(new URLSearchParams(new TextDecoder().decode(request.body.body)))
    : {}

const redeem = (
  step: Step,
  options: {
    readonly query?: URLSearchParams
    readonly transaction?: AuthorizationCode.Transaction
    readonly credentials?: ClientCredentials.ClientCredentials | ClientCredentials.PublicClient
    readonly environment?: Environment.Environment
  } = {}
) => {
  const script = scripted(step)
  const { credentials = web, environment = Environment.production, transaction = makeTransaction() } = options
  return TestClock.setTime(now.epochMilliseconds).pipe(
    Effect.andThen(AuthorizationCode.redeem(options.query ?? query, transaction, credentials)),
    Effect.provide([script.layer, Environment.layer(environment), RetryPolicy.layer(RetryPolicy.none)]),
    Effect.result,
    Effect.map((result) => ({ result, requests: script.requests }))
  )
}

const failureOf = Effect.fnUntraced(function* (...options: Parameters<typeof redeem>) {
  const { requests, result } = yield* redeem(...options)
  return { error: yield* Effect.flip(Effect.fromResult(result)), requests }
})

describe("AuthorizationCode.redeem", () => {
  it.effect("returns the tokens and the claims of the user", () =>
    Effect.gen(function* () {
      for (const credentials of [web, native]) {
        const { requests, result } = yield* redeem(ok, { credentials })
        const signedIn = yield* Effect.fromResult(result)
        assert.strictEqual(Redacted.value(signedIn.accessToken.value), "fake.token")
        assert.strictEqual(signedIn.refreshToken && Redacted.value(signedIn.refreshToken), "fake-refresh")
        assert.strictEqual(signedIn.idToken && Redacted.value(signedIn.idToken), idToken)
        assert.strictEqual(signedIn.claims?.email, "ada@example.com")
        assert.deepStrictEqual(form(requests[0]), {
          grant_type: "authorization_code",
          code,
          redirect_uri: "https://app.example.com/sign-in/callback",
          code_verifier: verifier,
          client_id: clientId,
          ...(credentials === web ? { client_secret: "fake-secret-x+y/z=" } : {})
        })
      }
    })
  )

  it.effect("sends nothing when the callback is not valid", () =>
    Effect.gen(function* () {
      const forged = yield* failureOf(ok, { query: new URLSearchParams({ code, state: "forged" }) })
      assert.strictEqual(forged.error.reason._tag, "UnknownState")
      const qa = yield* failureOf(ok, { environment: Environment.qa })
      assert.deepInclude(qa.error.reason, { detail: "the sign-in was started at another issuer" })
      const other = new ClientCredentials.PublicClient({ clientId: "native-Other" })
      const mixedUp = yield* failureOf(ok, { credentials: other })
      assert.deepInclude(mixedUp.error.reason, { detail: "the sign-in was started by another client" })
      assert.strictEqual(forged.requests.length + qa.requests.length + mixedUp.requests.length, 0)
    })
  )

  it.effect("fails when openid was granted and there is no id token", () =>
    Effect.gen(function* () {
      for (const scope of [undefined, "openid itwin-platform"]) {
        const { error } = yield* failureOf(tokenAnswer({ scope }))
        assert.deepInclude(error.reason, { detail: "openid was granted, but the response contains no id token" })
      }
    })
  )

  it.effect("returns no claims when IMS did not grant openid", () =>
    Effect.gen(function* () {
      const { result } = yield* redeem(tokenAnswer({ scope: "itwin-platform" }))
      const signedIn = yield* Effect.fromResult(result)
      assert.isUndefined(signedIn.idToken)
      assert.isUndefined(signedIn.claims)
    })
  )

  it.effect("fails when the id token belongs to another sign-in, whatever was granted", () =>
    Effect.gen(function* () {
      const wrong = jwtOf(goodHeader, { ...goodClaims, nonce: "another" })
      for (const scope of [undefined, "itwin-platform"]) {
        const { error } = yield* failureOf(tokenAnswer({ id_token: wrong, scope }))
        assert.deepInclude(error.reason, { detail: "the id token belongs to another sign-in (nonce)" })
      }
    })
  )

  it.effect("ignores an id token that was not requested", () =>
    Effect.gen(function* () {
      const { nonce: _, ...fields } = makeTransaction({ scopes: Scopes.itwinPlatform })
      const { result } = yield* redeem(ok, { transaction: new AuthorizationCode.Transaction(fields) })
      const signedIn = yield* Effect.fromResult(result)
      assert.isUndefined(signedIn.idToken)
      assert.isUndefined(signedIn.claims)
      assert.isDefined(signedIn.refreshToken)
    })
  )

  it.effect("fails with a TokenError when IMS rejects the code", () =>
    Effect.gen(function* () {
      const { error } = yield* failureOf(json({ error: "invalid_grant" }, { status: 400 }))
      assert.strictEqual(error._tag, "TokenError")
      assert.strictEqual(error.reason._tag, "InvalidGrant")
    })
  )
})

describe("AuthorizationCode.revoke", () => {
  const token = Redacted.make("fake-secret-refresh-a+b/c=")
  const revoke = (
    step: Step,
    credentials: ClientCredentials.ClientCredentials | ClientCredentials.PublicClient = web
  ) => {
    const script = scripted(step)
    return AuthorizationCode.revoke(Environment.qa, credentials, token, "refresh_token").pipe(
      Effect.provide(script.layer),
      Effect.result,
      Effect.map((result) => ({ result, requests: script.requests }))
    )
  }
  const messageOf = (step: Step) =>
    Effect.flatMap(revoke(step), ({ result }) => Effect.map(Effect.flip(Effect.fromResult(result)), String))

  it.effect("sends the token to the revocation endpoint, with the secret or the client id alone", () =>
    Effect.gen(function* () {
      const revoked = { token: "fake-secret-refresh-a+b/c=", token_type_hint: "refresh_token", client_id: clientId }
      const { requests, result } = yield* revoke(() => new Response(null))
      yield* Effect.fromResult(result)
      assert.strictEqual(requests[0]?.url, "https://qa-ims.bentley.com/connect/revocation")
      assert.deepStrictEqual(form(requests[0]), { ...revoked, client_secret: "fake-secret-x+y/z=" })
      const open = yield* revoke(() => new Response(null), native)
      assert.deepStrictEqual(form(open.requests[0]), revoked)
      const basic = yield* Effect.provideService(
        revoke(() => new Response(null)),
        TokenRequest.ClientAuthentication,
        "client_secret_basic"
      )
      assert.notProperty(form(basic.requests[0]), "client_secret")
      assert.match(basic.requests[0]?.headers.authorization ?? "", /^Basic /)
    })
  )

  it.effect("says what happened, without the token", () =>
    Effect.gen(function* () {
      assert.include(
        yield* messageOf(json({ error: "unsupported_token_type" }, { status: 400 })),
        "returned the status 400 (unsupported_token_type)"
      )
      assert.include(yield* messageOf(json({ error: Redacted.value(token) }, { status: 400 })), "400 (unknown)")
      assert.include(yield* messageOf(() => new Response("<html>", { status: 503 })), "returned the status 503.")
      assert.include(yield* messageOf(transportError("ECONNREFUSED")), "refused the connection")
    })
  )

  it.effect("fails when the response does not arrive within the time of one attempt", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(messageOf(() => Effect.never))
      yield* TestClock.adjust("5 seconds")
      assert.include(yield* Fiber.join(fiber), "within 5 s")
    })
  )
})
