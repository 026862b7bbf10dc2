/**
 * Keeps the sessions of users: their tokens, and until when they are signed in.
 *
 * A session belongs to a random id of 256 bits, which only the user's browser or program has. The tokens stay on the
 * server. `UserTokens` reads the store on each use, so that a sign-out holds on every replica.
 *
 * **Details**
 *
 * - A store implements {@link Backend}: six steps on text. {@link make} adds the rest: names, sealing, limits, and the
 *   lock. A backend sees a SHA-256 digest of the id, and the session sealed with AES-256-GCM, bound to that digest. So a
 *   copy of the store gives nobody a session.
 * - `keys` is a list: the first key seals, all of them open. To replace a key, add the new one at the end on each replica,
 *   then move it to the front, and remove the old one after the longest life of a session.
 * - The lock makes the replicas renew a session one after the other. Its holder renews the lock. When the holder dies,
 *   the lock ends within 5 s.
 * - {@link layerMemory} is for one process. It seals nothing, because nothing leaves the process.
 *
 * **Gotchas**
 *
 * The times in a session are those of the replica that wrote it. Keep the clocks of the replicas within a few seconds.
 *
 * **Example** (A session that was removed does not come back)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { AccessToken, Scopes, SessionStore } from "@effect-itwin/core"
 * import { DateTime, Effect, Option, Redacted } from "effect"
 *
 * const now = DateTime.makeUnsafe(0)
 * const session = new SessionStore.Session({
 *   key: "shown-in-logs",
 *   clientId: "webapp-abc",
 *   scopes: Scopes.itwinPlatform,
 *   accessToken: new AccessToken.AccessToken({
 *     value: Redacted.make("a-token"),
 *     tokenType: "Bearer",
 *     scopes: Scopes.itwinPlatform,
 *     requestedScopes: Scopes.itwinPlatform,
 *     clientId: "webapp-abc",
 *     issuedAt: now,
 *     expiresAt: DateTime.add(now, { hours: 1 })
 *   }),
 *   signedInAt: now,
 *   expiresAt: DateTime.add(now, { hours: 8 })
 * })
 *
 * it.effect("does not store a session that was removed", () =>
 *   Effect.gen(function* () {
 *     const store = yield* SessionStore.SessionStore
 *     const id = yield* SessionStore.makeId
 *     yield* store.set(id, session, { create: true })
 *     yield* store.remove(id)
 *     assert.isFalse(yield* store.set(id, session, { create: false }))
 *     assert.isTrue(Option.isNone(yield* store.get(id)))
 *   }).pipe(Effect.provide(SessionStore.layerMemory))
 * )
 * ```
 *
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Brand from "effect/Brand"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { AccessToken } from "./AccessToken.ts"
import { IdToken } from "./AuthorizationCode.ts"
import { checkLimit, checkOption } from "./internal/checkOption.ts"
import { hold } from "./internal/session/lock.ts"
import { makeMemoryBackend } from "./internal/session/memory.ts"
import { sessionOfText, textOfSession } from "./internal/session/sessionText.ts"
import { bytesOf, randomText } from "./internal/store/aead.ts"
import { makeRunStep } from "./internal/store/step.ts"
import * as Scopes from "./Scopes.ts"
import * as SealedText from "./SealedText.ts"

/**
 * Says that a step of the store failed.
 *
 * @category errors
 * @since 0.1.0
 */
export class SessionStoreError extends Schema.Error<SessionStoreError>(
  "@effect-itwin/core/SessionStore/SessionStoreError"
)({
  _tag: Schema.tag("SessionStoreError"),
  /** The store's name. */
  store: Schema.String,
  /**
   * `timeout`: the step did not end in time. `unavailable`: the store is unreachable, or closed the connection.
   * `refused`: the store rejected the step, for example because of its access rules or because it is full.
   */
  kind: Schema.Literals(["timeout", "unavailable", "refused"]),
  /** What the store knows. Contains neither a session, nor its id, nor the store's password. */
  detail: Schema.String
}) {
  override get message(): string {
    return `The session store ${this.store} failed (${this.kind}): ${this.detail}`
  }
}

/**
 * Represents the id of a session: 256 random bits as 43 characters of base64url. A secret: a process that has the id
 * can use the session.
 *
 * @category models
 * @since 0.1.0
 */
export type SessionId = Redacted.Redacted<string & Brand.Brand<"@effect-itwin/core/SessionId">>

const isIdText = (text: string): text is string & Brand.Brand<"@effect-itwin/core/SessionId"> =>
  /^[\w-]{43}$/.test(text)

/**
 * Returns the id in a text of a client, for example in a cookie; none if the text can't be an id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const parseId = (text: string): Option.Option<SessionId> =>
  isIdText(text) ? Option.some(Redacted.make(text, { label: "SessionId" })) : Option.none()

const idBytes = 32

/**
 * Makes a new id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeId: Effect.Effect<SessionId> = Effect.suspend(() =>
  Effect.orDie(Effect.fromOption(parseId(randomText(idBytes))))
)

const secret = Schema.optional(Schema.RedactedFromValue(Schema.NonEmptyString, { disallowEncode: true }))

/**
 * Holds what is known of a user who signed in. The tokens can't be encoded, and do not show.
 *
 * @category models
 * @since 0.1.0
 */
export class Session extends Schema.Class<Session>("@effect-itwin/core/SessionStore/Session")({
  /** Names the session in logs and spans. Random, and not the id: nobody can use the session with it. */
  key: Schema.NonEmptyString,
  clientId: Schema.NonEmptyString,
  /** The scopes for which the user signed in. */
  scopes: Scopes.Scopes,
  accessToken: AccessToken,
  /** Absent if the app did not request `offline_access`. Then the session ends with its access token. */
  refreshToken: secret,
  /**
   * The answer to a renewal with this refresh token did not arrive, so IMS may have replaced the refresh token. If IMS
   * rejects it, the access token is used until it expires.
   */
  isRenewalLost: Schema.optional(Schema.Boolean),
  /** Ends the session at IMS. */
  idToken: secret,
  /** The claims of the user. */
  user: Schema.optional(IdToken),
  signedInAt: Schema.DateTimeUtc,
  /** When the user must sign in again. */
  expiresAt: Schema.DateTimeUtc
}) {}

/**
 * Keeps the sessions.
 *
 * @category services
 * @since 0.1.0
 */
export class SessionStore extends Context.Service<
  SessionStore,
  {
    /** Returns the session with this id, if there is one. */
    readonly get: (id: SessionId) => Effect.Effect<Option.Option<Session>, SessionStoreError>
    /**
     * Stores the session until it expires. With `create: false` only if the store still has one with this id: a session
     * that was removed does not come back. Returns whether the session was stored.
     */
    readonly set: (
      id: SessionId,
      session: Session,
      options: { readonly create: boolean }
    ) => Effect.Effect<boolean, SessionStoreError>
    readonly remove: (id: SessionId) => Effect.Effect<void, SessionStoreError>
    /**
     * Waits for the lock of the session, and holds it until the scope ends. When the process that holds it dies, it ends
     * within 5 s.
     */
    readonly lock: (id: SessionId) => Effect.Effect<void, SessionStoreError, Scope.Scope>
    /** The store's name in errors, without a password. */
    readonly name: string
    /** The time limit of one step. */
    readonly timeout: Duration.Duration
  }
>()("@effect-itwin/core/SessionStore") {}

/**
 * Describes where sessions are kept: six steps, each atomic, on text. `name` is the name of a session. Times are
 * milliseconds on the clock of the backend.
 *
 * @category models
 * @since 0.1.0
 */
export interface Backend {
  /** The store's name in errors, without a password. */
  readonly name: string
  /**
   * Whether nothing ever leaves this process. Then nothing is sealed, the name is the id, and no step waits for
   * WebCrypto, which ignores `TestClock`. Every other backend says `false`.
   */
  readonly isPrivate: boolean
  /** The time limit of one step, connecting included. A step that takes longer fails. */
  readonly timeout: Duration.Duration
  /** Returns the text with this name; undefined if there is none, or its life has ended. */
  readonly get: (name: string) => Effect.Effect<string | undefined, SessionStoreError>
  /**
   * Stores the text for `life`. With `onlyIfPresent` only if there is a text with this name. Returns whether it was
   * stored.
   */
  readonly set: (
    name: string,
    text: string,
    options: { readonly life: number; readonly onlyIfPresent: boolean }
  ) => Effect.Effect<boolean, SessionStoreError>
  readonly remove: (name: string) => Effect.Effect<void, SessionStoreError>
  /**
   * Takes the lock of this name for `life`, unless another owner has it. Its owner extends it by the same step. Returns
   * whether `owner` has it now. A lock does not need a text with this name.
   */
  readonly tryLock: (name: string, owner: string, life: number) => Effect.Effect<boolean, SessionStoreError>
  /** Ends the lock if `owner` has it. */
  readonly unlock: (name: string, owner: string) => Effect.Effect<void, SessionStoreError>
}

/**
 * Sets how sessions are sealed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The keys, as in {@link SealedText.make}: the first one seals, all of them open. Every replica needs the same ones. A
   * private backend needs none.
   */
  readonly keys?: NonEmptyReadonlyArray<Redacted.Redacted> | undefined
}

/** What the backend gets to see of a session. */
interface Outside {
  readonly nameOf: (id: SessionId) => Effect.Effect<string>
  readonly seal: SealedText.SealedText["seal"]
  readonly open: SealedText.SealedText["open"]
}

const plain: Outside = {
  nameOf: (id) => Effect.succeed(Redacted.value(id)),
  seal: (text) => Effect.succeed(text),
  open: (text) => Effect.succeedSome(text)
}

const sealed = (keys: NonEmptyReadonlyArray<Redacted.Redacted>): Outside => ({
  nameOf: (id) =>
    Effect.map(
      Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", bytesOf(Redacted.value(id)))),
      (digest) => Base64Url.encode(new Uint8Array(digest))
    ),
  ...SealedText.make(keys)
})

/**
 * Builds the store over a backend. Throws a `RangeError` if a key is invalid, or if there is none and the backend is not
 * private.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (backend: Backend, { keys }: Options = {}): SessionStore["Service"] => {
  const timeout = checkLimit("SessionStore: timeout", backend.timeout)
  const limit = Duration.toMillis(timeout)
  checkOption("SessionStore: keys", undefined, backend.isPrivate || keys !== undefined, "a list of at least one key")
  const { nameOf, open, seal } = keys === undefined || backend.isPrivate ? plain : sealed(keys)
  const errorOf = (kind: SessionStoreError["kind"], detail: string) =>
    new SessionStoreError({ store: backend.name, kind, detail })
  const runStep = makeRunStep((value) => value instanceof SessionStoreError, errorOf)
  const step = <A>(
    id: SessionId,
    run: (name: string) => Effect.Effect<A, SessionStoreError>
  ): Effect.Effect<A, SessionStoreError> => Effect.flatMap(nameOf(id), (name) => runStep(limit, () => run(name)))
  let hasWarned = false

  const unusable = Effect.suspend(() => {
    if (hasWarned) return Effect.succeedNone
    hasWarned = true
    return Effect.as(
      Effect.ignoreCause(
        Effect.logWarning(
          `A session in the store ${backend.name} is not used: it was sealed with a key that is not in the list, or was ` +
            "changed. Its user must sign in again. Check that all replicas have the same keys."
        )
      ),
      Option.none<Session>()
    )
  })

  return {
    name: backend.name,
    timeout,
    get: Effect.fnUntraced(function* (id) {
      const name = yield* nameOf(id)
      const text: unknown = yield* runStep(limit, () => backend.get(name))
      if (text === undefined) return Option.none()
      const opened = typeof text === "string" ? yield* open(text, name) : Option.none()
      const session = Option.isSome(opened) ? sessionOfText(opened.value) : undefined
      return session === undefined ? yield* unusable : Option.some(session)
    }),
    set: Effect.fnUntraced(function* (id, session, { create }) {
      const name = yield* nameOf(id)
      const text = yield* seal(textOfSession(session), name)
      const life = session.expiresAt.epochMilliseconds - (yield* Clock.currentTimeMillis)
      if (life <= 0) return false
      const options = { life: Math.ceil(life), onlyIfPresent: !create }
      return (yield* runStep(limit, () => backend.set(name, text, options))) === true
    }),
    remove: (id) => Effect.asVoid(step(id, backend.remove)),
    lock: (id) =>
      hold({
        tryLock: (owner, life) =>
          Effect.map(
            step(id, (name) => backend.tryLock(name, owner, life)),
            (got) => got === true
          ),
        unlock: (owner) => step(id, (name) => backend.unlock(name, owner))
      })
  }
}

/**
 * Provides the store over a backend.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E, R>(
  backend: Effect.Effect<Backend, E, R>,
  options?: Options
): Layer.Layer<SessionStore, E, Exclude<R, Scope.Scope>> =>
  Layer.effect(
    SessionStore,
    Effect.map(backend, (built) => make(built, options))
  )

/**
 * Builds a backend in memory. It measures time on the monotonic clock of the program that builds it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory: Effect.Effect<Backend> = makeMemoryBackend

/**
 * Provides a store in memory: for a program of one process, and for tests.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<SessionStore> = layer(makeMemory)
