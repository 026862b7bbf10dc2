import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"

const longest = Duration.days(1)

/**
 * Returns how long `Retry-After` asks to wait (RFC 9110 §10.2.3): at most a day, zero for a past date, undefined if the
 * header is absent or malformed.
 */
export const parseRetryAfter = (headers: Headers.Headers, now: DateTime.Utc): Duration.Duration | undefined => {
  const parsed = Headers.parseRetryAfter(headers["retry-after"] ?? "")
  return Result.isSuccess(parsed)
    ? Duration.min(Headers.retryAfterDelay(parsed.success, DateTime.toEpochMillis(now)), longest)
    : undefined
}
