// Replicas that use a store on Redis.
import { TokenStore } from "@effect-itwin/core"
import { RedisTokenStore } from "@effect-itwin/store-redis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** Opens the store of one replica. */
export const open = (url: string, options: Partial<RedisTokenStore.UrlOptions> = {}) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(RedisTokenStore.layerUrl({ url, ...options }))
    const shared = yield* Effect.provide(TokenStore.TokenStore, context)
    if (shared === undefined) return yield* Effect.die("no store was provided")
    return shared.service
  })
