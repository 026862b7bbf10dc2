/**
 * Verifies access tokens by asking IMS about each (RFC 7662). So a token that was revoked is rejected after at most 60 s.
 *
 * {@link layer} is the second implementation of `AccessTokenVerifier`. It costs a request to IMS for each token, and a
 * service that uses it is down while IMS is.
 *
 * **Gotchas**
 *
 * The request is authenticated with the credentials of `SecretProvider`, which are read for each request. It sends the
 * token to the endpoint, so the endpoint must be one that you trust.
 *
 * **Example** (Seeing that a token was revoked)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, TokenCache } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { AccessTokenVerifier, IntrospectionVerifier } from "@effect-itwin/verify"
 * import { Effect, Layer } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const Platform = ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))
 *
 * it.effect("rejects a revoked token after a minute", () =>
 *   Effect.gen(function* () {
 *     const token = yield* (yield* TokenCache.TokenCache).get()
 *     const fake = yield* FakeIms.FakeIms
 *     const error = yield* Effect.gen(function* () {
 *       const verifier = yield* AccessTokenVerifier.AccessTokenVerifier
 *       yield* verifier.verify(token.value)
 *       yield* fake.revokeToken(token)
 *       yield* TestClock.adjust("1 minute")
 *       return yield* Effect.flip(verifier.verify(token.value))
 *     }).pipe(Effect.provide(IntrospectionVerifier.layer({ clientIds: [token.clientId] })))
 *     assert.strictEqual(error.reason._tag, "Inactive")
 *   }).pipe(Effect.provide(Platform))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Environment from "@effect-itwin/core/Environment"
import * as ImsRequest from "@effect-itwin/core/ImsRequest"
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { AccessTokenVerifier } from "./AccessTokenVerifier.ts"
import * as claims from "./internal/claims.ts"
import { maxTokenLength, tooLarge } from "./internal/compactJws.ts"
import { makeDigest } from "./internal/digest.ts"
import { fail } from "./internal/fail.ts"
import { makeRecent } from "./internal/recent.ts"
import { checkMillis, makeRules } from "./internal/rules.ts"
import { makeShared, monotonicMillis } from "./internal/shared.ts"

import { Inactive, IntrospectionUnavailable, Malformed, Missing, VerificationError } from "./VerificationError.ts"
import type { VerifiedToken } from "./VerifiedToken.ts"

/**
 * Describes the tokens that are accepted, and how long a response of IMS is used.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The client ids of the apps whose tokens are accepted. At least one. */
  readonly clientIds: ReadonlyArray<string>
  /** The audiences of which the token must have one, if the response names any; `bentley-api-management` by default. */
  readonly audiences?: ReadonlyArray<string> | undefined
  /** The scopes that the token must have, all of them; none by default. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** By how much the clocks of IMS and of this machine may differ: 30 s by default, 5 min at most. */
  readonly clockTolerance?: Duration.Input | undefined
  /** The issuer, if the response names one; that of the environment by default. */
  readonly issuer?: string | undefined
  /** The URL of the endpoint; by default the one of IMS, at the origin of the environment's token endpoint. */
  readonly endpoint?: string | undefined
  /** How long the response for an active token is used: 60 s by default and at most. Zero asks IMS each time. */
  readonly cacheFor?: Duration.Input | undefined
}

interface Known {
  readonly token: VerifiedToken
  /** By the monotonic clock, in milliseconds. */
  readonly until: number
}

/** How long one introspection may take. */
const timeLimit = 5_000
const maxKnown = 1_000
const longestCache = Duration.seconds(60)

/** What an opaque token can consist of (RFC 6750 §2.1, b64token). */
const b64token = /^[\w\-.~+/]+=*$/

/**
 * Provides a verifier that asks IMS about each token.
 *
 * Callers that present the same token at the same time share one request. Fails with a `ConfigError` if the variables of
 * `Environment` are wrong. Dies with a `RangeError` or a `SchemaError` if an option is invalid.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options
): Layer.Layer<AccessTokenVerifier, Config.ConfigError, HttpClient.HttpClient | SecretProvider> =>
  Layer.effect(
    AccessTokenVerifier,
    Effect.gen(function* () {
      const environment = yield* Environment.configured
      const clock = yield* Clock.Clock
      const provider = yield* SecretProvider
      const send = yield* ImsRequest.make
      const rules = makeRules(options, environment)
      const cacheFor = checkMillis("cacheFor", options.cacheFor ?? longestCache, longestCache)
      const endpoint =
        options.endpoint === undefined
          ? new URL("/connect/introspect", environment.tokenEndpoint).href
          : ImsRequest.checkUrl("endpoint", options.endpoint)
      const known = makeRecent<Known>(maxKnown)
      const digestOf = makeDigest()

      const unavailable = (detail: string, retryAfter: Duration.Duration = Duration.seconds(1)) =>
        new VerificationError({ reason: new IntrospectionUnavailable({ endpoint, detail, retryAfter }) })

      const shared = yield* makeShared<VerifiedToken, VerificationError>(2 * timeLimit, () =>
        unavailable("is not asked any longer: the layer is closed")
      )

      const accept = ({ body, status, retryAfter }: ImsRequest.Response, value: Redacted.Redacted, digest: string) => {
        if (status === 400 || status === 401 || status === 403)
          return Effect.fail(unavailable(`rejected the request of this service (status ${status})`))
        if (status !== 200) return Effect.fail(unavailable(`returned status ${status}`, retryAfter))
        const response = ImsRequest.parseObject(body)
        if (response === undefined || typeof response.active !== "boolean")
          return Effect.fail(unavailable("returned something other than an introspection response"))
        if (!response.active) return fail(new Inactive({}))
        const now = Math.floor(clock.currentTimeMillisUnsafe() / 1000)
        const wrong = claims.checkIssued(response, rules, now, "introspection")
        if (wrong !== undefined) return fail(wrong)
        const read = claims.readClaims(response, value, rules)
        if (Result.isFailure(read)) return fail(read.failure)
        const left = Number(response.exp) * 1000 - clock.currentTimeMillisUnsafe()
        known.set(digest, { token: read.success, until: monotonicMillis(clock) + Math.min(cacheFor, left) })
        return Effect.succeed(read.success)
      }

      // A defect of the provider may contain the secret, so nothing of it is shown.
      const credentials = Effect.timeoutOrElse(provider.credentials, {
        duration: timeLimit,
        orElse: () => Effect.fail(unavailable("was not asked, because the SecretProvider did not answer within 5 s"))
      }).pipe(
        Effect.catchTag("SecretProviderError", ({ message }) =>
          Effect.fail(unavailable(`was not asked, because the credentials could not be read: ${message}`))
        ),
        Effect.catchDefect(() =>
          Effect.fail(unavailable("was not asked, because the SecretProvider failed with a bug"))
        )
      )

      const ask = Effect.fnUntraced(function* (value: Redacted.Redacted, digest: string) {
        const { clientId, clientSecret } = yield* credentials
        const request = HttpClientRequest.post(endpoint, { acceptJson: true }).pipe(
          HttpClientRequest.bodyUrlParams({
            client_id: clientId,
            client_secret: clientSecret,
            token: Redacted.value(value),
            token_type_hint: "access_token"
          })
        )
        const response = yield* Effect.mapError(send(request, timeLimit), ({ detail }) => unavailable(detail))
        return yield* accept(response, value, digest)
      })

      /** The span ends without the token, because that contains claims. */
      const introspect = (value: Redacted.Redacted, digest: string) =>
        Effect.suspend(() => {
          let verified: Effect.Effect<VerifiedToken, VerificationError> = fail(new Inactive({}))
          return ask(value, digest).pipe(
            Effect.flatMap((token) =>
              Effect.sync(() => {
                verified = Effect.succeed(token)
              })
            ),
            Effect.withSpan("IntrospectionVerifier.introspect", {
              root: true,
              attributes: { "http.request.method": "POST", "url.full": endpoint }
            }),
            Effect.flatMap(() => verified)
          )
        })

      return {
        verify: (value) => {
          const token = Redacted.value(value)
          if (token === "") return fail(new Missing({}))
          if (token.length > maxTokenLength) return fail(tooLarge())
          if (!b64token.test(token)) return fail(new Malformed({ detail: "it has characters that no token has" }))
          return Effect.flatMap(digestOf(token), (digest) => {
            const found = known.get(digest)
            return found !== undefined && monotonicMillis(clock) < found.until
              ? Effect.succeed(found.token)
              : shared.join(digest, introspect(value, digest))
          })
        }
      }
    })
  )
