// Keeps the secrets of the fake Key Vault with their versions, and the deleted secrets.
import type * as Clock from "effect/Clock"
import type { Entropy } from "../engine/entropy.ts"

/** Describes one version of a secret. Times are in seconds, as in requests and responses. */
export interface Version {
  readonly id: string
  readonly value: string
  readonly created: number
  contentType: string | undefined
  expires: number | undefined
  notBefore: number | undefined
  tags: Readonly<Record<string, string>>
  updated: number
  enabled: boolean
}

/** Describes what a version can be created with. */
export type NewVersion = Omit<Version, "id" | "created" | "updated">

/** Describes what can be changed in a version later. `undefined` keeps the old value. */
export type Changes = {
  readonly [K in "contentType" | "expires" | "notBefore" | "tags" | "enabled"]?: Version[K] | undefined
}

/** Describes a secret that was deleted and can be recovered. */
export interface Deleted {
  readonly versions: Versions
  readonly deleted: number
  /** When the vault purges it. */
  readonly purge: number
}

/** Oldest first. */
export type Versions = readonly [Version, ...ReadonlyArray<Version>]

/** Is the number of days in which a deleted secret can be recovered. */
export const recoverableDays = 90

/** Matches the names that a vault accepts. */
export const isSecretName = (name: string): boolean => /^[0-9A-Za-z-]{1,127}$/.test(name)

export const newestOf = (versions: Versions): Version => versions.at(-1) ?? versions[0]

export interface Secrets {
  /** Returns the secrets in the order of their names. */
  readonly all: () => ReadonlyArray<readonly [name: string, versions: Versions]>
  readonly versions: (name: string) => Versions | undefined
  /** Returns the version with that id, or the newest one: never an older one because the newest is disabled. */
  readonly find: (name: string, id: string | undefined) => Version | undefined
  readonly add: (name: string, version: NewVersion) => Version
  readonly change: (version: Version, changes: Changes) => void
  /** Returns the deleted secrets that were not purged yet, in the order of their names. */
  readonly allDeleted: () => ReadonlyArray<readonly [name: string, deleted: Deleted]>
  readonly deleted: (name: string) => Deleted | undefined
  /** Deletes a secret with all its versions. */
  readonly remove: (name: string) => Deleted | undefined
  readonly recover: (name: string) => Versions | undefined
  readonly purge: (name: string) => boolean
  /** Returns the values of all versions, deleted secrets included. The array is the same until a value is added. */
  readonly values: () => ReadonlyArray<string>
  readonly clear: () => void
}

const byName = (one: readonly [string, unknown], other: readonly [string, unknown]): number =>
  one[0] < other[0] ? -1 : 1

export const makeSecrets = (clock: Clock.Clock, entropy: Entropy): Secrets => {
  const kept = new Map<string, Versions>()
  const removed = new Map<string, Deleted>()
  const now = () => Math.floor(clock.currentTimeMillisUnsafe() / 1000)

  let values: ReadonlyArray<string> = []
  const valuesNow = () =>
    [...kept.values(), ...Array.from(removed.values(), ({ versions }) => versions)].flat().map(({ value }) => value)

  const deleted = (name: string): Deleted | undefined => {
    const found = removed.get(name)
    if (found === undefined || found.purge > now()) return found
    removed.delete(name)
    values = valuesNow()
    return undefined
  }

  return {
    all: () => [...kept].sort(byName),
    versions: (name) => kept.get(name),
    find: (name, id) => {
      const versions = kept.get(name)
      if (versions === undefined) return undefined
      return id === undefined ? newestOf(versions) : versions.find((version) => version.id === id)
    },
    add: (name, fields) => {
      const version: Version = { ...fields, id: entropy.bytes(16).toString("hex"), created: now(), updated: now() }
      const older = kept.get(name)
      kept.set(name, older === undefined ? [version] : [...older, version])
      values = [...values, version.value]
      return version
    },
    change: (version, changes) => {
      version.contentType = changes.contentType ?? version.contentType
      version.expires = changes.expires ?? version.expires
      version.notBefore = changes.notBefore ?? version.notBefore
      version.tags = changes.tags ?? version.tags
      version.enabled = changes.enabled ?? version.enabled
      version.updated = now()
    },
    allDeleted: () =>
      [...removed.keys()]
        .flatMap((name) => {
          const found = deleted(name)
          return found === undefined ? [] : [[name, found] as const]
        })
        .sort(byName),
    deleted,
    remove: (name) => {
      const versions = kept.get(name)
      if (versions === undefined) return undefined
      const found = { versions, deleted: now(), purge: now() + recoverableDays * 24 * 60 * 60 }
      kept.delete(name)
      removed.set(name, found)
      return found
    },
    recover: (name) => {
      const found = deleted(name)
      if (found === undefined) return undefined
      removed.delete(name)
      kept.set(name, found.versions)
      return found.versions
    },
    purge: (name) => {
      if (deleted(name) === undefined || !removed.delete(name)) return false
      values = valuesNow()
      return true
    },
    values: () => values,
    clear: () => {
      kept.clear()
      removed.clear()
      values = []
    }
  }
}
