// Whether the options name a vault and its secrets. A violation never quotes what it found: people put the secret where
// its name belongs.
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import * as Predicate from "effect/Predicate"
import type { Ids, Options } from "../KeyVaultSecretProvider.ts"

export const provider = "KeyVaultSecretProvider"

/** The clouds, by the end of their vaults' names, and where their Entra ID is. */
const clouds: ReadonlyArray<readonly [suffix: string, authorityHost: string | undefined]> = [
  [".vault.azure.net", undefined],
  [".vault.azure.cn", "https://login.chinacloudapi.cn"],
  [".vault.usgovcloudapi.net", "https://login.microsoftonline.us"]
]

const suffixes = clouds.map(([suffix]) => suffix.slice(1)).join(", ")

export interface Settings {
  /** The origin alone. */
  readonly vaultUrl: string
  readonly host: string
  /** Absent where the SDK's own default holds. */
  readonly authorityHost: string | undefined
  readonly ids:
    | { readonly clientId: { readonly literal: string } | Named; readonly clientSecret: Named }
    | { readonly json: Named }
}

/** A secret of the vault, and a version if it is not the newest one. */
export interface Named {
  readonly secret: string
  readonly version: string | undefined
}

/** For messages. */
export const nameOf = ({ secret, version }: Named): string => (version === undefined ? secret : `${secret}/${version}`)

export const misconfigured = (secretName: string, advice: string) =>
  new SecretProviderError.Misconfigured({ provider, secretName, advice })

export type Checked<A> = A | SecretProviderError.Misconfigured

export const isMisconfigured = (u: unknown): u is SecretProviderError.Misconfigured =>
  u instanceof SecretProviderError.Misconfigured

const bareOrigin = (url: URL): boolean =>
  url.username === "" && url.password === "" && url.pathname === "/" && url.search === "" && url.hash === ""

/** What `vaultUrl` must be and is not; nothing if it is all right. */
export const checkVaultUrl = (text: string, customDomain: boolean): string | undefined => {
  const url = URL.parse(text)
  if (url === null || url.protocol !== "https:" || !bareOrigin(url) || /[?#]/.test(text)) {
    return "an https URL with neither user info nor path, query or fragment: https://<name>.vault.azure.net"
  }
  if (customDomain) return undefined
  if (/(^|\.)managedhsm\./.test(url.hostname)) return "the URL of a vault: a managed HSM keeps keys, not secrets"
  return url.port === "" && clouds.some(([suffix]) => url.hostname.endsWith(suffix))
    ? undefined
    : `the URL of a vault, whose host ends in one of ${suffixes} (or a host of your own with customDomain, in code)`
}

const field = (u: unknown, key: string): unknown => (Predicate.hasProperty(u, key) ? u[key] : undefined)

const matches = (u: unknown, pattern: RegExp): u is string => typeof u === "string" && pattern.test(u)

const named = (option: string, ref: unknown): Checked<Named> => {
  const secret = typeof ref === "string" ? ref : field(ref, "secret")
  const version = field(ref, "version")
  if (!matches(secret, /^[0-9A-Za-z-]{1,127}$/)) {
    return misconfigured(
      option,
      "It must be the name of a secret in the vault (1 to 127 letters, digits and dashes), never the secret itself."
    )
  }
  return version === undefined || matches(version, /^[0-9A-Za-z]{1,64}$/)
    ? { secret, version }
    : misconfigured(option, "Its version must be the id that the vault shows: letters and digits.")
}

export const isClientId = (u: unknown): u is string => matches(u, /^[\w.-]+$/)

const clientIdOf = (clientId: unknown): Checked<{ readonly literal: string } | Named> => {
  if (Predicate.hasProperty(clientId, "literal")) {
    const { literal } = clientId
    return isClientId(literal)
      ? { literal }
      : misconfigured("clientId", "Its literal is no client id: letters, digits, dot, dash and underscore.")
  }
  return Predicate.hasProperty(clientId, "secret")
    ? named("clientId", clientId)
    : misconfigured(
        "clientId",
        "It must be { literal } with the id itself, or { secret } with the name of the secret that holds it; or give json for both."
      )
}

/** They may be of any type: the program may be JavaScript, and a variable that it reads may not be set. */
const idsOf = ({ clientId, clientSecret, json }: { readonly [K in keyof Ids]?: unknown }): Checked<Settings["ids"]> => {
  if (json !== undefined) {
    const both = named("json", json)
    return isMisconfigured(both) ? both : { json: both }
  }
  const id = clientIdOf(clientId)
  if (isMisconfigured(id)) return id
  const secret = named("clientSecret", clientSecret)
  return isMisconfigured(secret) ? secret : { clientId: id, clientSecret: secret }
}

const isCredential = (u: unknown): boolean => Predicate.hasProperty(u, "_tag") || Predicate.hasProperty(u, "getToken")

export const settingsOf = (options: Options): Checked<Settings> => {
  const expected = checkVaultUrl(options.vaultUrl, options.customDomain === true)
  if (expected !== undefined) return misconfigured("vaultUrl", `It must be ${expected}.`)
  const ids = idsOf(options)
  if (isMisconfigured(ids)) return ids
  if (options.credential !== undefined && !isCredential(options.credential)) {
    return misconfigured("credential", "It must be a choice of KeyVaultCredential, or a TokenCredential of the SDK.")
  }
  const { origin, host, hostname } = new URL(options.vaultUrl)
  return {
    vaultUrl: origin,
    host,
    authorityHost: clouds.find(([suffix]) => hostname.endsWith(suffix))?.[1],
    ids
  }
}
