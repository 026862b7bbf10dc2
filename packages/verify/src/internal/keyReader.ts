// Reads the key set of IMS, and keeps it.
//
// The key set is read when a token needs it, by one request that all callers share. It is used without another read for
// as long as `Cache-Control` says, within bounds. After that it is read in the background, and the old keys serve until
// the new ones are here, or for a day. A token with an unknown key id causes at most one read a minute.
import type { ImsRequestError, Response, Send } from "@effect-itwin/core/ImsRequest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { BadSignature, KeysUnavailable, VerificationError } from "../VerificationError.ts"
import type { Header } from "./compactJws.ts"
import { fail } from "./fail.ts"
import { type Key, type Keys, parseKeySet } from "./keySet.ts"
import { makeShared, monotonicMillis } from "./shared.ts"

const minute = 60_000
const hour = 60 * minute

/** How long one read may take. */
const timeLimit = 5_000
/** How long keys are used without another read: the bounds of `Cache-Control`, and what holds without it. */
const shortestLife = 5 * minute
const longestLife = 12 * hour
const usualLife = hour
/** How long keys are used while no read succeeds. */
const staleLife = 24 * hour
const unknownKeyPause = minute
/** The pause after a failed read: 1 s, doubling. */
const longestPause = minute
const longestStatedPause = 15 * minute

/** Returns how long the response may be used (RFC 9111 §5.2.2), in milliseconds. */
const lifeOf = (cacheControl: string | undefined): number => {
  if (cacheControl === undefined) return usualLife
  if (/(?:^|[\s,])(?:no-store|no-cache)(?:$|[\s,=])/i.test(cacheControl)) return shortestLife
  const seconds = /(?:^|[\s,])max-age="?(\d+)/i.exec(cacheControl)?.[1]
  return seconds === undefined ? usualLife : Math.min(Math.max(Number(seconds) * 1000, shortestLife), longestLife)
}

interface Held {
  readonly keys: Keys
  readonly life: number
  readonly wall: number
  readonly monotonic: number
}

interface Failed {
  readonly detail: string
  /** The next read is not made before this time of the monotonic clock. */
  readonly until: number
  /** The reads that failed in a row. */
  readonly count: number
}

export interface KeyReader {
  /** Returns the key with this id if it may be used now, without a read; starts one if it is due. */
  readonly peek: (kid: string) => Key | undefined
  /** Returns the key that has to have made the signature. */
  readonly find: (header: Header) => Effect.Effect<Key, VerificationError>
}

const none: Keys = new Map()

export const makeKeyReader = Effect.fnUntraced(function* (options: {
  readonly send: Send
  readonly url: string
  readonly algorithms: ReadonlySet<string>
}): Effect.fn.Return<KeyReader, never, Scope.Scope> {
  const { url } = options
  const clock = yield* Clock.Clock
  const now = () => monotonicMillis(clock)
  let held: Held | undefined
  let failed: Failed | undefined
  let unknownUntil = Number.NEGATIVE_INFINITY

  const unavailable = (detail: string, retryIn: number) =>
    new VerificationError({
      reason: new KeysUnavailable({
        endpoint: url,
        detail,
        retryAfter: Duration.seconds(Math.max(1, Math.ceil(retryIn / 1000)))
      })
    })

  const shared = yield* makeShared<void, VerificationError>(timeLimit, () =>
    unavailable("is not read any longer: the layer is closed", 0)
  )

  /** The larger of both ages: the wall clock can be set back, and the other may stop while a machine sleeps. */
  const ageOf = ({ monotonic, wall }: Held): number =>
    Math.max(now() - monotonic, clock.currentTimeMillisUnsafe() - wall)

  const onFailure = (detail: string, stated: Duration.Duration | undefined) => {
    const count = (failed?.count ?? 0) + 1
    const pause = Math.max(
      Math.min(1000 * 2 ** Math.min(count - 1, 10), longestPause),
      Math.min(stated === undefined ? 0 : Duration.toMillis(stated), longestStatedPause)
    )
    failed = { detail, count, until: now() + pause }
    const serving =
      held === undefined || ageOf(held) >= staleLife ? "No token can be verified" : "The old keys are used"
    return Effect.andThen(
      Effect.ignoreCause(Effect.logWarning(`The keys of IMS could not be read: ${url} ${detail}. ${serving}.`)),
      Effect.fail(unavailable(detail, pause))
    )
  }

  const accept = ({ body, headers, status, retryAfter }: Response) => {
    if (status !== 200) return onFailure(`returned status ${status}`, retryAfter)
    const parsed = parseKeySet(body, options.algorithms, held?.keys ?? none)
    if (Result.isFailure(parsed)) return onFailure(parsed.failure, undefined)
    held = {
      keys: parsed.success,
      life: lifeOf(headers["cache-control"]),
      wall: clock.currentTimeMillisUnsafe(),
      monotonic: now()
    }
    const isRecovered = failed !== undefined
    failed = undefined
    return isRecovered ? Effect.ignoreCause(Effect.logInfo("The keys of IMS were read again.")) : Effect.void
  }

  const read: Effect.Effect<void, VerificationError> = options
    .send(HttpClientRequest.get(url, { acceptJson: true }), timeLimit)
    .pipe(
      Effect.matchEffect({
        onFailure: ({ detail }: ImsRequestError) => onFailure(detail, undefined),
        onSuccess: accept
      }),
      Effect.withSpan("AccessTokenVerifier.readKeys", {
        root: true,
        attributes: { "http.request.method": "GET", "url.full": url }
      })
    )

  /** Reads the key set, unless a pause holds. */
  const readNow = Effect.suspend(() =>
    failed !== undefined && now() < failed.until && !shared.isRunning(url)
      ? Effect.fail(unavailable(failed.detail, failed.until - now()))
      : shared.join(url, read)
  )

  const isPaused = (): boolean => failed !== undefined && now() < failed.until

  /** Returns the keys that may be used now. Starts a read in the background if they are due. */
  const usable = (): Keys | undefined => {
    if (held === undefined) return undefined
    const age = ageOf(held)
    if (age >= staleLife) return undefined
    if (age >= held.life && !isPaused()) shared.start(url, read)
    return held.keys
  }

  const lookUp = ({ alg, kid }: Header): Effect.Effect<Key, VerificationError> | undefined => {
    const key = held?.keys.get(kid)
    if (key === undefined) return undefined
    return key.algorithms.has(alg)
      ? Effect.succeed(key)
      : fail(new BadSignature({ detail: "its key is for another algorithm" }))
  }

  const findUnknown = (header: Header): Effect.Effect<Key, VerificationError> => {
    const unknown = Effect.suspend(() => lookUp(header) ?? fail(new BadSignature({ detail: "its key is unknown" })))
    if (now() < unknownUntil && !shared.isRunning(url)) {
      // Without a successful read it is not known whether IMS has the key.
      return failed === undefined ? unknown : Effect.fail(unavailable(failed.detail, unknownUntil - now()))
    }
    if (!shared.isRunning(url)) unknownUntil = now() + unknownKeyPause
    return Effect.andThen(shared.join(url, read), unknown)
  }

  return {
    peek: (kid) => usable()?.get(kid),
    find: (header) =>
      Effect.suspend(() => {
        const found = Effect.suspend(() => lookUp(header) ?? findUnknown(header))
        return usable() === undefined ? Effect.andThen(readNow, found) : found
      })
  }
})
