/**
 * The one layer: a token cache, and an HTTP client that carries its token.
 *
 * **Gotchas**
 *
 * {@link layer} is a constant, and layers are memoised by reference: several tenants in one graph need a
 * {@link layerWith} each, or `Layer.fresh` around each tenant's whole stack. Otherwise they share one token.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as ITwinHttpClient from "./ITwinHttpClient.ts"
import type { SecretProvider } from "./SecretProvider.ts"
import * as TokenCache from "./TokenCache.ts"

/**
 * What {@link layer} and {@link layerWith} provide.
 *
 * @category models
 * @since 0.1.0
 */
export type ITwin = TokenCache.TokenCache | ITwinHttpClient.ITwinHttpClient

/**
 * The layer with options for cache and client; `scopes` holds for both.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: TokenCache.Options & ITwinHttpClient.Options
): Layer.Layer<ITwin, never, SecretProvider | HttpClient.HttpClient> =>
  Layer.provideMerge(ITwinHttpClient.layerWith(options), TokenCache.layerWith(options))

/**
 * The layer with its defaults: scope `itwin-platform`, production unless an `Environment` is provided.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<ITwin, never, SecretProvider | HttpClient.HttpClient> = layerWith({})
