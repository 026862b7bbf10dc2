// Renews the tokens of a session with its refresh token, under the lock of the store.
//
// A refresh token works once. So each step is taken in this order: lock, read, send, store, hand out. From the moment
// the request is sent, nothing interrupts the rest: not the caller, not a time limit of the caller, and not the end of
// the layer, which waits for it.
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { AccessToken } from "../../AccessToken.ts"
import type { ClientCredentials, PublicClient } from "../../ClientCredentials.ts"
import { Session, type SessionId, type SessionStore, type SessionStoreError } from "../../SessionStore.ts"
import * as TokenError from "../../TokenError.ts"
import * as TokenRequest from "../../TokenRequest.ts"
import type { Ask } from "../life/acquireToken.ts"
import type { RunRequest } from "../life/runRequest.ts"
import type { Acquired, Attempt } from "../life/tokenLife.ts"
import { isSame } from "../life/tokens.ts"
import { makeFinishing } from "./finishing.ts"

/** What this process knows of a session, in addition to the store. */
export interface Known {
  readonly id: SessionId
  readonly key: string
  /** The token that an API rejected, or that a caller invalidated. */
  rejected: AccessToken | undefined
  /** The refresh token for which an answer was lost. The store may not have taken that. */
  lost: Redacted.Redacted | undefined
  /** What IMS granted and the store has not taken yet. `replaces` is the refresh token that it was granted for. */
  unsaved: { readonly session: Session; readonly replaces: Redacted.Redacted | undefined } | undefined
}

export type Client = ClientCredentials | PublicClient

/** Where a replaced token may still be used, this much time must be left, in milliseconds. */
const travelTime = 5_000

/** A store that fails once may take the next attempt. */
const saveAgain = { schedule: Schedule.exponential("100 millis"), times: 2 }

interface Options {
  readonly store: SessionStore["Service"]
  readonly endpoint: string
  readonly clock: Clock.Clock
  readonly now: () => number
  readonly run: RunRequest
  readonly known: (key: string) => Known | undefined
  /** The sessions whose tokens the store has not taken yet. */
  readonly unsaved: () => ReadonlyArray<Known>
  readonly forget: (key: string) => void
  /** Revokes a refresh token at IMS. Never fails. */
  readonly revoke: (token: Redacted.Redacted) => Effect.Effect<void>
}

export interface Renewal {
  readonly ask: Ask<string, Client>
  /** Returns the session from the store; fails with `SignedOut` if there is none. */
  readonly read: (id: SessionId, why: TokenError.SignedOut["why"]) => Effect.Effect<Session, TokenError.TokenError>
  readonly unavailable: (error: SessionStoreError) => TokenError.TokenError
  /** Makes it finish once begun: neither its caller nor the end of the layer interrupts it. */
  readonly finish: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

const isSameSecret = (self: Redacted.Redacted | undefined, that: Redacted.Redacted | undefined): boolean =>
  self === undefined || that === undefined ? self === that : Redacted.value(self) === Redacted.value(that)

const change = (session: Session, changes: Partial<Session>): Session => new Session({ ...session, ...changes })

/** Tells whether IMS certainly did not process the request, or refused it. */
const isAnswered = ({ reason }: TokenError.TokenError): boolean => {
  switch (reason._tag) {
    case "Timeout":
    case "ServerError":
    case "InvalidResponse":
    case "ResponseTooLarge":
    case "UnexpectedStatus":
    case "Defect":
      return false
    case "Transport":
      return reason.kind === "dns" || reason.kind === "refused" || reason.kind === "tls" || reason.kind === "proxy"
    default:
      return true
  }
}

export const makeRenewal = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Renewal, never, Scope.Scope> {
  const { clock, endpoint, now, store } = options
  const storeMillis = Duration.toMillis(store.timeout)

  const tokenError = (reason: TokenError.TokenErrorReason) => new TokenError.TokenError({ reason, endpoint })
  const signedOut = (why: TokenError.SignedOut["why"]) => Effect.fail(tokenError(new TokenError.SignedOut({ why })))
  const unavailable = ({ detail, kind, store }: Pick<SessionStoreError, "store" | "kind" | "detail">) =>
    tokenError(new TokenError.SessionUnavailable({ error: { store, kind, detail } }))
  const stored = <A, R>(self: Effect.Effect<A, SessionStoreError, R>) => Effect.mapError(self, unavailable)

  const wall = () => clock.currentTimeMillisUnsafe()
  const { all, finish, track } = makeFinishing()

  const read: Renewal["read"] = Effect.fnUntraced(function* (id, why) {
    const session = Option.getOrUndefined(yield* stored(store.get(id)))
    if (session === undefined) return yield* signedOut(why)
    if (session.expiresAt.epochMilliseconds > wall()) return session
    yield* Effect.ignore(store.remove(id))
    return yield* signedOut("expired")
  })

  /** Stores what IMS granted. Until that has succeeded, the next renewal begins with it. */
  const save = Effect.fnUntraced(function* (known: Known, unsaved: NonNullable<Known["unsaved"]>) {
    const { session } = unsaved
    known.unsaved = unsaved
    const isStored = yield* stored(Effect.retry(store.set(known.id, session, { create: false }), saveAgain))
    known.unsaved = undefined
    if (isStored) return
    // The user signed out while the request was on its way.
    if (session.refreshToken !== undefined) yield* options.revoke(session.refreshToken)
    return yield* signedOut(session.expiresAt.epochMilliseconds > wall() ? "ended" : "expired")
  })

  const bornAt = (token: AccessToken): number => now() - Math.max(0, wall() - token.issuedAt.epochMilliseconds)

  const isUseful = (token: AccessToken, known: Known, held: AccessToken | undefined): boolean =>
    (known.rejected === undefined || !isSame(token, known.rejected)) &&
    (held === undefined || !isSame(token, held)) &&
    token.expiresAt.epochMilliseconds - wall() > travelTime

  /** After IMS rejected the refresh token. Returns the session if another replica has renewed it meanwhile. */
  const rejected = Effect.fnUntraced(function* (
    known: Known,
    sent: Session,
    error: TokenError.TokenError,
    isLost: boolean
  ) {
    const session = yield* read(known.id, "ended")
    if (!isSameSecret(session.refreshToken, sent.refreshToken)) return session
    const { accessToken } = session
    const left = accessToken.expiresAt.epochMilliseconds - wall()
    if (isLost && left > travelTime) {
      // The answer to an earlier request was lost. The session ends with the access token that it has.
      const expiresAt = DateTime.min(session.expiresAt, accessToken.expiresAt)
      const last = change(session, { refreshToken: undefined, isRenewalLost: undefined, expiresAt })
      yield* stored(store.set(known.id, last, { create: false }))
      return yield* Effect.fail(error)
    }
    yield* stored(store.remove(known.id))
    return yield* signedOut("rejected")
  })

  const renew = (
    known: Known,
    session: Session,
    client: Client,
    attempt: Attempt,
    isLast: boolean
  ): Effect.Effect<Acquired, TokenError.TokenError> =>
    Effect.gen(function* () {
      const { refreshToken } = session
      if (refreshToken === undefined) return yield* signedOut("expired")
      let attempts = 0
      const limits = {
        isProbe: attempt.isProbe,
        timeLeft: () => {
          const left = Duration.toMillis(attempt.timeLeft())
          return Duration.millis(Math.max(left - storeMillis, left / 2))
        },
        mayContinue: Effect.tap(attempt.mayContinue, () =>
          Effect.sync(() => {
            attempts++
          })
        )
      }
      const grant = { _tag: "RefreshToken", refreshToken } as const
      const request = TokenRequest.exchange({ credentials: client, scopes: session.scopes, grant })
      const outcome = yield* Effect.result(options.run(request, limits))
      if (Result.isSuccess(outcome)) {
        const { answer, bornAt } = outcome.success
        const next = change(session, {
          accessToken: answer.accessToken,
          refreshToken: answer.refreshToken ?? refreshToken,
          idToken: answer.idToken ?? session.idToken,
          isRenewalLost: undefined
        })
        yield* save(known, { session: next, replaces: refreshToken })
        return { token: answer.accessToken, bornAt }
      }
      const error = outcome.failure
      if (error.reason._tag === "InvalidGrant") {
        const isLost = session.isRenewalLost === true || attempts > 1 || isSameSecret(known.lost, refreshToken)
        const other = yield* rejected(known, session, error, isLost)
        if (isUseful(other.accessToken, known, session.accessToken)) {
          return { token: other.accessToken, bornAt: bornAt(other.accessToken) }
        }
        return isLast ? yield* Effect.fail(error) : yield* renew(known, other, client, attempt, true)
      }
      if (attempts > 0 && !isAnswered(error) && session.isRenewalLost !== true) {
        known.lost = refreshToken
        const marked = change(session, { isRenewalLost: true })
        yield* Effect.ignore(Effect.retry(store.set(known.id, marked, { create: false }), saveAgain))
      }
      return yield* Effect.fail(error)
    })

  /** Stores first what an earlier renewal could not store. */
  const current = Effect.fnUntraced(function* (known: Known) {
    const session = yield* read(known.id, "ended")
    const { unsaved } = known
    if (unsaved === undefined) return session
    if (!isSameSecret(session.refreshToken, unsaved.replaces)) {
      // It was stored after all, or another replica has renewed the session.
      known.unsaved = undefined
      return session
    }
    yield* finish(save(known, unsaved))
    return unsaved.session
  })

  /** Forgets a session that has ended, and revokes what IMS granted for it. */
  const settle = (known: Known) => (error: TokenError.TokenError) =>
    Effect.suspend(() => {
      if (error.reason._tag !== "SignedOut") return Effect.void
      const token = known.unsaved?.session.refreshToken
      known.unsaved = undefined
      options.forget(known.key)
      return token === undefined ? Effect.void : options.revoke(token)
    })

  const saveLater = (known: Known) =>
    Effect.andThen(stored(store.lock(known.id)), current(known)).pipe(
      Effect.scoped,
      Effect.tapError(settle(known)),
      Effect.ignore
    )

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      yield* all
      yield* Effect.forEach(options.unsaved(), saveLater, { concurrency: "unbounded", discard: true }).pipe(
        Effect.timeoutOption(Duration.times(store.timeout, 3))
      )
    })
  )
  const scope = yield* Effect.scope
  const saving = new Set<Known>()

  /**
   * Stores what IMS granted as soon as the store works again. Otherwise another replica could be first, and use the old
   * refresh token a second time.
   */
  const keepSaving = (known: Known) =>
    Effect.suspend(() => {
      if (known.unsaved === undefined || saving.has(known)) return Effect.void
      saving.add(known)
      return Effect.sleep(Duration.millis(500)).pipe(
        Effect.andThen(saveLater(known)),
        Effect.repeat({ while: () => known.unsaved !== undefined }),
        Effect.ensuring(Effect.sync(() => saving.delete(known))),
        Effect.forkIn(scope)
      )
    })

  const lock = (id: SessionId, attempt: Attempt) => {
    const limit = Duration.times(attempt.timeLeft(), 2 / 3)
    const detail = "another replica did not release the lock of the session in time."
    return Effect.timeoutOrElse(stored(store.lock(id)), {
      duration: limit,
      orElse: () => Effect.fail(unavailable({ store: store.name, kind: "timeout", detail }))
    })
  }

  const ask: Renewal["ask"] = (client, key, attempt) =>
    Effect.suspend(() => {
      const known = options.known(key)
      if (known === undefined) return signedOut("unknown")
      const held = attempt.held()?.token
      return Effect.gen(function* () {
        yield* lock(known.id, attempt)
        const session = yield* current(known)
        const { accessToken } = session
        if (isUseful(accessToken, known, held)) return { token: accessToken, bornAt: bornAt(accessToken) }
        if (session.clientId !== client.clientId) return yield* signedOut("unknown")
        yield* attempt.mayContinue
        return yield* finish(renew(known, session, client, attempt, false))
      }).pipe(
        Effect.scoped,
        Effect.tapError(settle(known)),
        Effect.tapError(() => keepSaving(known)),
        track
      )
    })

  return { ask, read, unavailable, finish: (self) => track(finish(self)) }
})
