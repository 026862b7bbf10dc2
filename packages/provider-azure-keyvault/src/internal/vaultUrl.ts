// Tells which URLs may receive the program's Azure token.

/** The clouds: the suffix of their vaults' hosts, and the URL of their Entra ID. */
const clouds: ReadonlyArray<readonly [suffix: string, authorityHost: string | undefined]> = [
  [".vault.azure.net", undefined],
  [".vault.azure.cn", "https://login.chinacloudapi.cn"],
  [".vault.usgovcloudapi.net", "https://login.microsoftonline.us"]
]

const cloudOf = (hostname: string) => clouds.find(([suffix]) => hostname.endsWith(suffix))

/** Returns the URL of Entra ID in the cloud of the vault; undefined for the SDK's default. */
export const authorityHostOf = (hostname: string): string | undefined => cloudOf(hostname)?.[1]

/** Returns what `vaultUrl` must be, if this one is not; undefined if it is valid. */
export const checkVaultUrl = (text: string, customDomain: boolean): string | undefined => {
  const url = URL.parse(text)
  const isBareOrigin = url !== null && url.username === "" && url.password === "" && url.pathname === "/"
  if (!isBareOrigin || url.protocol !== "https:" || /[?#]/.test(text)) {
    return "an https URL without user info, path, query or fragment: https://<name>.vault.azure.net"
  }
  if (customDomain) return undefined
  if (/(^|\.)managedhsm\./.test(url.hostname))
    return "the URL of a vault, because a managed HSM stores keys, not secrets"
  if (url.port === "" && cloudOf(url.hostname) !== undefined) return undefined
  const suffixes = clouds.map(([suffix]) => suffix.slice(1)).join(", ")
  return `the URL of a vault, whose host ends in one of ${suffixes} (or your own host with customDomain, in code)`
}
