/**
 * Signs a user in with the authorization code flow (RFC 6749 §4.1, OpenID Connect Core §3.1).
 *
 * {@link start} returns the URL to which the user is sent, and a {@link Transaction} to keep until the user comes back.
 * {@link redeem} checks the callback and exchanges its code for tokens. {@link decode} and {@link decodeIdToken} are the
 * checks alone: pure functions, which tests can call without I/O.
 *
 * PKCE with S256 and a state are always used, and a nonce whenever `openid` is requested. The endpoints are those of
 * `Environment`.
 *
 * **Gotchas**
 *
 * A transaction belongs to one browser, so keep it where only that browser can present it: sealed in a cookie, or in the
 * memory of a native app. Its encoded form contains secrets. The URLs contain secrets too, so they are `Redacted`.
 *
 * **Example** (Signing a user in)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { AuthorizationCode, Scopes } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect } from "effect"
 *
 * const redirectUri = "https://app.example.com/sign-in/callback"
 *
 * it.effect("returns tokens and the user when the user comes back", () =>
 *   Effect.gen(function* () {
 *     const fake = yield* FakeIms.FakeIms
 *     yield* fake.addUser({ email: "ada@example.com", givenName: "Ada" })
 *     const { credentials } = yield* fake.registerApp({ name: "Portal", type: "web", redirectUris: [redirectUri] })
 *
 *     const { transaction, url } = yield* AuthorizationCode.start({
 *       clientId: credentials.clientId,
 *       redirectUri,
 *       scopes: Scopes.make("openid profile email offline_access itwin-platform")
 *     })
 *     // Here a browser goes to the URL, and comes back to the redirect URI.
 *     const callback = yield* fake.signIn(url, { email: "ada@example.com" })
 *     const { claims, refreshToken } = yield* AuthorizationCode.redeem(callback.searchParams, transaction, credentials)
 *     assert.strictEqual(claims?.givenName, "Ada")
 *     assert.isDefined(refreshToken)
 *   }).pipe(Effect.provide(FakeIms.layerTest()))
 * )
 * ```
 *
 * **Example** (Checking a callback)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { AuthorizationCode, Scopes } from "@effect-itwin/core"
 * import { DateTime, Effect, Redacted, Result } from "effect"
 *
 * it.effect("returns the code only if the state fits", () =>
 *   Effect.gen(function* () {
 *     const { transaction, url } = yield* AuthorizationCode.start({
 *       clientId: "web-Ab12",
 *       redirectUri: "https://app.example.com/sign-in/callback",
 *       scopes: Scopes.make("openid offline_access itwin-platform")
 *     })
 *     const { origin, searchParams } = new URL(Redacted.value(url))
 *     assert.strictEqual(origin, "https://ims.bentley.com")
 *
 *     const now = yield* DateTime.now
 *     const decode = (query: string) =>
 *       AuthorizationCode.decode(new URLSearchParams(query), transaction, "https://ims.bentley.com", now)
 *     assert.isTrue(Result.isSuccess(decode(`code=fake-code&state=${searchParams.get("state")}`)))
 *     const forged = Result.getOrThrow(Result.flip(decode("code=fake-code&state=forged")))
 *     assert.strictEqual(forged.reason._tag, "UnknownState")
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as WebCrypto from "effect/crypto/WebCrypto"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import type * as HttpClient from "effect/http/HttpClient"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { AccessToken } from "./AccessToken.ts"
import { type ClientCredentials, ClientId, type PublicClient } from "./ClientCredentials.ts"
import * as Environment from "./Environment.ts"
import type { ImsRequestError } from "./ImsRequest.ts"
import { timeLimit as limit, readCallback } from "./internal/users/callback.ts"
import { readIdToken } from "./internal/users/idToken.ts"
import * as revocation from "./internal/users/revoke.ts"
import * as Scopes from "./Scopes.ts"
import * as SignInError from "./SignInError.ts"
import type { TokenError } from "./TokenError.ts"
import * as TokenRequest from "./TokenRequest.ts"

/**
 * Says how long a sign-in may take: 10 minutes.
 *
 * @category constants
 * @since 0.1.0
 */
export const timeLimit: Duration.Duration = limit

const Secret = Schema.RedactedFromValue(Schema.NonEmptyString)

/**
 * Holds what has to be remembered from {@link start} to {@link redeem}.
 *
 * `Schema.encode` returns JSON with the secrets, so that the transaction can be sealed into a cookie. Printing, logging
 * and `JSON.stringify` do not show them.
 *
 * @category models
 * @since 0.1.0
 */
export class Transaction extends Schema.Class<Transaction>("@effect-itwin/core/AuthorizationCode/Transaction")({
  /** Binds the callback to this sign-in (RFC 6749 §10.12). */
  state: Secret,
  /** Binds the id token to this sign-in. Present if `openid` is requested. */
  nonce: Schema.optionalKey(Secret),
  /** Binds the code to this sign-in (RFC 7636). */
  codeVerifier: Secret,
  redirectUri: Schema.String,
  clientId: ClientId,
  /** The requested scopes. */
  scopes: Scopes.Scopes,
  /** The issuer at which the sign-in was started. */
  issuer: Schema.String,
  startedAt: Schema.DateTimeUtcFromMillis
}) {}

const maxClaimLength = 1024

/** A claim that is not a text of ordinary length is left out. */
const textClaim = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" && value.length <= maxClaimLength ? value : undefined

/**
 * Holds the claims of an id token that describe the user. They are facts about a person, not secrets.
 *
 * @category models
 * @since 0.1.0
 */
export class IdToken extends Schema.Class<IdToken>("@effect-itwin/core/AuthorizationCode/IdToken")({
  /** The user's id at the issuer (`sub`). The only claim that never changes. */
  subject: Schema.String,
  email: Schema.optional(Schema.String),
  name: Schema.optional(Schema.String),
  givenName: Schema.optional(Schema.String),
  familyName: Schema.optional(Schema.String),
  preferredUsername: Schema.optional(Schema.String)
}) {}

/**
 * Holds what IMS granted when the user signed in.
 *
 * @category models
 * @since 0.1.0
 */
export interface SignedIn {
  readonly accessToken: AccessToken
  /** Present if `offline_access` was granted. */
  readonly refreshToken?: Redacted.Redacted | undefined
  /** Present if `openid` was granted. {@link endSessionUrl} takes it as a hint. */
  readonly idToken?: Redacted.Redacted | undefined
  /** The claims of the id token. */
  readonly claims?: IdToken | undefined
}

/**
 * Names what IMS shows although the user is signed in there: nothing and fail, the sign-in page, the consent page, or
 * the choice of an account (OpenID Connect Core §3.1.2.1).
 *
 * @category models
 * @since 0.1.0
 */
export type Prompt = "none" | "login" | "consent" | "select_account"

/** 256 bits, as 43 characters (RFC 7636 §4.1). */
const random = (crypto: Crypto): string => Base64Url.encode(crypto.getRandomValues(new Uint8Array(32)))

const checkRedirectUri = (redirectUri: string): void => {
  const url = URL.parse(redirectUri)
  if (url === null || /#/.test(redirectUri) || url.username !== "" || url.password !== "") {
    throw new RangeError("AuthorizationCode: redirectUri must be an absolute URL without user info and fragment")
  }
}

/**
 * Starts a sign-in: returns the URL to which the user is sent, and what has to be kept until the user comes back.
 *
 * Reads `Environment` and the `WebCrypto` of Effect from the context. Dies with a `RangeError` if `redirectUri` is not an
 * absolute URL, and with a `SchemaError` if `clientId` is not a client id.
 *
 * **Details**
 *
 * `redirectUri` must be one that the app has under My Apps, character by character. Request `openid` for an id token, and
 * `offline_access` for a refresh token. `loginHint` is the user's e-mail, if it is known.
 *
 * @category requests
 * @since 0.1.0
 */
export const start = Effect.fnUntraced(function* (options: {
  readonly clientId: string
  readonly redirectUri: string
  readonly scopes: Scopes.Scopes
  readonly prompt?: Prompt | undefined
  readonly loginHint?: string | undefined
}): Effect.fn.Return<{ readonly url: Redacted.Redacted; readonly transaction: Transaction }> {
  const { clientId, loginHint, prompt, redirectUri, scopes } = options
  checkRedirectUri(redirectUri)
  const { authorizationEndpoint, issuer } = yield* Environment.current
  const crypto = yield* WebCrypto.WebCrypto
  const nonce = Scopes.tokens(scopes).includes("openid") ? random(crypto) : undefined
  const state = random(crypto)
  const codeVerifier = random(crypto)
  const digest = yield* Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(codeVerifier)))
  const transaction = new Transaction({
    state: Redacted.make(state),
    ...(nonce === undefined ? {} : { nonce: Redacted.make(nonce) }),
    codeVerifier: Redacted.make(codeVerifier),
    redirectUri,
    clientId,
    scopes,
    issuer,
    startedAt: yield* DateTime.now
  })
  const url = withQuery(authorizationEndpoint, {
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: Scopes.format(scopes),
    state,
    nonce,
    code_challenge: Base64Url.encode(new Uint8Array(digest)),
    code_challenge_method: "S256",
    prompt,
    login_hint: loginHint
  })
  return { url, transaction }
})

const withQuery = (endpoint: string, parameters: Record<string, string | undefined>): Redacted.Redacted => {
  const url = new URL(endpoint)
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, value)
  }
  return Redacted.make(url.href)
}

const signInError = (
  reason: SignInError.SignInErrorReason,
  { clientId, issuer }: Transaction
): SignInError.SignInError => new SignInError.SignInError({ reason, issuer, clientId })

const invalid = (detail: string, transaction: Transaction) =>
  signInError(new SignInError.InvalidAnswer({ detail }), transaction)

/**
 * Returns the code of a callback, or says what is wrong with the callback.
 *
 * The state is compared first. Until it fits, nothing of the callback is used or shown. Then the callback is rejected if
 * it repeats a parameter, comes more than {@link timeLimit} after the start, names another issuer (`iss`, RFC 9207), or
 * contains a token, or both a code and an error.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (
  query: Iterable<readonly [name: string, value: string]>,
  transaction: Transaction,
  issuer: string,
  now: DateTime.Utc
): Result.Result<Redacted.Redacted, SignInError.SignInError> =>
  Result.mapError(readCallback(query, transaction, issuer, now), (reason) => signInError(reason, transaction))

/**
 * Returns the claims of an id token that the token endpoint returned, or says what is wrong with the token (OpenID
 * Connect Core §3.1.3.7).
 *
 * Checks issuer, audience, authorized party, nonce, times (60 s of difference between the clocks are allowed) and
 * subject. The algorithm must be one of public keys.
 *
 * **Gotchas**
 *
 * The signature is not checked. TLS authenticates what comes directly from the token endpoint; never use this function
 * for an id token from elsewhere. A transaction without a nonce did not request an id token, so each is rejected.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeIdToken = (
  idToken: Redacted.Redacted,
  options: { readonly transaction: Transaction; readonly issuer: string; readonly now: DateTime.Utc }
): Result.Result<IdToken, SignInError.SignInError> =>
  readIdToken(idToken, options.transaction, options.issuer, options.now).pipe(
    Result.mapError((problem) => invalid(`the id token ${problem}`, options.transaction)),
    Result.map(
      (claims) =>
        new IdToken({
          subject: String(claims.sub),
          email: textClaim(claims.email),
          name: textClaim(claims.name),
          givenName: textClaim(claims.given_name),
          familyName: textClaim(claims.family_name),
          preferredUsername: textClaim(claims.preferred_username)
        })
    )
  )

/**
 * Checks the callback, exchanges its code for tokens, and checks the id token.
 *
 * Reads `Environment`, `RetryPolicy` and `ClientAuthentication` from the context.
 *
 * **Details**
 *
 * `query` holds the parameters of the callback, for example `new URL(…).searchParams`. If `openid` was granted, a
 * response without a valid id token fails. An id token that was not requested is ignored. The code works once: if the
 * request may have reached IMS, it is not sent again, and the user has to sign in again.
 *
 * @category requests
 * @since 0.1.0
 */
export const redeem = Effect.fnUntraced(function* (
  query: Iterable<readonly [name: string, value: string]>,
  transaction: Transaction,
  credentials: ClientCredentials | PublicClient
): Effect.fn.Return<SignedIn, SignInError.SignInError | TokenError, HttpClient.HttpClient> {
  const { issuer } = yield* Environment.current
  const code = yield* Effect.fromResult(decode(query, transaction, issuer, yield* DateTime.now))
  if (credentials.clientId !== transaction.clientId) {
    return yield* invalid("the sign-in was started by another client", transaction)
  }
  const { codeVerifier, nonce, redirectUri, scopes } = transaction
  const { accessToken, idToken, refreshToken } = yield* TokenRequest.exchange({
    credentials,
    scopes,
    grant: { _tag: "AuthorizationCode", code, redirectUri, codeVerifier }
  })
  if (nonce === undefined) return { accessToken, refreshToken }
  if (idToken === undefined) {
    return Scopes.tokens(accessToken.scopes).includes("openid")
      ? yield* invalid("openid was granted, but the response contains no id token", transaction)
      : { accessToken, refreshToken }
  }
  const claims = yield* Effect.fromResult(decodeIdToken(idToken, { transaction, issuer, now: yield* DateTime.now }))
  return { accessToken, refreshToken, idToken, claims }
})

/**
 * Returns the URL to which a user is sent to sign out at IMS (OpenID Connect RP-Initiated Logout §2).
 *
 * With `idToken`, IMS does not ask the user to confirm. `postLogoutRedirectUri` must be one that the app has under My
 * Apps.
 *
 * @category conversions
 * @since 0.1.0
 */
export const endSessionUrl = (
  environment: Environment.Environment,
  options: {
    readonly clientId: string
    readonly idToken?: Redacted.Redacted | undefined
    readonly postLogoutRedirectUri?: string | undefined
    readonly state?: string | undefined
  }
): Redacted.Redacted =>
  withQuery(environment.endSessionEndpoint, {
    id_token_hint: options.idToken === undefined ? undefined : Redacted.value(options.idToken),
    client_id: options.clientId,
    post_logout_redirect_uri: options.postLogoutRedirectUri,
    state: options.state
  })

/**
 * Revokes a token (RFC 7009). Revoking a refresh token ends all that was granted with it. A token that is not valid any
 * more is a success.
 *
 * Sends one request, within the `attemptTimeout` of `RetryPolicy`.
 *
 * @category requests
 * @since 0.1.0
 */
export const revoke: (
  environment: Environment.Environment,
  credentials: ClientCredentials | PublicClient,
  token: Redacted.Redacted,
  kind: "refresh_token" | "access_token"
) => Effect.Effect<void, ImsRequestError, HttpClient.HttpClient> = revocation.revoke
