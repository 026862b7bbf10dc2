/**
 * @since 0.1.0
 */
export * as CurrentUser from "./CurrentUser.ts"
export * as LoopbackSignIn from "./LoopbackSignIn.ts"
export * as SignInRoutes from "./SignInRoutes.ts"
