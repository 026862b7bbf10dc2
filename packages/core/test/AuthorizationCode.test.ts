import { assert, describe, it } from "@effect/vitest"
import { AuthorizationCode, Environment, Scopes, SignInError } from "@effect-itwin/core"
import { DateTime, Effect, Exit, Redacted, Result, Schema } from "effect"
import { WebCrypto } from "effect/crypto"
import { TestClock } from "effect/testing"
import {
  callbacks,
  clientId,
  code,
  goodClaims,
  goodHeader,
  idTokens,
  issuer,
  jwtOf,
  makeTransaction,
  nonce,
  now,
  seconds,
  state,
  transaction,
  verifier
} from "./signInAnswers.ts"

const outcomeOf = (result: Result.Result<unknown, SignInError.SignInError>): string => {
  if (Result.isSuccess(result)) return "accepted"
  const { reason } = result.failure
  return reason._tag === "InvalidAnswer" ? `InvalidAnswer: ${reason.detail}` : reason._tag
}

/** An expected detail is a part of the actual one. */
const assertOutcome = (actual: string, expected: string) => {
  const [tag = "", detail = ""] = expected.split(": ")
  assert.strictEqual(actual.split(": ")[0], tag)
  assert.include(actual, detail)
}

describe("AuthorizationCode.decode", () => {
  it.each(callbacks)("applies the rule: $rule", ({ outcome, query, transaction: given = transaction }) => {
    const result = AuthorizationCode.decode(query, given, issuer, now)
    assertOutcome(outcomeOf(result), outcome)
    if (Result.isSuccess(result)) {
      assert.strictEqual(Redacted.value(result.success), query.find(([name]) => name === "code")?.[1])
    }
  })

  it("names what belongs to the sign-in, and nothing else, when the state does not fit", () => {
    const query = new URLSearchParams({ state: "forged", error: "Call 555 now", error_description: "Click here" })
    const error = Result.getOrThrow(Result.flip(AuthorizationCode.decode(query, transaction, issuer, now)))
    assert.strictEqual(
      error.message,
      "The callback does not belong to a sign-in of this browser or program: its state is missing or unknown. Start the " +
        "sign-in again, at the host of the redirect URI. (issuer https://ims.bentley.com, client id web-Ab12) See docs/errors.md#sign-in-unknownstate"
    )
    assert.notInclude(JSON.stringify(error), "555")
  })

  it("shows the text of IMS as far as it does not look like a secret", () => {
    const query = { state, error: "invalid_scope", error_description: `Scope not known: ${verifier} or ${state}` }
    const error = Result.getOrThrow(
      Result.flip(AuthorizationCode.decode(new URLSearchParams(query), transaction, issuer, now))
    )
    assert.deepInclude(error.reason, { _tag: "Refused", code: "invalid_scope", description: undefined })
    const plain = new URLSearchParams({ ...query, error_description: "The scope is not known." })
    const shown = Result.getOrThrow(Result.flip(AuthorizationCode.decode(plain, transaction, issuer, now)))
    assert.include(shown.message, `"invalid_scope" ("The scope is not known."). Request only scopes`)
    const echo = new URLSearchParams({ state, error: state })
    const hidden = Result.getOrThrow(Result.flip(AuthorizationCode.decode(echo, transaction, issuer, now)))
    assert.deepInclude(hidden.reason, { _tag: "Refused", code: "unknown" })
  })

  it.prop(
    "accepts nothing without the state, and never throws",
    [Schema.Array(Schema.Tuple([Schema.Literals(["state", "code", "error", "iss", "x"]), Schema.String]))],
    ([query]) => {
      const result = AuthorizationCode.decode(query, transaction, issuer, now)
      assert.strictEqual(outcomeOf(result), "UnknownState")
    }
  )

  it.prop(
    "returns a code only if it occurs once and there is no error",
    [Schema.Array(Schema.Tuple([Schema.Literals(["code", "error", "iss", "x"]), Schema.String]))],
    ([query]) => {
      const result = AuthorizationCode.decode([...query, ["state", state]], transaction, issuer, now)
      if (Result.isFailure(result)) {
        assert.notStrictEqual(result.failure.reason._tag, "UnknownState")
        return
      }
      const values = (wanted: string) => query.filter(([name]) => name === wanted).map(([, value]) => value)
      assert.deepStrictEqual(values("code"), [Redacted.value(result.success)])
      assert.include([[].toString(), ""], values("error").toString())
      assert.isTrue(values("iss").every((value) => value === issuer))
    }
  )
})

describe("AuthorizationCode.decodeIdToken", () => {
  const decode = (token: string, given = transaction) =>
    AuthorizationCode.decodeIdToken(Redacted.make(token), { transaction: given, issuer, now })

  it.each(idTokens)("applies the rule: $rule", ({ outcome, token, transaction: given }) => {
    const result = decode(token, given)
    assertOutcome(outcomeOf(result), outcome === "accepted" ? outcome : `InvalidAnswer: ${outcome}`)
  })

  it("returns the claims about the user", () => {
    const claims = Result.getOrThrow(
      decode(jwtOf(goodHeader, { ...goodClaims, preferred_username: "ada", phone: "5" }))
    )
    assert.deepStrictEqual(
      { ...claims },
      {
        subject: "fake-user-1",
        email: "ada@example.com",
        name: "Ada Lovelace",
        givenName: "Ada",
        familyName: "Lovelace",
        preferredUsername: "ada"
      }
    )
  })

  it("leaves out claims that are not texts of ordinary length", () => {
    const changed = { email: 5, name: "x".repeat(1025), given_name: "", family_name: null }
    const claims = Result.getOrThrow(decode(jwtOf(goodHeader, { ...goodClaims, ...changed })))
    assert.deepStrictEqual(JSON.parse(JSON.stringify(claims)), { subject: "fake-user-1" })
  })

  it.prop("never throws, and rejects what is not a token", [Schema.String], ([text]) => {
    assert.isTrue(Result.isFailure(decode(text)))
    assert.isTrue(Result.isFailure(decode(jwtOf(text, text))))
  })

  it.prop(
    "rejects each token of which one character of header or claims is another",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 })), Schema.Literals([..."AZaz09-_"])],
    ([at, character]) => {
      const good = jwtOf(
        { alg: "RS256" },
        { iss: issuer, aud: clientId, sub: "u", iat: seconds, exp: seconds + 9, nonce }
      )
      const end = good.lastIndexOf(".")
      const index = at % end
      const changed = good.slice(0, index) + character + good.slice(index + 1)
      if (changed === good) return
      const result = decode(changed)
      // A changed character of a name or a value that is not checked to the letter gives another valid token.
      if (Result.isSuccess(result)) assert.strictEqual(result.success.email, undefined)
      else assert.strictEqual(result.failure.reason._tag, "InvalidAnswer")
    }
  )
})

describe("AuthorizationCode.start", () => {
  const options = {
    clientId,
    redirectUri: "https://app.example.com/cb?x=1",
    scopes: Scopes.make("openid itwin-platform")
  }
  const parametersOf = (url: Redacted.Redacted) => Object.fromEntries(new URL(Redacted.value(url)).searchParams)

  it.effect("sends the user to the authorization endpoint with PKCE, state and nonce", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(DateTime.toEpochMillis(now))
      const { transaction, url } = yield* AuthorizationCode.start({
        ...options,
        prompt: "login",
        loginHint: "a@b.example"
      })
      const digest = yield* Effect.promise(() =>
        globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(Redacted.value(transaction.codeVerifier)))
      )
      assert.strictEqual(new URL(Redacted.value(url)).origin, "https://ims.bentley.com")
      assert.strictEqual(new URL(Redacted.value(url)).pathname, "/connect/authorize")
      assert.deepStrictEqual(parametersOf(url), {
        response_type: "code",
        client_id: clientId,
        redirect_uri: "https://app.example.com/cb?x=1",
        scope: "itwin-platform openid",
        state: Redacted.value(transaction.state),
        nonce: transaction.nonce === undefined ? "" : Redacted.value(transaction.nonce),
        code_challenge: Buffer.from(digest).toString("base64url"),
        code_challenge_method: "S256",
        prompt: "login",
        login_hint: "a@b.example"
      })
      assert.deepInclude(
        { ...transaction },
        { clientId, redirectUri: options.redirectUri, scopes: options.scopes, issuer }
      )
      assert.deepStrictEqual(transaction.startedAt, now)
    })
  )

  it.effect("computes the challenge of RFC 7636, appendix B", () =>
    Effect.gen(function* () {
      const bytes = [
        116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191, 240,
        91, 88, 5, 88, 83, 132, 141, 121
      ]
      const crypto = {
        subtle: globalThis.crypto.subtle,
        getRandomValues: (array: Uint8Array) => {
          array.set(bytes)
          return array
        }
      } as unknown as Crypto
      const { url } = yield* Effect.provide(AuthorizationCode.start(options), WebCrypto.layer(crypto))
      assert.strictEqual(parametersOf(url).code_challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    })
  )

  it.effect("uses 256 random bits for each of state, nonce and verifier, and new ones each time", () =>
    Effect.gen(function* () {
      const starts = yield* Effect.all(Array.from({ length: 50 }, () => AuthorizationCode.start(options)))
      const values = starts.flatMap(({ transaction: { codeVerifier, nonce, state } }) =>
        [codeVerifier, nonce ?? Redacted.make(""), state].map(Redacted.value)
      )
      assert.strictEqual(new Set(values).size, 150)
      for (const value of values) assert.match(value, /^[\w-]{43}$/)
    })
  )

  it.effect("has no nonce when openid is not requested", () =>
    Effect.gen(function* () {
      const { transaction, url } = yield* AuthorizationCode.start({ ...options, scopes: Scopes.itwinPlatform })
      assert.isUndefined(transaction.nonce)
      assert.notProperty(parametersOf(url), "nonce")
    })
  )

  it.effect("uses the endpoint and the issuer of the environment", () =>
    Effect.gen(function* () {
      const environment = Environment.custom({
        tokenEndpoint: "https://id.example.com/t",
        apiBaseUrl: "https://api.example.com",
        authorizationEndpoint: "https://login.example.com/a",
        issuer: "https://id.example.com/tenant"
      })
      const started = Effect.provide(AuthorizationCode.start(options), Environment.layer(environment))
      const { transaction, url } = yield* started
      assert.strictEqual(transaction.issuer, "https://id.example.com/tenant")
      assert.isTrue(Redacted.value(url).startsWith("https://login.example.com/a?"))
    })
  )

  it.effect.each([
    "",
    "/callback",
    "https://user@app.example.com/",
    "https://app.example.com/#x",
    "https://a.example/#"
  ])("dies with a RangeError that does not quote it when the redirect URI is %j", (redirectUri) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(AuthorizationCode.start({ ...options, redirectUri }))
      assert.isTrue(Exit.hasDies(exit))
      assert.include(String(exit), "RangeError: AuthorizationCode: redirectUri must be an absolute URL")
    })
  )

  it.effect("returns a transaction that survives a cookie", () =>
    Effect.gen(function* () {
      const Text = Schema.fromJsonString(AuthorizationCode.Transaction)
      for (const scopes of [options.scopes, Scopes.itwinPlatform]) {
        const { transaction } = yield* AuthorizationCode.start({ ...options, scopes })
        const text = yield* Schema.encodeEffect(Text)(transaction)
        const again = yield* Schema.decodeEffect(Text)(text)
        assert.deepStrictEqual(yield* Schema.encodeEffect(Text)(again), text)
        assert.strictEqual(Redacted.value(again.state), Redacted.value(transaction.state))
      }
    })
  )
})

describe("AuthorizationCode.endSessionUrl", () => {
  it("sends the user to the end-session endpoint with the id token as a hint", () => {
    const url = AuthorizationCode.endSessionUrl(Environment.production, {
      clientId,
      idToken: Redacted.make("a.b.c"),
      postLogoutRedirectUri: "https://app.example.com/bye",
      state: "s"
    })
    const { origin, pathname, searchParams } = new URL(Redacted.value(url))
    assert.strictEqual(origin + pathname, "https://ims.bentley.com/connect/endsession")
    assert.deepStrictEqual(Object.fromEntries(searchParams), {
      id_token_hint: "a.b.c",
      client_id: clientId,
      post_logout_redirect_uri: "https://app.example.com/bye",
      state: "s"
    })
    const plain = AuthorizationCode.endSessionUrl(Environment.production, { clientId })
    assert.strictEqual(Redacted.value(plain), `https://ims.bentley.com/connect/endsession?client_id=${clientId}`)
  })
})

describe("SignInError", () => {
  it.each([
    [new SignInError.Denied({}), "The user did not sign in or did not consent. Offer to sign in again.", false],
    [
      new SignInError.Refused({ code: "temporarily_unavailable" }),
      'IMS refused the sign-in with the code "temporarily_unavailable". Check whether IMS is down for maintenance.',
      true
    ],
    [
      new SignInError.Refused({ code: "toString" }),
      'IMS refused the sign-in with the code "toString". Contact Bentley support and quote the code.',
      false
    ]
  ])("says what happened and what to do: %s", (reason, message, isRetryable) => {
    const error = new SignInError.SignInError({ reason, issuer, clientId })
    assert.isTrue(SignInError.isSignInError(error))
    assert.strictEqual(error.isRetryable, isRetryable)
    assert.strictEqual(
      error.message,
      `${message} (issuer ${issuer}, client id ${clientId}) See docs/errors.md#sign-in-${reason._tag.toLowerCase()}`
    )
  })

  it("says how long a sign-in may take when it is late", () => {
    const late = makeTransaction({ startedAt: DateTime.subtract(now, { minutes: 11 }) })
    const query = new URLSearchParams({ state, code })
    const error = Result.getOrThrow(Result.flip(AuthorizationCode.decode(query, late, issuer, now)))
    assert.include(
      error.message,
      "The sign-in was not completed within 10 min. Start the sign-in again. If IMS showed an error page"
    )
    assert.isTrue(error.isRetryable)
  })
})
