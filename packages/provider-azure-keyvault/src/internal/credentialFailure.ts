// Tells why the credential has no token: an outage of the token's source, a rejected credential, or a missing identity.
// The reason decides whether the last good credentials are used, and whether another provider is read.
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import type { Kind } from "./credentials.ts"
import { type Exchange, isOutage } from "./exchange.ts"
import {
  chainOf,
  codeOf,
  connectionCode,
  field,
  isBug,
  isReplay,
  messageOf,
  nestedStatuses,
  rejectionCode,
  statusIn
} from "./sdkError.ts"
import { nameOf, provider, type Subject } from "./settings.ts"

type Reason = SecretProviderError.SecretProviderErrorReason

const chain = new Set([
  "EnvironmentCredential",
  "WorkloadIdentityCredential",
  "ManagedIdentityCredential",
  "VisualStudioCodeCredential",
  "AzureCliCredential",
  "AzurePowerShellCredential",
  "AzureDeveloperCliCredential",
  "BrokerCredential"
])

/** Returns the places that a chain tried, as far as they are known. */
const triedIn = (error: unknown): string =>
  [...new Set(messageOf(error).match(/\b[A-Za-z]+Credential\b/g) ?? [])].filter((name) => chain.has(name)).join(", ")

/** Returns what to do if this identity is missing. */
const unavailableAdvice = (kind: Kind, error: unknown): string => {
  const tried = triedIn(error)
  switch (kind) {
    case "ManagedIdentity":
      return "Tried: managed identity. Assign one to this machine, container or app, or correct the client id of the user-assigned one (AZURE_CLIENT_ID)."
    case "WorkloadIdentity":
      return "Tried: workload identity. Label the pod azure.workload.identity/use and annotate its service account, so that AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE are set."
    case "ClientSecret":
      return "Tried: client secret. Set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET to those of an app at Entra ID."
    case "ClientCertificate":
      return "Tried: client certificate. Set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_CERTIFICATE_PATH to those of an app at Entra ID."
    case "AzureCli":
      return "Tried: Azure CLI. Install it and run az login."
    case "DefaultAzure":
      return `Tried: DefaultAzureCredential${tried === "" ? "" : ` (${tried})`}. Choose one with ITWIN_KEY_VAULT_CREDENTIAL, and assign that identity to this program.`
    case "Given":
      return `Tried: the credential that the program provides${tried === "" ? "" : ` (${tried})`}. Check that it can get a token for Key Vault.`
  }
}

/** What common error codes of Entra ID mean. For other codes, the message has a link. */
const refusals: Readonly<Record<string, string>> = {
  AADSTS7000215:
    "The client secret of the app at Entra ID is wrong. Set AZURE_CLIENT_SECRET to its value, not to its id.",
  AADSTS7000222: "The client secret of the app at Entra ID has expired. Create a new one, and set AZURE_CLIENT_SECRET.",
  AADSTS700016: "The app is not in this tenant (wrong tenant). Correct AZURE_CLIENT_ID or AZURE_TENANT_ID.",
  AADSTS700027: "The certificate does not belong to the app at Entra ID. Upload it there.",
  AADSTS700213: "The federated credential of the app does not match this service account. Correct its subject.",
  AADSTS70021: "The app has no federated credential for this service account. Add one.",
  AADSTS90002: "The tenant does not exist (wrong tenant, or another cloud). Correct AZURE_TENANT_ID.",
  AADSTS500011: "The tenant does not know Key Vault. Check that the tenant and the cloud are right."
}

/** Codes with which Entra ID reports its own failure, not that of the credential. */
const outages = new Set(["AADSTS90006", "AADSTS90012", "AADSTS90024", "AADSTS90033", "AADSTS90036"])
const throttles = new Set(["AADSTS50196", "AADSTS90055"])

const settings = new Set(["AADSTS700016", "AADSTS90002", "AADSTS500011"])

const rejectedByEntra = (about: { provider: string; secretName: string }, code: string): Reason => {
  const advice = `${refusals[code] ?? `Entra ID rejected the credential. See https://login.microsoftonline.com/error?code=${code.slice(6)}.`} (${code})`
  return settings.has(code)
    ? new SecretProviderError.Misconfigured({ ...about, advice })
    : new SecretProviderError.AccessDenied({ ...about, advice })
}

/** Says that there was no response. */
export const unreachable = (kind: Kind, atMetadata: boolean): string => {
  if (atMetadata) {
    return "The metadata service of managed identities did not respond. Check that this program runs on Azure and has an identity."
  }
  if (kind === "Given") return "The credential that the program provides did not respond."
  if (kind === "AzureCli") return "The Azure CLI did not respond. Run az login."
  return "Entra ID did not respond. Check that this program can reach login.microsoftonline.com (or the host of your cloud)."
}

export const wrongTenant =
  "The vault is in another tenant than the credential (wrong tenant). Correct AZURE_TENANT_ID, or log in to that tenant."

/**
 * A credential ends with the last response. A chain goes on, so an outage of any place may be why it found no token.
 */
const decisive = (kind: Kind, exchanges: ReadonlyArray<Exchange>): Exchange | undefined => {
  if (kind !== "DefaultAzure") return exchanges.at(-1)
  // Outside of Azure, the address of the metadata service is unreachable, or belongs to another cloud.
  const places = exchanges.filter(({ atEntra, status }) => atEntra || (status !== undefined && isOutage(status)))
  return places.find(({ status }) => status === undefined || isOutage(status)) ?? places.at(-1)
}

export const credentialFailure = (subject: Subject, error: unknown, exchanges: ReadonlyArray<Exchange>): Reason => {
  const { kind } = subject
  const about = { provider, secretName: nameOf(subject.named) }
  const unavailable = (advice: string) => new SecretProviderError.Unavailable({ ...about, advice })
  const name = field(error, "name")
  const chain = chainOf(error)
  const exchange = decisive(kind, exchanges)
  // Nothing is recorded for a credential that the program provides. The same holds for a managed identity if the
  // process has another provider, because MSAL keeps the HTTP client of the first. Then only the error is known.
  const isRecorded = exchanges.length > 0
  const status = isRecorded ? exchange?.status : (statusIn(chain) ?? nestedStatuses(error).find(isOutage))
  const atMetadata = exchange === undefined ? name === "CredentialUnavailableError" : !exchange.atEntra
  const place = atMetadata ? "The metadata service" : "Entra ID"

  if (status === 429) {
    return new SecretProviderError.Throttled({
      ...about,
      ...(exchange?.retryAfter === undefined ? {} : { retryAfter: exchange.retryAfter }),
      advice: `${place} limits the rate of token requests (429).`
    })
  }
  if (status !== undefined && isOutage(status)) return unavailable(`${place} returned ${status}.`)
  if (!isRecorded && isReplay(chain)) {
    return unavailable("Entra ID failed earlier, and the credential repeats that failure without a new request.")
  }
  if (exchange !== undefined && status === undefined) {
    return unavailable(`${unreachable(kind, atMetadata)}${exchange.code === undefined ? "" : ` (${exchange.code})`}`)
  }
  const code = exchange?.code ?? codeOf(/\bAADSTS\d{4,8}\b/, chain.map(messageOf).join("\n"))
  if (code !== undefined && outages.has(code)) return unavailable(`Entra ID failed for now. (${code})`)
  if (code !== undefined && throttles.has(code)) {
    return new SecretProviderError.Throttled({
      ...about,
      advice: `Entra ID limits the rate of token requests. (${code})`
    })
  }
  if (code !== undefined) return rejectedByEntra(about, code)
  if (chain.some((error) => /additionallyAllowedTenants/i.test(messageOf(error)))) {
    return new SecretProviderError.Misconfigured({ ...about, advice: wrongTenant })
  }
  if (status !== undefined) {
    const rejection = atMetadata ? undefined : rejectionCode(chain)
    if (rejection !== undefined) {
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `Entra ID rejected the credential (${rejection}). Check its settings.`
      })
    }
    // A metadata service returns 400, 401 or 403 if it does not have the identity. Entra ID always returns a code.
    const isRefusal = atMetadata && (status === 400 || status === 401 || status === 403)
    if (!isRefusal && (kind !== "Given" || atMetadata)) {
      return unavailable(`${place} returned ${status} without a token. Check for a proxy in between.`)
    }
  }
  // The SDK wraps what it threw when it could not read a response.
  if (chain.some(isBug)) return unavailable(`${place} did not return a token. Check for a proxy in between.`)
  const failed = connectionCode(chain)
  if (failed !== undefined) return unavailable(`${unreachable(kind, atMetadata)} (${failed})`)
  if (
    name === "CredentialUnavailableError" ||
    name === "AggregateAuthenticationError" ||
    name === "AuthenticationRequiredError"
  ) {
    return new SecretProviderError.CredentialUnavailable({ ...about, advice: unavailableAdvice(kind, error) })
  }
  if (kind === "Given")
    return unavailable("The credential that the program provides failed. Check it with the Azure SDK alone.")
  return new SecretProviderError.Misconfigured({
    ...about,
    advice: `The credential can't be built from its settings. ${unavailableAdvice(kind, error)}`
  })
}
