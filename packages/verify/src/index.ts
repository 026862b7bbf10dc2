/**
 * @since 0.1.0
 */
export * as AccessTokenVerifier from "./AccessTokenVerifier.ts"
export * as BearerMiddleware from "./BearerMiddleware.ts"
export * as BearerSecurity from "./BearerSecurity.ts"
export * as IntrospectionVerifier from "./IntrospectionVerifier.ts"
export * as VerificationError from "./VerificationError.ts"
export * as VerifiedToken from "./VerifiedToken.ts"
