// What an error of the SDK means. Its messages hold secrets and tokens (a parse error quotes the whole answer), so of
// each error only this is read: its name, its status, and codes that are known or of a safe form. Nothing is attached.
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type { Kind } from "./credentials.ts"
import { misconfigured, type Named, nameOf, provider } from "./settings.ts"

/** Where an attempt is, and what came back: written by the pipeline, since not each error has it. */
export interface Progress {
  stage: "credential" | "vault"
  status: number | undefined
  retryAfter: Duration.Duration | undefined
}

export interface Subject {
  readonly host: string
  readonly kind: Kind
  readonly named: Named
}

type Reason = SecretProviderError.SecretProviderErrorReason

const field = (u: unknown, key: string): unknown => (Predicate.hasProperty(u, key) ? u[key] : undefined)

/** The error and what it says caused it. */
const chainOf = (error: unknown): ReadonlyArray<unknown> => {
  const chain: Array<unknown> = []
  for (let next = error; next !== undefined && next !== null && chain.length < 5; next = field(next, "cause")) {
    chain.push(next)
  }
  return chain
}

const messageOf = (u: unknown): string => {
  const message = field(u, "message")
  return typeof message === "string" ? message : ""
}

/** Codes of Node's sockets and of the SDK, of a connection that gave no answer. */
const connection = new Set([
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EAI_AGAIN",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
  "ERR_STREAM_PREMATURE_CLOSE",
  "REQUEST_SEND_ERROR",
  "network_error",
  "endpoints_resolution_error"
])

const tls = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
])

const codeIn = (known: ReadonlySet<string>, chain: ReadonlyArray<unknown>): string | undefined => {
  for (const error of chain) {
    for (const code of [field(error, "code"), field(error, "errorCode")]) {
      if (typeof code === "string" && known.has(code)) return code
    }
  }
  return undefined
}

const statusIn = (chain: ReadonlyArray<unknown>): number | undefined => {
  for (const error of chain) {
    for (const status of [field(error, "statusCode"), field(error, "status")]) {
      if (typeof status === "number" && Number.isInteger(status) && status >= 100 && status < 600) return status
    }
  }
  return undefined
}

/** `AADSTS7000215` or `AKV10032`: a code of digits cannot be a secret. */
const codeOf = (pattern: RegExp, chain: ReadonlyArray<unknown>): string | undefined => {
  for (const error of chain) {
    const code = pattern.exec(messageOf(error))?.[1]
    if (code !== undefined) return code
  }
  return undefined
}

const isOutage = (status: number): boolean => status === 408 || status >= 500

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

/** Which places a chain asked, of those that it is known to have. */
const triedIn = (error: unknown): string =>
  [...new Set(messageOf(error).match(/\b[A-Za-z]+Credential\b/g) ?? [])].filter((name) => chain.has(name)).join(", ")

/** What to do when this identity is not to be had. */
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
  AADSTS90002: "There is no such tenant: correct AZURE_TENANT_ID (wrong tenant, or another cloud).",
  AADSTS500011: "The tenant does not know Key Vault: is it the right tenant, and the right cloud?"
}

const settings = new Set(["AADSTS700016", "AADSTS90002", "AADSTS500011"])

const refusedByEntra = (about: { provider: string; secretName: string }, code: string): Reason => {
  const advice = `${refusals[code] ?? `Entra ID refuses the credential: see https://login.microsoftonline.com/error?code=${code.slice(6)}.`} (${code})`
  return settings.has(code)
    ? new SecretProviderError.Misconfigured({ ...about, advice })
    : new SecretProviderError.AccessDenied({ ...about, advice })
}

const place = (kind: Kind): string => (kind === "ManagedIdentity" ? "The metadata service" : "Entra ID")

const noAnswer = (kind: Kind): string =>
  kind === "ManagedIdentity"
    ? "The metadata service of managed identities does not answer: does this program run on Azure, with an identity?"
    : kind === "Given"
      ? "The credential that the program gave does not answer."
      : kind === "AzureCli"
        ? "The Azure CLI does not answer."
        : "Entra ID does not answer: is login.microsoftonline.com (or that of your cloud) open to this program?"

const wrongTenant =
  "The vault is in another tenant than the credential (wrong tenant): correct AZURE_TENANT_ID, or log in there."

const credentialFailure = (subject: Subject, error: unknown): Reason => {
  const { kind } = subject
  const about = { provider, secretName: nameOf(subject.named) }
  const chain = chainOf(error)
  const status = statusIn(chain)
  if (status === 429) {
    return new SecretProviderError.Throttled({
      ...about,
      advice: `${place(kind)} limits the rate of tokens (429). The SDK asks again after a minute at the latest.`
    })
  }
  if (status !== undefined && isOutage(status)) {
    return new SecretProviderError.Unavailable({
      ...about,
      advice: `${place(kind)} answered ${status}. The SDK asks again after a minute at the latest.`
    })
  }
  const refused = codeOf(/\b(AADSTS\d{4,8})\b/, chain)
  if (refused !== undefined) return refusedByEntra(about, refused)
  if (chain.some((error) => /additionallyAllowedTenants/i.test(messageOf(error)))) {
    return new SecretProviderError.Misconfigured({ ...about, advice: wrongTenant })
  }
  const code = codeIn(connection, chain) ?? codeIn(tls, chain)
  if (code !== undefined) {
    return new SecretProviderError.Unavailable({ ...about, advice: `${noAnswer(kind)} (${code})` })
  }
  const name = field(error, "name")
  if (
    name === "CredentialUnavailableError" ||
    name === "AggregateAuthenticationError" ||
    name === "AuthenticationRequiredError"
  ) {
    return new SecretProviderError.CredentialUnavailable({ ...about, advice: unavailableAdvice(kind, error) })
  }
  if (kind === "Given") {
    return new SecretProviderError.Unavailable({ ...about, advice: "The credential that the program gave failed." })
  }
  return new SecretProviderError.Misconfigured({
    ...about,
    advice: `The credential can't be made from its settings. ${unavailableAdvice(kind, error)}`
  })
}

const role = (host: string): string =>
  `Assign the role "Key Vault Secrets User" on ${host} to the identity of this program; it takes some minutes to work.`

const forbidden = (subject: Subject, error: unknown): Reason => {
  const { host, named } = subject
  const about = { provider, secretName: nameOf(named) }
  switch (field(field(field(field(error, "details"), "error"), "innerError"), "code")) {
    case "SecretDisabled":
      return new SecretProviderError.Disabled({
        ...about,
        advice:
          named.version === undefined
            ? `Its newest version is disabled, and ${host} falls back to no older one. Enable it, or store a new version.`
            : `This version is disabled in ${host}. Enable it, or name another one.`
      })
    case "ForbiddenByRbac":
      return new SecretProviderError.AccessDenied({ ...about, advice: `${role(host)} (ForbiddenByRbac)` })
    case "ForbiddenByPolicy":
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `${host} goes by access policies, and none gives this identity "Get" on secrets. Add one, or turn the vault to Azure RBAC. (ForbiddenByPolicy)`
      })
    case "ForbiddenByFirewall":
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `The firewall of ${host} does not let this address in. Allow it under Networking, or use a private endpoint. (ForbiddenByFirewall)`
      })
    default:
      return new SecretProviderError.AccessDenied({ ...about, advice: `${role(host)} If it has it, see the firewall.` })
  }
}

const unauthorized = (subject: Subject, error: unknown): Reason => {
  const about = { provider, secretName: nameOf(subject.named) }
  const code = codeOf(/\b(AKV\d{5})\b/, [error])
  switch (code) {
    case "AKV10032":
      return new SecretProviderError.AccessDenied({ ...about, advice: `${wrongTenant} (AKV10032)` })
    case "AKV10022":
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: "The credential gave a token for another service than Key Vault, or of another cloud. (AKV10022)"
      })
    default:
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `${subject.host} does not accept the token of this identity (401${code === undefined ? "" : `, ${code}`}).`
      })
  }
}

const vaultFailure = (subject: Subject, error: unknown, progress: Progress): Reason => {
  const { host, named } = subject
  const about = { provider, secretName: nameOf(named) }
  const chain = chainOf(error)
  const unavailable = (advice: string) => new SecretProviderError.Unavailable({ ...about, advice })
  if (codeIn(new Set(["PARSE_ERROR"]), chain) !== undefined) {
    return unavailable(`The answer of ${host} was cut short. (PARSE_ERROR)`)
  }
  const status = progress.status ?? statusIn(chain)
  if (status === undefined) {
    // Thrown before a token is sent, by the SDK's check of who asks for one.
    if (/^The (challenge|request URL)\b/.test(messageOf(error))) {
      return misconfigured(
        "vaultUrl",
        `${host} asks for a token that is not for its own domain, so none was sent. Is it a Key Vault?`
      )
    }
    const insecure = codeIn(tls, chain)
    if (insecure !== undefined) {
      return unavailable(`The certificate of ${host} is not trusted: is there a proxy in between? (${insecure})`)
    }
    const code = codeIn(connection, chain)
    return unavailable(
      code === "ENOTFOUND"
        ? `The name ${host} can't be resolved. Does the vault exist, and does its private DNS zone reach this program? (ENOTFOUND)`
        : `The connection to ${host} failed${code === undefined ? "" : ` (${code})`}: is port 443 open to this program?`
    )
  }
  if (status === 429) {
    return new SecretProviderError.Throttled({
      ...about,
      ...(progress.retryAfter === undefined ? {} : { retryAfter: progress.retryAfter })
    })
  }
  if (isOutage(status)) return unavailable(`${host} answered ${status}.`)
  if (status === 401) return unauthorized(subject, error)
  if (status === 403) return forbidden(subject, error)
  if (status === 404 && field(error, "code") === "SecretNotFound") {
    return new SecretProviderError.NotFound({
      ...about,
      advice: `${host} has no such ${named.version === undefined ? "secret" : "version"}. Correct the name, or create it; one that was deleted can be recovered ("Manage deleted secrets").`
    })
  }
  if (status < 300) return unavailable(`What ${host} answered is no secret: is there a proxy in between?`)
  if (status < 400) return misconfigured("vaultUrl", `${host} redirects (${status}), which no Key Vault does.`)
  return misconfigured("vaultUrl", `${host} answered ${status}, as no Key Vault does to a read. Is it one?`)
}

/** Why an attempt failed. */
export const reasonOf = (subject: Subject, error: unknown, progress: Progress): Reason =>
  progress.stage === "credential" ? credentialFailure(subject, error) : vaultFailure(subject, error, progress)

/** Why an attempt that was given up failed. */
export const timedOut = (subject: Subject, progress: Progress, limit: string): Reason =>
  new SecretProviderError.Unavailable({
    provider,
    secretName: nameOf(subject.named),
    advice:
      progress.stage === "credential"
        ? `${noAnswer(subject.kind)} (waited ${limit})`
        : `${subject.host} gave no answer within ${limit}.`
  })
