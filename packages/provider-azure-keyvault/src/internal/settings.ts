// The vault and its secrets, as the options name them. Invalid options are programming errors, so they are defects: a
// `RangeError` that never quotes what it found, because people put the secret where its name belongs.
import { ClientId } from "@effect-itwin/core/ClientCredentials"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { Options } from "../KeyVaultSecretProvider.ts"
import type { Kind } from "./credentials.ts"
import { authorityHostOf, checkVaultUrl } from "./vaultUrl.ts"

export const provider = "KeyVaultSecretProvider"

/** A secret of the vault, and a version if it is not the newest one. */
export interface Named {
  readonly secret: string
  readonly version: string | undefined
}

export interface Settings {
  /** The origin of the vault. */
  readonly vaultUrl: string
  readonly host: string
  /** The URL of Entra ID, if it is not the SDK's default. */
  readonly authorityHost: string | undefined
  readonly ids:
    | { readonly clientId: { readonly literal: string } | Named; readonly clientSecret: Named }
    | { readonly json: Named }
}

/** What a read is about, for its error messages. */
export interface Subject {
  readonly host: string
  readonly kind: Kind
  readonly named: Named
}

/** Returns the name as messages show it. */
export const nameOf = ({ secret, version }: Named): string => (version === undefined ? secret : `${secret}/${version}`)

export const expectedName =
  "the name of a secret in the vault (1 to 127 letters, digits and dashes), never the secret itself"
export const expectedVersion = "the id that the vault shows: letters and digits"
export const expectedClientId = "a client id: letters, digits, dot, dash and underscore"

export const isSecretName = (u: unknown): u is string => Predicate.isString(u) && /^[0-9A-Za-z-]{1,127}$/.test(u)
export const isVersion = (u: unknown): u is string => Predicate.isString(u) && /^[0-9A-Za-z]{1,64}$/.test(u)
export const isClientId = Schema.is(ClientId)

const invalid = (option: string, expected: string): never => {
  throw new RangeError(`${provider}: ${option} must be ${expected}`)
}

const named = (option: string, ref: unknown): Named => {
  const secret = Predicate.hasProperty(ref, "secret") ? ref.secret : ref
  const version = Predicate.hasProperty(ref, "version") ? ref.version : undefined
  if (!isSecretName(secret)) return invalid(option, expectedName)
  return version === undefined || isVersion(version)
    ? { secret, version }
    : invalid(`${option}.version`, expectedVersion)
}

const clientIdOf = (clientId: unknown): { readonly literal: string } | Named => {
  if (Predicate.hasProperty(clientId, "literal")) {
    const { literal } = clientId
    return isClientId(literal) ? { literal } : invalid("clientId.literal", expectedClientId)
  }
  return Predicate.hasProperty(clientId, "secret")
    ? named("clientId", clientId)
    : invalid("clientId", "{ literal } with the id itself, or { secret } with the name of the secret that holds it")
}

const isCredential = (u: unknown): boolean => Predicate.hasProperty(u, "_tag") || Predicate.hasProperty(u, "getToken")

/**
 * Throws a `RangeError` that names the invalid option. An option may have any type, since programs may be JavaScript.
 */
export const settingsOf = ({ vaultUrl, customDomain, credential, ...ids }: Options): Settings => {
  const expected = checkVaultUrl(vaultUrl, customDomain === true)
  if (expected !== undefined) return invalid("vaultUrl", expected)
  if (credential !== undefined && !isCredential(credential)) {
    return invalid("credential", "a choice of KeyVaultCredential, or a TokenCredential of the Azure SDK")
  }
  const { origin, host, hostname } = new URL(vaultUrl)
  return {
    vaultUrl: origin,
    host,
    authorityHost: authorityHostOf(hostname),
    ids:
      ids.json === undefined
        ? { clientId: clientIdOf(ids.clientId), clientSecret: named("clientSecret", ids.clientSecret) }
        : { json: named("json", ids.json) }
  }
}
