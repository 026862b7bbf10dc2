/**
 * Protects routes of an `HttpRouter`: a handler runs only for a request with a valid access token, and gets the verified
 * token as the service `VerifiedToken.CurrentToken`.
 *
 * A request without a valid token is answered by the rules of RFC 6750 §3:
 *
 * - 401 with `WWW-Authenticate: Bearer`, without an error code if the request has no token, otherwise with
 *   `invalid_token`
 * - 400 with `invalid_request` if the header is malformed
 * - 403 with `insufficient_scope` and the required scopes
 * - 503 with `Retry-After` while the keys of IMS can't be read
 *
 * **Gotchas**
 *
 * Only the header `Authorization: Bearer …` is read, never the query or a form.
 *
 * **Example** (Protecting routes)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { AccessTokenVerifier, BearerMiddleware, VerifiedToken } from "@effect-itwin/verify"
 * import { Effect, Layer } from "effect"
 * import { HttpClientRequest, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
 *
 * const whoami = Effect.map(VerifiedToken.CurrentToken, ({ clientId }) => HttpServerResponse.text(clientId))
 *
 * const Routes = HttpRouter.add("GET", "/whoami", whoami).pipe(
 *   Layer.provide(BearerMiddleware.layer),
 *   Layer.provide(AccessTokenVerifier.layer({ clientIds: ["service-Ab12"] }))
 * )
 *
 * it.effect("asks for a token", () =>
 *   Effect.gen(function* () {
 *     const handler = yield* HttpRouter.toHttpEffect(Routes)
 *     const request = HttpServerRequest.fromClientRequest(HttpClientRequest.get("http://backend.test/whoami"))
 *     const response = yield* Effect.provideService(handler, HttpServerRequest.HttpServerRequest, request)
 *     assert.strictEqual(response.status, 401)
 *     assert.match(response.headers["www-authenticate"] ?? "", /^Bearer /)
 *   }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import { AccessTokenVerifier } from "./AccessTokenVerifier.ts"
import { authenticate } from "./internal/authenticate.ts"
import { checkScopes } from "./internal/rules.ts"
import type { CurrentToken } from "./VerifiedToken.ts"

/**
 * Protects the routes to which it is provided, and requires scopes in addition to those of the verifier.
 *
 * Dies with a `SchemaError` when the layer is built if a scope has a character that no scope has.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: {
  /** The scopes that the token must have, all of them. */
  readonly scopes: ReadonlyArray<string>
}): Layer.Layer<HttpRouter.Request.From<"Requires", CurrentToken>, never, AccessTokenVerifier> =>
  Layer.fresh(
    HttpRouter.middleware<{ provides: CurrentToken }>()(
      Effect.map(AccessTokenVerifier, ({ verify }) => {
        const scopes = checkScopes(options.scopes)
        return (httpEffect) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
            authenticate(request, verify, scopes, httpEffect)
          )
      })
    ).layer
  )

/**
 * Protects the routes to which it is provided. Built again for each use, so that two groups of routes can have two
 * verifiers.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<
  HttpRouter.Request.From<"Requires", CurrentToken>,
  never,
  AccessTokenVerifier
> = layerWith({ scopes: [] })
