/**
 * Protects endpoints of an `HttpApi`: the security middleware {@link BearerSecurity}, which OpenAPI shows as a bearer
 * scheme. A handler gets the verified token as the service `VerifiedToken.CurrentToken`.
 *
 * The responses are those of `BearerMiddleware`. A generated client gets them as `Unauthorized`, `Forbidden`,
 * `BadRequest` and `ServiceUnavailable` of `HttpApiError`.
 *
 * **Gotchas**
 *
 * Annotate an endpoint or a group with {@link RequiredScopes} to require scopes in addition to those of the verifier.
 *
 * **Example** (Protecting an API)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { BearerSecurity } from "@effect-itwin/verify"
 * import { Effect, Schema } from "effect"
 * import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
 *
 * const Api = HttpApi.make("backend").add(
 *   HttpApiGroup.make("me", { topLevel: true })
 *     .add(
 *       HttpApiEndpoint.get("whoami", "/whoami", { success: Schema.String }).annotate(BearerSecurity.RequiredScopes, [
 *         "itwins:read"
 *       ])
 *     )
 *     .middleware(BearerSecurity.BearerSecurity)
 * )
 *
 * it.effect("shows the security scheme in OpenAPI", () =>
 *   Effect.sync(() => {
 *     assert.strictEqual(OpenApi.fromApi(Api).components.securitySchemes.bearer?.type, "http")
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as Layer from "effect/Layer"
import { AccessTokenVerifier } from "./AccessTokenVerifier.ts"
import { authenticate } from "./internal/authenticate.ts"
import type { CurrentToken } from "./VerifiedToken.ts"

/**
 * Lists the scopes that a token must have for an endpoint or for the endpoints of a group, as an annotation. None by
 * default.
 *
 * @category annotations
 * @since 0.1.0
 */
export const RequiredScopes: Context.Reference<ReadonlyArray<string>> = Context.Reference<ReadonlyArray<string>>(
  "@effect-itwin/verify/BearerSecurity/RequiredScopes",
  { defaultValue: () => [] }
)

/**
 * Requires an access token for the endpoints that have this middleware.
 *
 * @category middleware
 * @since 0.1.0
 */
export class BearerSecurity extends HttpApiMiddleware.Service<BearerSecurity, { provides: CurrentToken }>()(
  "@effect-itwin/verify/BearerSecurity",
  {
    security: { bearer: HttpApiSecurity.bearer },
    error: [
      HttpApiError.BadRequestNoContent,
      HttpApiError.UnauthorizedNoContent,
      HttpApiError.ForbiddenNoContent,
      HttpApiError.ServiceUnavailableNoContent
    ]
  }
) {}

/**
 * Provides the middleware with the verifier. Built again for each use, so that two APIs can have two verifiers.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<BearerSecurity, never, AccessTokenVerifier> = Layer.fresh(
  Layer.effect(
    BearerSecurity,
    Effect.map(AccessTokenVerifier, ({ verify }) =>
      BearerSecurity.of({
        // The header is read here, because the decoded credential does not tell a malformed header from none.
        bearer: (httpEffect, { endpoint, group }) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
            const scopes = [group, endpoint].flatMap(({ annotations }) => Context.get(annotations, RequiredScopes))
            return authenticate(request, verify, scopes, httpEffect)
          })
      })
    )
  )
)
