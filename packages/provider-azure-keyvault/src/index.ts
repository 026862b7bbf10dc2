/**
 * @since 0.1.0
 */
export * as KeyVaultCredential from "./KeyVaultCredential.ts"
export * as KeyVaultSecretProvider from "./KeyVaultSecretProvider.ts"
