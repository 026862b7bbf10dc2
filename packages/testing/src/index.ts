/**
 * @since 0.1.0
 */
export * as FakeIms from "./FakeIms.ts"
export * as FakeImsServer from "./FakeImsServer.ts"
export * as FakeKeyVault from "./FakeKeyVault.ts"
export * as FakeKeyVaultServer from "./FakeKeyVaultServer.ts"
export * as Fault from "./Fault.ts"
export * as Journal from "./Journal.ts"
export * as Profile from "./Profile.ts"
export * as SecretProviderContract from "./SecretProviderContract.ts"
export * as SessionStoreContract from "./SessionStoreContract.ts"
export * as TokenStoreContract from "./TokenStoreContract.ts"
