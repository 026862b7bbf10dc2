// Builds the credentials of the SDK from a choice, and describes them.
import type { HttpClient } from "@azure/core-rest-pipeline"
import type { SecretClientOptions } from "@azure/keyvault-secrets"
import * as Redacted from "effect/Redacted"
import type { KeyVaultCredential, TokenCredential } from "../KeyVaultCredential.ts"
import type { TestTransport } from "../TestTransport.ts"

type Identity = typeof import("@azure/identity")

export type Choice = KeyVaultCredential | TokenCredential

export type Kind = KeyVaultCredential["_tag"] | "Given"

export const kindOf = (choice: Choice): Kind => ("_tag" in choice ? choice._tag : "Given")

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const domain = /^([0-9a-z-]{1,63}\.)+[a-z]{2,63}$/i

/** Leaves out text that is not an id, because it may be the secret if the two are swapped. */
const app = ({ clientId, tenantId }: { readonly clientId: string; readonly tenantId: string }): string =>
  (guid.test(clientId) ? ` of app ${clientId}` : "") +
  (guid.test(tenantId) || domain.test(tenantId) ? ` in tenant ${tenantId}` : "")

/** Describes the choice for the log. */
export const describe = (choice: Choice): string => {
  if (!("_tag" in choice)) return "a credential that the program provides"
  switch (choice._tag) {
    case "ManagedIdentity":
      if (choice.clientId === undefined) return "the system-assigned managed identity"
      return guid.test(choice.clientId) ? `the managed identity ${choice.clientId}` : "a user-assigned managed identity"
    case "WorkloadIdentity":
      return "the workload identity of this pod"
    case "ClientSecret":
      return `a client secret${app(choice)}`
    case "ClientCertificate":
      return `a client certificate${app(choice)}`
    case "AzureCli":
      return "the login of the Azure CLI"
    case "DefaultAzure":
      return "DefaultAzureCredential"
  }
}

/** Tells whether the credential starts programs or tries places in turn. One attempt may then take all of the time. */
export const isSlow = (choice: Choice): boolean => {
  const kind = kindOf(choice)
  return kind === "AzureCli" || kind === "DefaultAzure"
}

/** Builds an option that is left out if the value is undefined. */
const given = <K extends string, A>(key: K, value: A | undefined): Partial<Record<K, A>> => {
  const options: Partial<Record<string, A>> = {}
  if (value !== undefined) options[key] = value
  return options
}

/**
 * Builds the options that client and credentials have in common. Each gets its own object, because
 * `ManagedIdentityCredential` writes `allowInsecureConnection` into it.
 */
export const pipelineOptions = (
  transport: TestTransport,
  httpClient: HttpClient
): Pick<SecretClientOptions, "httpClient" | "redirectOptions" | "retryOptions" | "tlsOptions"> => ({
  httpClient,
  retryOptions: { maxRetries: 0 },
  redirectOptions: { maxRetries: 0 },
  ...given("tlsOptions", transport.certificate === undefined ? undefined : { ca: transport.certificate })
})

export const makeCredential = (
  identity: Identity,
  choice: Choice,
  transport: TestTransport,
  options: { readonly httpClient: HttpClient; readonly authorityHost: string | undefined; readonly timeout: number }
): TokenCredential => {
  if (!("_tag" in choice)) return choice
  const local = pipelineOptions(transport, options.httpClient)
  const remote = {
    ...local,
    ...given("authorityHost", transport.authorityHost ?? options.authorityHost),
    ...given("disableInstanceDiscovery", transport.authorityHost === undefined ? undefined : true)
  }
  switch (choice._tag) {
    case "ManagedIdentity":
      return new identity.ManagedIdentityCredential({ ...local, ...given("clientId", choice.clientId) })
    case "WorkloadIdentity":
      return new identity.WorkloadIdentityCredential({
        ...remote,
        ...given("tenantId", choice.tenantId),
        ...given("clientId", choice.clientId),
        ...given("tokenFilePath", choice.tokenFile)
      })
    case "ClientSecret":
      return new identity.ClientSecretCredential(
        choice.tenantId,
        choice.clientId,
        Redacted.value(choice.clientSecret),
        remote
      )
    case "ClientCertificate":
      return new identity.ClientCertificateCredential(
        choice.tenantId,
        choice.clientId,
        {
          certificatePath: choice.certificatePath,
          ...given("certificatePassword", choice.password && Redacted.value(choice.password))
        },
        remote
      )
    case "AzureCli":
      return new identity.AzureCliCredential({
        processTimeoutInMs: options.timeout,
        ...given("tenantId", choice.tenantId)
      })
    case "DefaultAzure":
      return new identity.DefaultAzureCredential(remote)
  }
}
