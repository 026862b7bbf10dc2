// What both kinds of sign-in share.
import * as AuthorizationCode from "@effect-itwin/core/AuthorizationCode"
import * as Scopes from "@effect-itwin/core/Scopes"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** The APIs of the platform, the claims of the user, and a refresh token. */
export const defaultScopes: Scopes.Scopes = Scopes.make("email itwin-platform offline_access openid profile")

/** Returns the duration; throws a `RangeError` unless it is above 0 and within the life of a sign-in. */
export const checkTimeout = (name: string, input: Duration.Input): Duration.Duration => {
  const duration = Option.getOrUndefined(Duration.fromInput(input))
  const isValid =
    duration !== undefined &&
    Duration.isGreaterThan(duration, Duration.zero) &&
    Duration.isLessThanOrEqualTo(duration, AuthorizationCode.timeLimit)
  if (!isValid) throw new RangeError(`${name} must be above 0 and at most 10 minutes`)
  return duration
}
