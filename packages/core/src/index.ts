/**
 * @since 0.1.0
 */
export * as AccessToken from "./AccessToken.ts"
export * as ClientCredentials from "./ClientCredentials.ts"
export * as Environment from "./Environment.ts"
export * as ITwin from "./ITwin.ts"
export * as ITwinApiError from "./ITwinApiError.ts"
export * as ITwinHttpClient from "./ITwinHttpClient.ts"
export * as RetryPolicy from "./RetryPolicy.ts"
export * as Scopes from "./Scopes.ts"
export * as SecretProvider from "./SecretProvider.ts"
export * as SecretProviderError from "./SecretProviderError.ts"
export * as TokenCache from "./TokenCache.ts"
export * as TokenError from "./TokenError.ts"
export * as TokenRequest from "./TokenRequest.ts"
export * as TokenResponse from "./TokenResponse.ts"
export * as TokenStore from "./TokenStore.ts"
export * as Users from "./Users.ts"
