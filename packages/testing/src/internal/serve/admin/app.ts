// The admin API: its declarations put together, and the app that serves them.
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Method, Path, Pattern } from "../../engine/router.ts"
import { version } from "../version.ts"
import type { Admin } from "./admin.ts"
import * as apps from "./apps.ts"
import * as clock from "./clock.ts"
import * as document from "./document.ts"
import { layerValidation } from "./errors.ts"
import * as events from "./events.ts"
import * as explain from "./explain.ts"
import * as iTwins from "./iTwins.ts"
import * as journal from "./journal.ts"
import * as profile from "./profile.ts"
import * as reset from "./reset.ts"
import * as routes from "./routes.ts"
import * as script from "./script.ts"
import * as tokens from "./tokens.ts"
import * as users from "./users.ts"
import * as vault from "./vault.ts"

const description = `Controls a running fake-ims, for tests in any language.

A body is JSON and sent as \`Content-Type: application/json\` (else 415). A field or parameter that is not declared is an
error. Each error is \`{ "message": "…" }\`: 400 for a request that is not valid, 404 for what the fake does not have, 405
for a wrong method, 409 for a state that does not allow it or an expectation that is not met. Requests from pages of other
sites get 403, requests for another host 421, and requests without the admin token 401, if the fake has one.`

const api = HttpApi.make("fake-ims")
  .add(
    reset.reset,
    script.script,
    journal.journal,
    events.events,
    clock.clock,
    apps.apps,
    users.users,
    tokens.tokens,
    explain.explain,
    iTwins.iTwins,
    routes.routes,
    profile.profile,
    document.document
  )
  .annotateMerge(OpenApi.annotations({ title: "fake-ims", version, description }))

const apiWithVault = api.add(vault.vault)

export interface App {
  readonly operations: ReadonlyArray<Pattern>
  readonly serve: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>
}

const methods: ReadonlyArray<Method> = ["GET", "POST", "PUT", "PATCH", "DELETE"]

const isPath = (path: string): path is Path => path.startsWith("/")

const describe = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  self: HttpApi.HttpApi<Id, Groups>,
  admin: Admin
) => {
  const operations: Array<Pattern> = []
  HttpApi.reflect(self, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const method = methods.find((method) => method === endpoint.method)
      if (method !== undefined && isPath(endpoint.path)) operations.push({ method, paths: [endpoint.path] })
    }
  })
  return { operations, document: () => document.describe(self, admin) }
}

export const makeApp = (admin: Admin): Effect.Effect<App, never, Scope.Scope> =>
  Effect.gen(function* () {
    const router = yield* HttpRouter.make
    const described = admin.vault === undefined ? describe(api, admin) : describe(apiWithVault, admin)
    const groups = Layer.mergeAll(
      reset.layer(admin),
      script.layer(admin),
      journal.layer(admin),
      events.layer(admin),
      clock.layer(admin),
      apps.layer(admin),
      users.layer(admin),
      tokens.layer(admin),
      explain.layer(admin),
      iTwins.layer(admin),
      routes.layer(admin),
      profile.layer(admin),
      document.layer(described.document)
    )
    const served =
      admin.vault === undefined
        ? HttpApiBuilder.layer(api).pipe(Layer.provide(groups))
        : HttpApiBuilder.layer(apiWithVault).pipe(Layer.provide([groups, vault.layer(admin.vault)]))
    yield* Layer.build(
      served.pipe(
        Layer.provide([layerValidation, HttpServer.layerServices, Layer.succeed(HttpRouter.HttpRouter, router)])
      )
    )
    return {
      operations: described.operations,
      serve: Effect.orDie(Effect.scoped(router.asHttpEffect()))
    }
  })
