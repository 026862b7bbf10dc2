import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"

/** A date has 33 characters at most; a number as long is no time to wait. */
const maxLength = 40

/** How long `Retry-After` asks to wait (RFC 9110 §10.2.3); nothing if it is absent or malformed, zero for a past date. */
export const parseRetryAfter = (headers: Headers.Headers, now: DateTime.Utc): Duration.Duration | undefined => {
  const value = headers["retry-after"] ?? ""
  if (value.length > maxLength) return undefined
  const parsed = Headers.parseRetryAfter(value)
  if (Result.isFailure(parsed)) return undefined
  return parsed.success._tag === "Duration"
    ? parsed.success.duration
    : Duration.max(Duration.zero, DateTime.distance(now, parsed.success.dateTime))
}
