// The metrics and log lines of the cache. Metrics follow OpenTelemetry's conventions, with units in UCUM. The request
// adds the name of the cache to the log lines.
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { AccessToken } from "../../AccessToken.ts"
import type { TokenError } from "../../TokenError.ts"

const duration = Metric.histogram("itwin.auth.token.request.duration", {
  description: "Duration of token requests: reading the secret and requesting the token, retries included.",
  attributes: { unit: "s" },
  boundaries: Metric.boundariesFromIterable([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15])
})

const requests = Metric.counter("itwin.auth.cache.requests", {
  description: "Calls of get, by result: hit, stale (served and due for renewal), or miss.",
  attributes: { unit: "{request}" },
  incremental: true
})

const refreshFailures = Metric.counter("itwin.auth.refresh.failures", {
  description: "Token requests that failed, retries included.",
  attributes: { unit: "{failure}" },
  incremental: true
})

const timeToExpiry = Metric.gauge("itwin.auth.token.time_to_expiry", {
  description: "Remaining life of the newest token, when it was obtained.",
  attributes: { unit: "s" }
})

/** A failed renewal is logged as an error if the token in memory has at most this time left. */
const urgentSeconds = 2 * 60

interface Failed {
  /** How long the request took, in seconds. */
  readonly took: number
  /** The time that the token in memory has left, in seconds, if there is one. */
  readonly left: number | undefined
  /** The previous failure since the last success. */
  readonly previous: TokenError | undefined
  /** Whether a caller waited for the request, and sees its error. */
  readonly isAwaited: boolean
}

/** Returns a name of the defect, so that the same defect is logged as an error only once. */
const defectIn = (error: TokenError | undefined): string | undefined => {
  if (error === undefined) return undefined
  const reason = error.reason._tag === "SecretUnavailable" ? error.reason.error.reason : error.reason
  return reason._tag === "Defect" ? [reason.errorName, ...reason.frames].join(" ") : undefined
}

const logFailure = (error: TokenError, { isAwaited, left, previous }: Failed) => {
  const defect = defectIn(error)
  if (defect !== undefined && defect !== defectIn(previous)) return Effect.logError
  if (left !== undefined) return left <= urgentSeconds ? Effect.logError : Effect.logWarning
  return isAwaited ? Effect.logDebug : Effect.logWarning
}

export interface Telemetry {
  /**
   * Calls by result. Counted without an effect, because `get` is the hot path; published with the next
   * request.
   */
  readonly counts: { hit: number; stale: number; miss: number }
  readonly obtained: (
    token: AccessToken,
    seconds: { readonly took: number; readonly left: number },
    hasRecovered: boolean
  ) => Effect.Effect<void>
  readonly failed: (error: TokenError, failed: Failed) => Effect.Effect<void>
}

export const makeTelemetry = (cache: string): Telemetry => {
  const named = { "itwin.auth.cache": cache }
  const counts = { hit: 0, stale: 0, miss: 0 }
  const publish = Effect.suspend(() =>
    Effect.forEach(
      ["hit", "stale", "miss"] as const,
      (result) => {
        const n = counts[result]
        counts[result] = 0
        return n === 0 ? Effect.void : Metric.update(Metric.withAttributes(requests, { ...named, result }), n)
      },
      { discard: true }
    )
  )
  const measure = (seconds: number, attributes: Record<string, string>) =>
    Metric.update(Metric.withAttributes(duration, { ...named, ...attributes }), seconds)

  return {
    counts,
    obtained: (token, { left, took }, hasRecovered) =>
      Effect.all(
        [
          publish,
          measure(took, {}),
          Metric.update(Metric.withAttributes(timeToExpiry, named), Math.max(0, left)),
          (hasRecovered
            ? Effect.logInfo("Recovered: obtained an access token")
            : Effect.logDebug("Obtained an access token")
          ).pipe(Effect.annotateLogs({ clientId: token.clientId, scopes: token.scopes, expiresAt: token.expiresAt }))
        ],
        { discard: true }
      ),
    failed: (error, failed) => {
      const attributes = { "error.type": error.reason._tag }
      return Effect.all(
        [
          publish,
          measure(failed.took, attributes),
          Metric.update(Metric.withAttributes(refreshFailures, { ...named, ...attributes }), 1),
          logFailure(error, failed)(`Obtained no access token. ${error.message}`)
        ],
        { discard: true }
      )
    }
  }
}
