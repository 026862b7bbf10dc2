/**
 * The one layer: a token cache, and an HTTP client that carries its token.
 *
 * **Gotchas**
 *
 * {@link layer} and {@link layerWith} build a new cache on each use, so that two tenants in one graph never share a
 * token. Each use makes its own token requests: write the layer once, in one `const App`, and provide that.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
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
 * Builds the layer with options for cache and client; `scopes` holds for both.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: TokenCache.Options & ITwinHttpClient.Options
): Layer.Layer<ITwin, Config.ConfigError, SecretProvider | HttpClient.HttpClient> =>
  Layer.fresh(Layer.provideMerge(ITwinHttpClient.layerWith(options), TokenCache.layerWith(options)))

/**
 * Builds the layer with its defaults: scope `itwin-platform`, and the environment that is provided or that the variables
 * of `Environment.config` name.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<ITwin, Config.ConfigError, SecretProvider | HttpClient.HttpClient> = layerWith({})
