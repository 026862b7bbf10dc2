/**
 * Chooses the identity with which a program authenticates to Azure.
 *
 * The Azure SDK's `DefaultAzureCredential` tries up to seven places in turn instead. It may need 20 s to fail, and may
 * find different identities on two machines. So it is used only if it is chosen by name.
 *
 * | `ITWIN_KEY_VAULT_CREDENTIAL` | constructor                 | its own variables                                                                             |
 * | ---------------------------- | --------------------------- | --------------------------------------------------------------------------------------------- |
 * | `managed-identity`           | {@link managedIdentity}     | `AZURE_CLIENT_ID`, for a user-assigned one                                                    |
 * | `workload-identity`          | {@link workloadIdentity}    | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_FEDERATED_TOKEN_FILE`: the AKS webhook sets them |
 * | `client-secret`              | {@link clientSecret}        | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET`                                   |
 * | `client-certificate`         | {@link clientCertificate}   | `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_CERTIFICATE_PATH`, and `_PASSWORD` if any |
 * | `azure-cli`                  | {@link azureCli}            | `AZURE_TENANT_ID`, if not the one of `az login`                                               |
 * | `default`                    | {@link defaultAzure}        | all of the above, and more                                                                    |
 *
 * **Gotchas**
 *
 * This is the identity of the program at Azure, not the client id and secret that the program reads from the vault.
 *
 * **Example** (Choosing an identity by variables)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { KeyVaultCredential } from "@effect-itwin/provider-azure-keyvault"
 * import { ConfigProvider, Effect } from "effect"
 *
 * const variables = { ITWIN_KEY_VAULT_CREDENTIAL: "managed-identity" }
 *
 * it.effect("returns the identity that the variable names", () =>
 *   Effect.gen(function* () {
 *     const credential = yield* KeyVaultCredential.config.parse(ConfigProvider.fromUnknown(variables))
 *     assert.strictEqual(credential._tag, "ManagedIdentity")
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"

/**
 * Selects the identity that Azure gives to a virtual machine, container, function or app service.
 *
 * @category models
 * @since 0.1.0
 */
export interface ManagedIdentity {
  readonly _tag: "ManagedIdentity"
  /** The client id of a user-assigned identity; absent for the system-assigned one. */
  readonly clientId?: string | undefined
}

/**
 * Selects a Kubernetes service account that Entra ID trusts. Absent fields come from the variables of the AKS webhook.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorkloadIdentity {
  readonly _tag: "WorkloadIdentity"
  readonly tenantId?: string | undefined
  readonly clientId?: string | undefined
  /** The path of the file with the token of the service account. */
  readonly tokenFile?: string | undefined
}

/**
 * Selects an app that is registered at Entra ID, with a secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientSecret {
  readonly _tag: "ClientSecret"
  readonly tenantId: string
  readonly clientId: string
  readonly clientSecret: Redacted.Redacted
}

/**
 * Selects an app that is registered at Entra ID, with a certificate.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientCertificate {
  readonly _tag: "ClientCertificate"
  readonly tenantId: string
  readonly clientId: string
  /** The path of a PEM file with the certificate and its private key. */
  readonly certificatePath: string
  /** The password of the private key. */
  readonly password?: Redacted.Redacted | undefined
}

/**
 * Selects the login of `az login`, for a developer's machine.
 *
 * @category models
 * @since 0.1.0
 */
export interface AzureCli {
  readonly _tag: "AzureCli"
  readonly tenantId?: string | undefined
}

/**
 * Selects the chain of the Azure SDK, which tries several places in turn.
 *
 * @category models
 * @since 0.1.0
 */
export interface DefaultAzure {
  readonly _tag: "DefaultAzure"
}

/**
 * Names the identities that a program can choose.
 *
 * @category models
 * @since 0.1.0
 */
export type KeyVaultCredential =
  | ManagedIdentity
  | WorkloadIdentity
  | ClientSecret
  | ClientCertificate
  | AzureCli
  | DefaultAzure

/**
 * Describes a `TokenCredential` of the Azure SDK that the program built itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenCredential {
  getToken(
    scopes: string | Array<string>,
    options?: TokenOptions
  ): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>
}

/**
 * Describes the options that the SDK passes to a {@link TokenCredential}, as far as this package reads them.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenOptions {
  readonly tenantId?: string
  readonly claims?: string
}

/**
 * Chooses the managed identity: the system-assigned one, or a user-assigned one by its client id.
 *
 * @category constructors
 * @since 0.1.0
 */
export const managedIdentity = (options?: { readonly clientId?: string | undefined }): ManagedIdentity => ({
  _tag: "ManagedIdentity",
  ...options
})

/**
 * Chooses a workload identity. Fields that are not given come from the variables of the AKS webhook.
 *
 * @category constructors
 * @since 0.1.0
 */
export const workloadIdentity = (options?: Omit<WorkloadIdentity, "_tag">): WorkloadIdentity => ({
  _tag: "WorkloadIdentity",
  ...options
})

/**
 * Chooses an app at Entra ID with its secret.
 *
 * @category constructors
 * @since 0.1.0
 */
export const clientSecret = (options: Omit<ClientSecret, "_tag">): ClientSecret => ({
  _tag: "ClientSecret",
  ...options
})

/**
 * Chooses an app at Entra ID with its certificate.
 *
 * @category constructors
 * @since 0.1.0
 */
export const clientCertificate = (options: Omit<ClientCertificate, "_tag">): ClientCertificate => ({
  _tag: "ClientCertificate",
  ...options
})

/**
 * Chooses the login of the Azure CLI.
 *
 * @category constructors
 * @since 0.1.0
 */
export const azureCli = (options?: { readonly tenantId?: string | undefined }): AzureCli => ({
  _tag: "AzureCli",
  ...options
})

/**
 * Chooses `DefaultAzureCredential` of the SDK, which tries several places in turn.
 *
 * @category constructors
 * @since 0.1.0
 */
export const defaultAzure: DefaultAzure = { _tag: "DefaultAzure" }

/**
 * Lists the values that `ITWIN_KEY_VAULT_CREDENTIAL` may have.
 *
 * @category config
 * @since 0.1.0
 */
export const names = [
  "managed-identity",
  "workload-identity",
  "client-secret",
  "client-certificate",
  "azure-cli",
  "default"
] as const

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

const tenantId = Config.NonEmptyString("AZURE_TENANT_ID")
const clientId = Config.NonEmptyString("AZURE_CLIENT_ID")

const configOf = (name: (typeof names)[number]): Config.Config<KeyVaultCredential> => {
  switch (name) {
    case "managed-identity":
      return Config.map(Config.all({ clientId: optional(clientId) }), managedIdentity)
    case "workload-identity":
      return Config.map(
        Config.all({
          tenantId: optional(tenantId),
          clientId: optional(clientId),
          tokenFile: optional(Config.NonEmptyString("AZURE_FEDERATED_TOKEN_FILE"))
        }),
        workloadIdentity
      )
    case "client-secret":
      return Config.map(
        Config.all({ tenantId, clientId, clientSecret: Config.Redacted("AZURE_CLIENT_SECRET") }),
        clientSecret
      )
    case "client-certificate":
      return Config.map(
        Config.all({
          tenantId,
          clientId,
          certificatePath: Config.NonEmptyString("AZURE_CLIENT_CERTIFICATE_PATH"),
          password: optional(Config.Redacted("AZURE_CLIENT_CERTIFICATE_PASSWORD"))
        }),
        clientCertificate
      )
    case "azure-cli":
      return Config.map(Config.all({ tenantId: optional(tenantId) }), azureCli)
    case "default":
      return Config.succeed(defaultAzure)
  }
}

/**
 * Reads the choice from `ITWIN_KEY_VAULT_CREDENTIAL`, and its settings from the variables of the table above. There is
 * no default, because an identity must not be guessed.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<KeyVaultCredential> = Config.flatMap(
  Config.Literals(names, "ITWIN_KEY_VAULT_CREDENTIAL"),
  configOf
)
