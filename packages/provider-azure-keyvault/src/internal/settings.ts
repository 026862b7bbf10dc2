// Whether the options name a vault and its secrets. A violation never quotes what it found: people put the secret where
// its name belongs.
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import type { Options, SecretRef } from "../KeyVaultSecretProvider.ts"

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

type Checked<A> = A | SecretProviderError.Misconfigured

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

const named = (option: string, ref: SecretRef | string): Checked<Named> => {
  const { secret, version } = typeof ref === "string" ? { secret: ref, version: undefined } : ref
  if (!/^[0-9A-Za-z-]{1,127}$/.test(secret)) {
    return misconfigured(
      option,
      "It must be the name of a secret in the vault (1 to 127 letters, digits and dashes), never the secret itself."
    )
  }
  return version === undefined || /^[0-9A-Za-z]{1,64}$/.test(version)
    ? { secret, version }
    : misconfigured(option, "Its version must be the id that the vault shows: letters and digits.")
}

export const isClientId = (text: string): boolean => /^[\w.-]+$/.test(text)

const clientIdOf = (
  clientId: { readonly literal: string } | SecretRef
): Checked<{ readonly literal: string } | Named> =>
  "literal" in clientId
    ? isClientId(clientId.literal)
      ? clientId
      : misconfigured("clientId", "It is no client id: letters, digits, dot, dash and underscore.")
    : named("clientId", clientId)

const idsOf = (options: Options): Checked<Settings["ids"]> => {
  if (options.json !== undefined) {
    const json = named("json", options.json)
    return isMisconfigured(json) ? json : { json }
  }
  const clientId = clientIdOf(options.clientId)
  if (isMisconfigured(clientId)) return clientId
  const clientSecret = named("clientSecret", options.clientSecret)
  return isMisconfigured(clientSecret) ? clientSecret : { clientId, clientSecret }
}

export const settingsOf = (options: Options): Checked<Settings> => {
  const expected = checkVaultUrl(options.vaultUrl, options.customDomain === true)
  if (expected !== undefined) return misconfigured("vaultUrl", `It must be ${expected}.`)
  const ids = idsOf(options)
  if (isMisconfigured(ids)) return ids
  const { origin, host, hostname } = new URL(options.vaultUrl)
  return {
    vaultUrl: origin,
    host,
    authorityHost: clouds.find(([suffix]) => hostname.endsWith(suffix))?.[1],
    ids
  }
}
