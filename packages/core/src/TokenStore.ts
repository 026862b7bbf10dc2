/**
 * Shares tokens between the replicas of an app, so that a fleet of any size makes the token requests of one process.
 *
 * `TokenStore` is a `Context.Reference` without a store by default: each process then has its own tokens. Provide a
 * store to `ITwin.layer`, or to another layer of `TokenCache`. A cache asks the store only where it would otherwise
 * request a token from IMS, after the secret was read. A token in memory costs what it costs without a store.
 *
 * **Details**
 *
 * - A store implements {@link Service}: four atomic steps on one row. It gets text and numbers, and understands neither.
 *   {@link make} adds the rest: the name of the row, the sealing, the lease, the limits, and what happens when the store
 *   fails. So a store can't forget to seal, and a program without a store carries none of this code.
 * - Sealing: AES-256-GCM under a key that HKDF-SHA256 derives from the client secret. Nobody manages a key, and a process
 *   that can read a token could request one itself. A rotated secret leads to another row. The client secret is never
 *   stored.
 * - A lease of 3 s makes the other replicas wait for the one that requests a token. The lease saves requests; nothing
 *   depends on it. When its holder dies, the others wait for 3 s at most.
 * - Times are durations on the store's clock. The clocks of the replicas are not compared.
 * - A wait that IMS asked for, and a refusal by IMS, hold all replicas. Other failures of IMS (5xx) hold those that have
 *   a usable token, since no caller notices. A failure of one replica's network is its own.
 * - A failing store is left alone for 5 s, with one warning. Until then, each replica requests its own tokens. Errors of
 *   the store never reach the callers of `TokenCache.get`.
 *
 * **Gotchas**
 *
 * With a store, `soft` of `TokenCache` is 50 % of the token's life by default, at most 30 min.
 *
 * **Example** (Two caches, one token request)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { TokenCache, TokenStore } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("makes one token request for two replicas", () =>
 *   Effect.gen(function* () {
 *     const fake = yield* FakeIms.FakeIms
 *     const first = yield* TokenCache.make()
 *     const second = yield* TokenCache.make()
 *     yield* first.get()
 *     yield* second.get()
 *     assert.strictEqual((yield* fake.tokenRequests).length, 1)
 *   }).pipe(Effect.provide(Layer.mergeAll(TokenStore.layerMemory, FakeIms.layerTest())))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { checkOption } from "./internal/checkOption.ts"
import { monotonicMillis } from "./internal/life/phase.ts"
import { type Cache, TokenStore as reference, type Sharing } from "./internal/store/reference.ts"
import * as row from "./internal/store/row.ts"
import { makeSeal, privateSeal } from "./internal/store/seal.ts"
import { makeShare } from "./internal/store/share.ts"

/**
 * Says that a step of the store failed. The cache then requests the token from IMS; callers never get this error.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenStoreError extends Schema.Error<TokenStoreError>("@effect-itwin/core/TokenStore/TokenStoreError")({
  _tag: Schema.tag("TokenStoreError"),
  /** The store's name. */
  store: Schema.String,
  /**
   * `timeout`: the step did not end in time. `unavailable`: the store is unreachable, or closed the connection.
   * `refused`: the store rejected the step, for example because of its access rules or because it is full.
   */
  kind: Schema.Literals(["timeout", "unavailable", "refused"]),
  /** What the store knows. Contains neither a row's value nor the store's password. */
  detail: Schema.String
}) {
  override get message(): string {
    return `The token store ${this.store} failed (${this.kind}): ${this.detail}`
  }
}

/**
 * Describes what a replica asks a row for. Times are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Claim {
  /** A random id, different for each claim of a lease. A token that is published gets it as its version. */
  readonly owner: string
  /** How long the lease lasts, if it is granted. */
  readonly lease: number
  /** The version of a token that the replica has already, or can't use. That token is not returned. */
  readonly known?: string | undefined
  /**
   * `none`: a token in the row is returned. `known`: the token of the version `known` is removed first, because an API
   * rejected it. `any`: no token is returned, because the replica wants one from IMS; the one in the row stays.
   */
  readonly forget: "none" | "known" | "any"
  /** The time that a token must have left to be returned. */
  readonly minLeft: number
  /** The lowest level of a setback that holds this claim. */
  readonly level: Level
}

/**
 * Names how strong a setback is. 1: IMS failed (5xx); holds replicas that have a usable token. 2: IMS rejected the
 * request; holds replicas without a token too. 3: IMS asked to wait; holds all, also callers that insist.
 *
 * @category models
 * @since 0.1.0
 */
export type Level = 1 | 2 | 3

/**
 * Describes the pause after IMS answered with a failure. It holds the replicas whose claims name its level or a lower one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Setback {
  readonly value: string
  /** In milliseconds. */
  readonly left: number
  readonly level: Level
}

/**
 * Describes what a claim gets: a token, the lease, or neither. `age` and `left` are milliseconds on the store's clock.
 *
 * - `Token`: the token in the row. Its `age` is 0 or more, its `left` greater than 0.
 * - `Held`: a setback holds for `left`.
 * - `Busy`: another owner has the lease for `left`.
 * - `Lease`: this owner has the lease. `previous` is the value of a setback that has ended less than 60 s ago, or that
 *   was passed because of its level.
 *
 * @category models
 * @since 0.1.0
 */
export type Claimed =
  | {
      readonly _tag: "Token"
      readonly value: string
      readonly version: string
      readonly age: number
      readonly left: number
    }
  | { readonly _tag: "Held"; readonly value: string; readonly left: number }
  | { readonly _tag: "Busy"; readonly left: number }
  | { readonly _tag: "Lease"; readonly previous?: string | undefined }

/**
 * Describes a token to be shared. Times are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Publication {
  /** The owner of the lease under which the token was requested. Becomes the version of the token. */
  readonly owner: string
  readonly value: string
  /** The time since the request was sent to IMS. */
  readonly age: number
  /** The time until the token expires, greater than 0. */
  readonly left: number
}

/**
 * Describes a store: four steps on one row, each atomic. A row is created by the first step on it, and may be removed
 * when all of it has ended.
 *
 * A row holds a token with its version, a lease with its owner, and a setback. Each ends by itself, on the store's
 * clock. If that clock is set back, a lease or a setback must not last longer than when it was stored.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** The store's name in log lines, without a password. */
  readonly name: string
  /**
   * Whether the rows never leave this process. Then they are not sealed, and no step waits for WebCrypto, which ignores
   * `TestClock`. Every other store says `false`.
   */
  readonly isPrivate: boolean
  /** The time limit of one step, connecting included. A step that takes longer counts as failed. */
  readonly timeout: Duration.Duration
  /**
   * Returns the first that applies:
   *
   * 1. `Token`, if the row has one with at least `minLeft` left whose version is not `known`, unless `forget` is `any`.
   *    With `forget: "known"`, the token of that version is removed before, whatever the claim gets.
   * 2. `Held`, if a setback of `level` or higher holds.
   * 3. `Busy`, if another owner has the lease.
   * 4. `Lease`: `owner` has the lease from now on. A claim of the same owner renews it.
   */
  readonly claim: (row: string, claim: Claim) => Effect.Effect<Claimed, TokenStoreError>
  /**
   * Stores the token, if `owner` has the lease, or the row has no token that expires later. Ends the lease of `owner`,
   * and a setback that began before the request was sent: `age` ago or earlier.
   */
  readonly publish: (row: string, publication: Publication) => Effect.Effect<void, TokenStoreError>
  /**
   * Ends the lease of `owner`. Stores the setback, if there is one, unless the row has a stronger one that still holds:
   * of a higher level, or of the same level and not ending earlier. A setback that ended is remembered for 60 s.
   */
  readonly release: (row: string, owner: string, setback?: Setback) => Effect.Effect<void, TokenStoreError>
  /** Removes the token if it has this version. */
  readonly drop: (row: string, version: string) => Effect.Effect<void, TokenStoreError>
}

/**
 * Describes a store that is ready to be provided. Only {@link make} builds one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shared {
  readonly service: Service
  /** Adds the store to the token requests of one cache. `TokenCache` calls it. */
  readonly share: (cache: Cache) => Sharing
}

/**
 * Sets how tokens are sealed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * A further secret that the keys depend on (the salt of HKDF), for example from a vault. All replicas need the same
   * one. Without it, a process that has the client secret can read the tokens of the app.
   */
  readonly additionalKey?: Redacted.Redacted | undefined
}

/**
 * Holds the store in use; none unless provided. The layers read it when they are built.
 *
 * @category references
 * @since 0.1.0
 */
export const TokenStore: Context.Reference<Shared | undefined> = reference

/**
 * Turns a store into one that can be provided: adds the names of the rows, the sealing, the lease and the limits. Throws
 * a `RangeError` if `additionalKey` is empty.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (service: Service, options?: Options): Shared => {
  const additionalKey = options?.additionalKey
  const isEmpty = additionalKey !== undefined && Redacted.value(additionalKey) === ""
  checkOption("TokenStore: additionalKey", additionalKey, !isEmpty, "a text that is not empty")
  return { service, share: makeShare(service, service.isPrivate ? privateSeal : makeSeal(additionalKey)) }
}

/**
 * Provides a store to the caches that are built with this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <E, R>(
  service: Effect.Effect<Service, E, R>,
  options?: Options
): Layer.Layer<never, E, Exclude<R, Scope.Scope>> =>
  Layer.effect(
    reference,
    Effect.map(service, (built) => make(built, options))
  )

/**
 * Builds a store in memory. It measures time on the monotonic clock of the program that builds it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMemory: Effect.Effect<Service> = Effect.map(Clock.Clock, (clock) => {
  const rows = new Map<string, row.Row>()
  const step = <A>(name: string, run: (row: row.Row, now: number) => readonly [A, row.Row]) =>
    Effect.sync(() => {
      const now = monotonicMillis(clock)
      for (const [other, value] of rows) if (row.current(value, now) === undefined) rows.delete(other)
      const [result, next] = run(row.current(rows.get(name), now) ?? {}, now)
      rows.set(name, next)
      return result
    })
  return {
    name: "memory",
    isPrivate: true,
    timeout: Duration.seconds(1),
    claim: (name, options) => step(name, (self, now) => row.claim(self, now, options)),
    publish: (name, publication) => step(name, (self, now) => [undefined, row.publish(self, now, publication)]),
    release: (name, owner, setback) => step(name, (self, now) => [undefined, row.release(self, now, owner, setback)]),
    drop: (name, version) => step(name, (self) => [undefined, row.drop(self, version)])
  }
})

/**
 * Provides a store in memory, for tests of a fleet in one process.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory: Layer.Layer<never> = layer(makeMemory)
