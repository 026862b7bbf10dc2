// Warns about secrets that expire soon, once a day for each version.
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

const day = Duration.toMillis("1 day")
const notice = Duration.toMillis("30 days")

/** Builds the warning, which remembers the versions that it warned about. */
export const makeExpiryWarning = () => {
  const warned = new Map<string, number>()
  return Effect.fnUntraced(function* (secret: string, expiresAt: DateTime.Utc) {
    const now = yield* Clock.currentTimeMillis
    for (const [key, at] of warned) if (now - at >= day) warned.delete(key)
    if (expiresAt.epochMilliseconds - now > notice || warned.has(secret)) return
    warned.set(secret, now)
    const date = DateTime.formatIsoDateUtc(expiresAt)
    yield* Effect.logWarning(
      expiresAt.epochMilliseconds > now
        ? `The secret ${secret} expires on ${date}. Store a new version before that date.`
        : `The secret ${secret} expired on ${date}, but Key Vault still returns it. Store a new version.`
    )
  })
}
