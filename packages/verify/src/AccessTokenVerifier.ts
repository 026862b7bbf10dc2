/**
 * Verifies access tokens of IMS that a backend receives, with the keys that IMS publishes.
 *
 * {@link layer} checks the signature, the issuer, the audience, the client id, the scopes and the times. The keys are
 * read when they are needed, kept, and renewed in the background. A token that was verified is not verified again while
 * it is valid and its key is published.
 *
 * **Gotchas**
 *
 * Every token of every app of the platform has the same audience, so `clientIds` is required: without it, any app of
 * anybody could call this service.
 *
 * A local verifier does not see that a token was revoked. `IntrospectionVerifier` does.
 *
 * **Example** (Verifying a token)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, SecretProvider, TokenCache } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { AccessTokenVerifier } from "@effect-itwin/verify"
 * import { Effect, Layer } from "effect"
 *
 * const Platform = ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest({ algorithm: "RS256" })))
 *
 * it.effect("returns the client id and the scopes of a token of IMS", () =>
 *   Effect.gen(function* () {
 *     const { clientId } = yield* (yield* SecretProvider.SecretProvider).credentials
 *     const token = yield* (yield* TokenCache.TokenCache).get()
 *     const verified = yield* Effect.flatMap(AccessTokenVerifier.AccessTokenVerifier, (verifier) =>
 *       verifier.verify(token.value)
 *     ).pipe(Effect.provide(AccessTokenVerifier.layer({ clientIds: [clientId] })))
 *     assert.strictEqual(verified.clientId, clientId)
 *     assert.deepStrictEqual(verified.scopes, ["itwin-platform"])
 *   }).pipe(Effect.provide(Platform))
 * )
 * ```
 *
 * @since 0.1.0
 */

import * as Environment from "@effect-itwin/core/Environment"
import * as ImsRequest from "@effect-itwin/core/ImsRequest"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { compactVerify } from "jose"
import * as claims from "./internal/claims.ts"
import * as jws from "./internal/compactJws.ts"
import { makeDigest } from "./internal/digest.ts"
import { fail } from "./internal/fail.ts"
import { makeKeyReader } from "./internal/keyReader.ts"
import type { Key } from "./internal/keySet.ts"
import { makeRecent } from "./internal/recent.ts"
import { makeRules } from "./internal/rules.ts"
import {
  BadSignature,
  Malformed,
  Missing,
  VerificationError,
  type VerificationErrorReason
} from "./VerificationError.ts"
import type { VerifiedToken } from "./VerifiedToken.ts"

/**
 * Verifies access tokens. `AccessTokenVerifier.layer` and `IntrospectionVerifier.layer` provide it.
 *
 * @category services
 * @since 0.1.0
 */
export class AccessTokenVerifier extends Context.Service<
  AccessTokenVerifier,
  {
    /** Returns what the token says if it is valid. */
    readonly verify: (token: Redacted.Redacted) => Effect.Effect<VerifiedToken, VerificationError>
  }
>()("@effect-itwin/verify/AccessTokenVerifier") {}

/**
 * Names a signature algorithm that can be accepted. Those with a shared secret can't, and neither can `none`.
 *
 * @category models
 * @since 0.1.0
 */
export type Algorithm = jws.Algorithm

/**
 * Describes the tokens that are accepted.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The client ids of the apps whose tokens are accepted. At least one. */
  readonly clientIds: ReadonlyArray<string>
  /** The audiences of which the token must have one; `bentley-api-management` by default. */
  readonly audiences?: ReadonlyArray<string> | undefined
  /** The scopes that the token must have, all of them; none by default. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** The signature algorithms that are accepted; RS256 by default. */
  readonly algorithms?: ReadonlyArray<Algorithm> | undefined
  /** By how much the clocks of IMS and of this machine may differ: 30 s by default, 5 min at most. */
  readonly clockTolerance?: Duration.Input | undefined
  /** The issuer of the tokens; that of the environment by default. */
  readonly issuer?: string | undefined
  /** The URL of the key set; by default the one of IMS, at the origin of the environment's token endpoint. */
  readonly keySetUrl?: string | undefined
}

/** What a token says, and between which times it is valid, in seconds. */
interface Read {
  readonly token: VerifiedToken
  readonly exp: number
  readonly nbf: number
}

interface Known extends Read {
  readonly key: Key
}

/** Results that are kept. */
const maxKnown = 1_000

const acceptedAlgorithms = (algorithms: ReadonlyArray<Algorithm>): ReadonlySet<string> => {
  if (algorithms.length === 0 || !algorithms.every((name) => jws.algorithms.includes(name)))
    throw new RangeError(`algorithms must be a list of one or more of ${jws.algorithms.join(", ")}`)
  return new Set(algorithms)
}

const pause = () => {}

/**
 * Runs `work` while another thread verifies the signature, and returns its result if the signature is valid. jose needs a
 * few turns before it hands the signature over; work that begins earlier delays it.
 */
const meanwhile = <A>(signature: Promise<unknown>, work: () => A): Promise<A> => {
  const done = Promise.resolve().then(pause).then(pause).then(pause).then(work)
  // No unhandled rejection if the signature is rejected too.
  done.catch(pause)
  return signature.then(() => done)
}

/**
 * Provides a verifier that checks tokens in this process, with the keys that IMS publishes.
 *
 * Fails with a `ConfigError` if the variables of `Environment` are wrong. Dies with a `RangeError` or a `SchemaError` if an
 * option is invalid. The keys are read when the first token comes, not when the layer is built.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<AccessTokenVerifier, Config.ConfigError, HttpClient.HttpClient> =>
  Layer.effect(
    AccessTokenVerifier,
    Effect.gen(function* () {
      const environment = yield* Environment.configured
      const clock = yield* Clock.Clock
      const rules = makeRules(options, environment)
      const accepted = acceptedAlgorithms(options.algorithms ?? ["RS256"])
      const url =
        options.keySetUrl === undefined
          ? new URL("/.well-known/openid-configuration/jwks", environment.tokenEndpoint).href
          : ImsRequest.checkUrl("keySetUrl", options.keySetUrl)
      const keys = yield* makeKeyReader({ send: yield* ImsRequest.make, url, algorithms: accepted })
      const known = makeRecent<Known>(maxKnown)
      const digestOf = makeDigest()
      const parseToken = jws.makeParseToken(accepted)
      const pinned = { algorithms: [...accepted] }

      const seconds = () => Math.floor(clock.currentTimeMillisUnsafe() / 1000)

      const isValid = ({ exp, key, nbf }: Known): boolean => {
        const now = seconds()
        return exp > now - rules.clockTolerance && nbf <= now + rules.clockTolerance && keys.peek(key.kid) === key
      }

      /** Reads the claims. What it returns counts only under a valid signature. */
      const readPayload = (payload: string, value: Redacted.Redacted): Result.Result<Read, VerificationErrorReason> => {
        const content = jws.parsePart(payload)
        if (content === undefined) {
          return Result.fail(new Malformed({ detail: "its claims are not a JSON object without repeated names" }))
        }
        const wrong = claims.checkIssued(content, rules, seconds(), "token")
        if (wrong !== undefined) return Result.fail(wrong)
        const times = claims.timesOf(content)
        return Result.map(claims.readClaims(content, value, rules), (token) => ({ token, ...times }))
      }

      // Neither `Effect.gen` nor `Effect.fn`, because this is most of the cost next to the signature.
      const verifyNew = (value: Redacted.Redacted, token: string, digest: string) => {
        const parsed = parseToken(token)
        if (Result.isFailure(parsed)) return fail(parsed.failure)
        const { header, payload } = parsed.success
        return Effect.flatMap(keys.find(header), (key) =>
          Effect.flatMap(
            Effect.tryPromise({
              try: () => meanwhile(compactVerify(token, key.jwk, pinned), () => readPayload(payload, value)),
              // Nothing of jose's error is kept, because it may quote the token.
              catch: () => new VerificationError({ reason: new BadSignature({ detail: "no key of IMS made it" }) })
            }),
            (read) => {
              if (Result.isFailure(read)) return fail(read.failure)
              known.set(digest, { ...read.success, key })
              return Effect.succeed(read.success.token)
            }
          )
        )
      }

      return {
        verify: (value) => {
          const token = Redacted.value(value)
          if (token === "") return fail(new Missing({}))
          if (token.length > jws.maxTokenLength) return fail(jws.tooLarge())
          return Effect.flatMap(digestOf(token), (digest) => {
            const found = known.get(digest)
            if (found !== undefined && isValid(found)) return Effect.succeed(found.token)
            return verifyNew(value, token, digest)
          })
        }
      }
    })
  )
