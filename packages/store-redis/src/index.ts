/**
 * @since 0.1.0
 */
export * as RedisSessionStore from "./RedisSessionStore.ts"
export * as RedisTokenStore from "./RedisTokenStore.ts"
