/**
 * @since 0.1.0
 */
export * as EnvSecretProvider from "./EnvSecretProvider.ts"
