// Which URLs may be asked for a secret with the program's Azure token.

/** The clouds, by the end of their vaults' names, and where their Entra ID is. */
const clouds: ReadonlyArray<readonly [suffix: string, authorityHost: string | undefined]> = [
  [".vault.azure.net", undefined],
  [".vault.azure.cn", "https://login.chinacloudapi.cn"],
  [".vault.usgovcloudapi.net", "https://login.microsoftonline.us"]
]

const cloudOf = (hostname: string) => clouds.find(([suffix]) => hostname.endsWith(suffix))

/** Where the Entra ID of the vault's cloud is; nothing where the SDK's own default holds. */
export const authorityHostOf = (hostname: string): string | undefined => cloudOf(hostname)?.[1]

/** What `vaultUrl` must be and this one is not; nothing if it is all right. */
export const checkVaultUrl = (text: string, customDomain: boolean): string | undefined => {
  const url = URL.parse(text)
  const isBareOrigin = url !== null && url.username === "" && url.password === "" && url.pathname === "/"
  if (!isBareOrigin || url.protocol !== "https:" || /[?#]/.test(text)) {
    return "an https URL without user info, path, query and fragment: https://<name>.vault.azure.net"
  }
  if (customDomain) return undefined
  if (/(^|\.)managedhsm\./.test(url.hostname)) return "the URL of a vault: a managed HSM keeps keys, not secrets"
  if (url.port === "" && cloudOf(url.hostname) !== undefined) return undefined
  const suffixes = clouds.map(([suffix]) => suffix.slice(1)).join(", ")
  return `the URL of a vault, whose host ends in one of ${suffixes} (or your own host with customDomain, in code)`
}
