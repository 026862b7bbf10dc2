// The texts that a row holds before they are sealed: a token, and a failure that holds all replicas.
import * as DateTime from "effect/DateTime"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { AccessToken } from "../../AccessToken.ts"
import { Scopes } from "../../Scopes.ts"
import { TokenError } from "../../TokenError.ts"
import type { Claimed, Level } from "../../TokenStore.ts"
import { lengthAfter, statedBy } from "../life/backoff.ts"
import type { Instant } from "../life/phase.ts"
import type { Acquired, Paused } from "../life/tokenLife.ts"
import type { Subject } from "./seal.ts"

/** Tells whether a store returned what a claim can get. Its code is foreign, and others may write to its rows. */
export const isClaimed: (value: unknown) => value is Claimed = Schema.is(
  Schema.Union([
    Schema.TaggedStruct("Token", {
      value: Schema.String,
      version: Schema.String,
      age: Schema.Finite,
      left: Schema.Finite
    }),
    Schema.TaggedStruct("Held", { value: Schema.String, left: Schema.Finite }),
    Schema.TaggedStruct("Busy", { left: Schema.Finite }),
    Schema.TaggedStruct("Lease", { previous: Schema.optional(Schema.String) })
  ])
)

/** No token lives longer, in milliseconds. An older one has a wrong age, which would not fit into a date. */
const longestLife = 24 * 60 * 60_000

const TokenText = Schema.fromJsonString(
  Schema.Struct({ value: Schema.NonEmptyString, scopes: Scopes, expiresAt: Schema.Finite })
)
const encodeToken = Schema.encodeSync(TokenText)
const decodeToken = Schema.decodeResult(TokenText)

export const textOfToken = ({ expiresAt, scopes, value }: AccessToken): string =>
  encodeToken({ value: Redacted.value(value), scopes, expiresAt: expiresAt.epochMilliseconds })

/**
 * Returns the token with its times on the clocks of this process, counted from `askedAt`: just before the store was
 * asked. Returns undefined if it has too little time left, or is older than a token can be.
 *
 * The store's times are not sealed. So the expiry that is sealed limits them: an expired token that somebody stores
 * again stays expired.
 */
export const tokenOfText = (
  text: string,
  claimed: Extract<Claimed, { readonly _tag: "Token" }>,
  { credentials, scopes: requestedScopes }: Subject,
  askedAt: Instant,
  minLeft: number
): Acquired | undefined => {
  const decoded = Result.getOrUndefined(decodeToken(text))
  if (decoded === undefined) return undefined
  const age = Math.max(0, claimed.age)
  const left = Math.min(claimed.left, decoded.expiresAt - askedAt.wall)
  if (!(left >= minLeft && age <= longestLife)) return undefined
  return {
    token: new AccessToken({
      value: Redacted.make(decoded.value),
      tokenType: "Bearer",
      scopes: decoded.scopes,
      requestedScopes,
      clientId: credentials.clientId,
      issuedAt: DateTime.makeUnsafe(askedAt.wall - age),
      expiresAt: DateTime.makeUnsafe(askedAt.wall + left)
    }),
    bornAt: askedAt.monotonic - age
  }
}

const FailureText = Schema.fromJsonString(
  Schema.toCodecJson(Schema.Struct({ error: TokenError, length: Schema.Finite, until: Schema.Finite }))
)
const encodeFailure = Schema.encodeSync(FailureText)
const decodeFailure = Schema.decodeResult(FailureText)

/** Returns the level of the failure; undefined if it concerns only this replica, its network or its proxy. */
export const levelOf = (error: TokenError): Level | undefined => {
  const { reason } = error
  switch (reason._tag) {
    case "InvalidClient":
    case "UnauthorizedClient":
    case "InvalidScope":
    case "InvalidGrant":
    case "InvalidRequest":
    case "UnsupportedGrantType":
    case "OAuthError":
    case "RateLimited":
      return statedBy(error) > 0 ? 3 : 2
    case "ServerError":
      return statedBy(error) > 0 ? 3 : 1
    default:
      return undefined
  }
}

interface Failure {
  readonly text: string
  readonly left: number
  readonly level: Level
}

/**
 * Returns the failure as far as it holds all replicas. `previous` is the length of the pause before, since the last
 * success. `replays: false`: a pause that IMS did not ask for lasts as long as the first one.
 */
export const failureFor = (
  error: TokenError,
  previous: number | undefined,
  replays: boolean,
  now: Instant
): Failure | undefined => {
  const level = levelOf(error)
  // An error that is returned again says nothing new.
  if (level === undefined || error.nextAttemptIn !== undefined) return undefined
  const length = lengthAfter(error, replays ? previous : undefined)
  const left = Math.max(length, statedBy(error))
  return { text: encodeFailure({ error, length, until: now.wall + left }), left, level }
}

/** Returns the pause that another replica stored. The sealed end limits it, as that of a token does. */
export const pausedOfText = (text: string, left: number, now: Instant): Paused | undefined => {
  const decoded = Result.getOrUndefined(decodeFailure(text))
  if (decoded === undefined) return undefined
  const { error, length, until } = decoded
  return { error, length, isStated: statedBy(error) > 0, left: Math.min(left, until - now.wall) }
}
