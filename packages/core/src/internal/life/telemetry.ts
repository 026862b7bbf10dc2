// What the cache tells operators: metrics by OpenTelemetry's conventions (units in UCUM), and log lines, which the
// flight annotates with the cache's name.
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { AccessToken } from "../../AccessToken.ts"
import type { TokenError } from "../../TokenError.ts"

const duration = Metric.histogram("itwin.auth.token.request.duration", {
  description: "Duration of flights: reading the secret and asking IMS, retries included.",
  attributes: { unit: "s" },
  boundaries: Metric.boundariesFromIterable([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15])
})

const requests = Metric.counter("itwin.auth.cache.requests", {
  description: "Tokens asked for, by how they were answered.",
  attributes: { unit: "{request}" },
  incremental: true
})

const refreshFailures = Metric.counter("itwin.auth.refresh.failures", {
  description: "Flights that gave no token.",
  attributes: { unit: "{failure}" },
  incremental: true
})

const timeToExpiry = Metric.gauge("itwin.auth.token.time_to_expiry", {
  description: "Life left of the token that came last, when it came.",
  attributes: { unit: "s" }
})

/** Errors are logged as such when the token at hand has no more than this left. */
const urgentMillis = 2 * 60_000

/** Who asked for a first token sees the error; that of a renewal, or of the warm-up, is seen by nobody else. */
const logFailure = (now: number, expiry: number | undefined, isAsked: boolean) => {
  if (expiry === undefined) return isAsked ? Effect.logDebug : Effect.logWarning
  return now >= expiry - urgentMillis ? Effect.logError : Effect.logWarning
}

export interface Telemetry {
  /** Counts without an effect, for the hot path; published with the next flight. */
  readonly count: (result: "hit" | "stale" | "miss") => void
  readonly obtained: (token: AccessToken, started: number, now: number, recovered: boolean) => Effect.Effect<void>
  readonly failed: (
    error: TokenError,
    started: number,
    now: number,
    expiry: number | undefined,
    isAsked: boolean
  ) => Effect.Effect<void>
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
  const took = (started: number, now: number, attributes: Record<string, string>) =>
    Metric.update(Metric.withAttributes(duration, { ...named, ...attributes }), (now - started) / 1000)

  return {
    count: (result) => {
      counts[result]++
    },
    obtained: (token, started, now, recovered) =>
      Effect.all(
        [
          publish,
          took(started, now, {}),
          Metric.update(
            Metric.withAttributes(timeToExpiry, named),
            Math.max(0, (token.expiresAt.epochMilliseconds - now) / 1000)
          ),
          (recovered
            ? Effect.logInfo("Recovered: obtained an access token")
            : Effect.logDebug("Obtained an access token")
          ).pipe(Effect.annotateLogs({ clientId: token.clientId, scopes: token.scopes, expiresAt: token.expiresAt }))
        ],
        { discard: true }
      ),
    failed: (error, started, now, expiry, isAsked) =>
      Effect.all(
        [
          publish,
          took(started, now, { "error.type": error.reason._tag }),
          Metric.update(Metric.withAttributes(refreshFailures, { ...named, "error.type": error.reason._tag }), 1),
          logFailure(now, expiry, isAsked)(`Obtained no access token. ${error.message}`)
        ],
        { discard: true }
      )
  }
}
