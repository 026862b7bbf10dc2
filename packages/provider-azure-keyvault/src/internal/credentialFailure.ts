// Why the credential has no token: an outage of where tokens come from, a rejected credential, or no identity here. The
// difference decides whether the last good credentials serve on, and whether another provider is asked.
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

/** Which places a chain tried, of those that it is known to have. */
const triedIn = (error: unknown): string =>
  [...new Set(messageOf(error).match(/\b[A-Za-z]+Credential\b/g) ?? [])].filter((name) => chain.has(name)).join(", ")

/** What to do when this identity is missing. */
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
      return `Tried: DefaultAzureCredential${tried === "" ? "" : ` (${tried})`}. Choose one with ITWIN_KEY_VAULT_CREDENTIAL, and give this program that identity.`
    case "Given":
      return `Tried: the credential that the program gave${tried === "" ? "" : ` (${tried})`}. It has no token for Key Vault.`
  }
}

/** What Entra ID's refusals mean, for those that people meet. The others are named, and looked up there. */
const refusals: Readonly<Record<string, string>> = {
  AADSTS7000215: "The client secret of the app at Entra ID is wrong: give its value, not its id (AZURE_CLIENT_SECRET).",
  AADSTS7000222: "The client secret of the app at Entra ID has expired: create a new one (AZURE_CLIENT_SECRET).",
  AADSTS700016: "The app is not in this tenant: correct AZURE_CLIENT_ID or AZURE_TENANT_ID (wrong tenant).",
  AADSTS700027: "The certificate is not one of the app's at Entra ID: upload it there.",
  AADSTS700213: "The app's federated credential does not match this service account: correct its subject.",
  AADSTS70021: "The app has no federated credential for this service account: add one.",
  AADSTS90002: "The tenant does not exist: correct AZURE_TENANT_ID (wrong tenant, or another cloud).",
  AADSTS500011: "The tenant does not know Key Vault: is it the right tenant, and the right cloud?"
}

/** What Entra ID says of itself, not of the credential. */
const outages = new Set(["AADSTS90006", "AADSTS90012", "AADSTS90024", "AADSTS90033", "AADSTS90036"])
const throttles = new Set(["AADSTS50196", "AADSTS90055"])

const settings = new Set(["AADSTS700016", "AADSTS90002", "AADSTS500011"])

const rejectedByEntra = (about: { provider: string; secretName: string }, code: string): Reason => {
  const advice = `${refusals[code] ?? `Entra ID rejects the credential: see https://login.microsoftonline.com/error?code=${code.slice(6)}.`} (${code})`
  return settings.has(code)
    ? new SecretProviderError.Misconfigured({ ...about, advice })
    : new SecretProviderError.AccessDenied({ ...about, advice })
}

/** Says that no response came. */
export const unreachable = (kind: Kind, atMetadata: boolean): string => {
  if (atMetadata) {
    return "The metadata service of managed identities does not answer: does this program run on Azure, with an identity?"
  }
  if (kind === "Given") return "The credential that the program gave does not answer."
  if (kind === "AzureCli") return "The Azure CLI does not answer."
  return "Entra ID does not answer: is login.microsoftonline.com (or that of your cloud) open to this program?"
}

export const wrongTenant =
  "The vault is in another tenant than the credential (wrong tenant): correct AZURE_TENANT_ID, or log in there."

/** A credential ends with the last response it got. The chain goes on: an outage of any place is why it found nothing. */
const decisive = (kind: Kind, exchanges: ReadonlyArray<Exchange>): Exchange | undefined => {
  if (kind !== "DefaultAzure") return exchanges.at(-1)
  // Elsewhere than on Azure, nothing or another cloud answers at the metadata service's address.
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
  // Nothing is recorded of a credential that the program gave, and of a managed identity if the process has another
  // provider: MSAL keeps the HTTP client of the first. Then the error is all there is.
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
    return unavailable("Entra ID failed before, and the credential repeats that failure without a new request.")
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
        advice: `Entra ID rejects the credential (${rejection}).`
      })
    }
    // A metadata service says by 400, 401 or 403 that it has no such identity. Entra ID always gives a code.
    const isRefusal = atMetadata && (status === 400 || status === 401 || status === 403)
    if (!isRefusal && (kind !== "Given" || atMetadata)) {
      return unavailable(`${place} returned ${status} without a token: is there a proxy in between?`)
    }
  }
  // The SDK wraps what it threw over an answer that it can't read.
  if (chain.some(isBug)) return unavailable(`${place} did not return a token: is there a proxy in between?`)
  const failed = connectionCode(chain)
  if (failed !== undefined) return unavailable(`${unreachable(kind, atMetadata)} (${failed})`)
  if (
    name === "CredentialUnavailableError" ||
    name === "AggregateAuthenticationError" ||
    name === "AuthenticationRequiredError"
  ) {
    return new SecretProviderError.CredentialUnavailable({ ...about, advice: unavailableAdvice(kind, error) })
  }
  if (kind === "Given") return unavailable("The credential that the program gave failed.")
  return new SecretProviderError.Misconfigured({
    ...about,
    advice: `The credential can't be made from its settings. ${unavailableAdvice(kind, error)}`
  })
}
