/**
 * Builds the one layer of most programs: a token cache, and an HTTP client that sends its token.
 *
 * **Gotchas**
 *
 * {@link layer} and {@link layerWith} build a new cache on each use, so that two tenants in one program never share a
 * token. Each cache makes its own token requests: write the layer once, in one `const App`, and provide that.
 *
 * **Example** (Providing the layer once)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, Users } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * // A program provides `EnvSecretProvider.layer` and `FetchHttpClient.layer` instead of the fake.
 * const App = ITwin.layerWith({ warmUp: true }).pipe(Layer.provide(FakeIms.layerTest({ app: { name: "My App" } })))
 *
 * it.effect("returns the name of the app from the one layer", () =>
 *   Effect.gen(function* () {
 *     assert.strictEqual((yield* Users.me).givenName, "My App")
 *   }).pipe(Effect.provide(App))
 * )
 * ```
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
 * Names the services that {@link layer} and {@link layerWith} provide.
 *
 * @category models
 * @since 0.1.0
 */
export type ITwin = TokenCache.TokenCache | ITwinHttpClient.ITwinHttpClient

/**
 * Builds the layer with options for the cache and the client; `scopes` applies to both.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: TokenCache.Options & ITwinHttpClient.Options
): Layer.Layer<ITwin, Config.ConfigError, SecretProvider | HttpClient.HttpClient> =>
  Layer.fresh(Layer.provideMerge(ITwinHttpClient.layerWith(options), TokenCache.layerWith(options)))

/**
 * Builds the layer with its defaults: the scope `itwin-platform`, and the environment that is provided, or the one that
 * `Environment.config` reads.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<ITwin, Config.ConfigError, SecretProvider | HttpClient.HttpClient> = layerWith({})
