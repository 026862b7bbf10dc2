// What the fake Key Vault knows: its secrets and their versions, who may read them, and what happened to it.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type Entropy, uuid } from "./engine/entropy.ts"
import { makeKey, type SigningKey } from "./engine/jwt.ts"
import { makeScript, type Script } from "./engine/script.ts"

/** Why the vault says no to a caller it knows. */
export type Denial = "ForbiddenByRbac" | "ForbiddenByPolicy" | "ForbiddenByFirewall"

/** The routes that can have a script. */
export type Route = "secret" | "token" | "metadata"

export const routes: ReadonlyArray<Route> = ["secret", "token", "metadata"]

/** One version of a secret. Times are in whole seconds, as on the wire. */
export interface Version {
  readonly id: string
  readonly value: string
  readonly contentType: string | undefined
  readonly expires: number | undefined
  readonly notBefore: number | undefined
  readonly created: number
  readonly tags: Readonly<Record<string, string>>
  updated: number
  enabled: boolean
}

/** A request for a secret; filled in while it is served. */
export interface Read {
  readonly at: number
  readonly secretName: string
  readonly version: string | undefined
  authenticated: boolean
  fault: string | undefined
  status: number | undefined
  outcome: string
}

/** A request for a token. */
export interface TokenRequest {
  readonly at: number
  readonly endpoint: "entra" | "metadata"
  clientId: string | undefined
  fault: string | undefined
  status: number | undefined
  outcome: string
}

/** A test that waits until there were so many reads. */
export interface Waiter {
  readonly count: number
  readonly resume: (reached: Effect.Effect<void>) => void
}

export interface Vault {
  readonly clock: Clock.Clock
  readonly entropy: Entropy
  readonly key: SigningKey
  /** Of the vault itself, without a slash at the end. */
  readonly url: string
  /** Where tokens are to be had, without a slash at the end. */
  readonly authority: string
  readonly resource: string
  readonly tenantId: string
  readonly clientId: string
  readonly clientSecret: string
  /** Versions oldest first. */
  readonly secrets: Map<string, Array<Version>>
  readonly scripts: Readonly<Record<Route, Script>>
  readonly reads: Array<Read>
  readonly tokenRequests: Array<TokenRequest>
  readonly waiting: Set<Waiter>
  /** The tokens that were issued or accepted so far, and those that are refused from now on, by their `jti`. */
  readonly known: Set<string>
  readonly revoked: Set<string>
  denial: Denial | undefined
  challenge: { readonly authorization: string; readonly resource: string }
}

export const makeVault = (options: {
  readonly entropy: Entropy
  readonly url: string
  readonly authority: string
  readonly resource: string
  readonly tenantId: string | undefined
}): Effect.Effect<Vault> =>
  Effect.map(Clock.Clock, (clock) => {
    const { entropy } = options
    const key = makeKey("EdDSA", entropy)
    const tenantId = options.tenantId ?? uuid(entropy)
    return {
      ...options,
      clock,
      key,
      tenantId,
      clientId: uuid(entropy),
      clientSecret: `fake-secret-${entropy.bytes(12).toString("hex")}+/=`,
      secrets: new Map(),
      scripts: { secret: makeScript(clock), token: makeScript(clock), metadata: makeScript(clock) },
      reads: [],
      tokenRequests: [],
      waiting: new Set(),
      known: new Set(),
      revoked: new Set(),
      denial: undefined,
      challenge: { authorization: `${options.authority}/${tenantId}`, resource: options.resource }
    }
  })

export const nowSeconds = (vault: Vault): number => Math.floor(vault.clock.currentTimeMillisUnsafe() / 1000)

/** The names that a vault takes. */
export const isSecretName = (name: string): boolean => /^[0-9A-Za-z-]{1,127}$/.test(name)

export const addVersion = (
  vault: Vault,
  name: string,
  options: Pick<Version, "value" | "contentType" | "expires" | "notBefore" | "tags" | "enabled">
): Version => {
  const now = nowSeconds(vault)
  const version = { ...options, id: vault.entropy.bytes(16).toString("hex"), created: now, updated: now }
  vault.secrets.set(name, [...(vault.secrets.get(name) ?? []), version])
  return version
}

/** The version of that id, or the newest one: never an older one because the newest is disabled. */
export const findVersion = (vault: Vault, name: string, id: string | undefined): Version | undefined => {
  const versions = vault.secrets.get(name)
  return id === undefined ? versions?.at(-1) : versions?.find((version) => version.id === id)
}

export const recordRead = (vault: Vault, read: Read): Read => {
  vault.reads.push(read)
  for (const waiter of vault.waiting) {
    if (vault.reads.length < waiter.count) continue
    vault.waiting.delete(waiter)
    waiter.resume(Effect.void)
  }
  return read
}
