// Builds the JSON in which Key Vault describes secrets: with a value (a bundle) or without one (an item of a list).
import { type Deleted, newestOf, recoverableDays, type Version, type Versions } from "./secrets.ts"

const attributesOf = ({ enabled, notBefore, expires, created, updated }: Version) => ({
  enabled,
  ...(notBefore === undefined ? {} : { nbf: notBefore }),
  ...(expires === undefined ? {} : { exp: expires }),
  created,
  updated,
  recoveryLevel: "Recoverable+Purgeable",
  recoverableDays
})

const described = (id: string, version: Version) => ({
  ...(version.contentType === undefined ? {} : { contentType: version.contentType }),
  id,
  attributes: attributesOf(version),
  tags: version.tags
})

const deletion = (url: string, name: string, { deleted, purge }: Deleted) => ({
  recoveryId: `${url}/deletedsecrets/${name}`,
  deletedDate: deleted,
  scheduledPurgeDate: purge
})

/** Describes one version, without its value. */
export const versionItem = (url: string, name: string, version: Version) =>
  described(`${url}/secrets/${name}/${version.id}`, version)

/** Describes one version, with its value. */
export const bundle = (url: string, name: string, version: Version) => ({
  value: version.value,
  ...versionItem(url, name, version)
})

/** Describes a secret in the list of all, by its newest version. */
export const secretItem = (url: string, name: string, versions: Versions) =>
  described(`${url}/secrets/${name}`, newestOf(versions))

export const deletedBundle = (url: string, name: string, deleted: Deleted) => ({
  ...deletion(url, name, deleted),
  ...versionItem(url, name, newestOf(deleted.versions))
})

export const deletedItem = (url: string, name: string, deleted: Deleted) => ({
  ...deletion(url, name, deleted),
  ...secretItem(url, name, deleted.versions)
})
