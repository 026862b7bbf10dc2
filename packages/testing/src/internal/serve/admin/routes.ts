// Endpoints that a test adds to the APIs, with a fixed answer.
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as Fault from "../../../Fault.ts"
import { respond } from "../../engine/applyFault.ts"
import type { Path } from "../../engine/router.ts"
import * as inputs from "../inputs.ts"
import { isOwnPath } from "../ownPaths.ts"
import type { Admin } from "./admin.ts"
import { Done, done, group } from "./declare.ts"
import { Conflict, NotFound, orNotFound } from "./errors.ts"

const Route = Schema.Struct({
  name: Schema.String.annotate({ description: "Method and path: `GET /storage/:folder`." }),
  own: Schema.Boolean.annotate({ description: "Whether the test added it." })
}).annotate({ identifier: "Route" })

const isPath = (text: string): text is Path => /^(?:\/(?::\w+|[\w.~!$&'()*+,;=@%-]+))+$/.test(text)

const NewPath = Schema.String.pipe(
  Schema.refine(isPath, { expected: "a path such as /storage/:folder, without a query" }),
  Schema.check(
    Schema.makeFilter((path) => (isOwnPath(path) ? "Expected a path that the admin API does not use" : undefined))
  )
)

export const routes = group(
  "routes",
  "/__admin",
  "Endpoints of your own, with a fixed answer.",
  HttpApiEndpoint.get("routes", "/routes", { success: Schema.Array(Route) }).annotate(
    OpenApi.Summary,
    "Lists the routes, as scripts and the journal name them"
  ),
  HttpApiEndpoint.post("addRoute", "/routes", {
    payload: Schema.Struct({
      method: Schema.Literals(["GET", "POST", "PUT", "PATCH", "DELETE"]),
      path: NewPath.annotateKey({ description: "May have parameters: `/storage/:folder`." }),
      scopes: Schema.optionalKey(
        Schema.NonEmptyArray(inputs.Scope).annotate({
          description: 'A token with one of these is accepted; ["itwin-platform"] by default.'
        })
      ),
      response: Schema.Struct(Struct.omit(Fault.Respond.fields, ["_tag"])).annotate({
        description: "The answer to an accepted token. A text is sent as it is, any other body as JSON."
      })
    }),
    success: Route.pipe(HttpApiSchema.status(201)),
    error: Conflict
  }).annotate(
    OpenApi.Summary,
    "Adds an endpoint behind the check of the token: `method`, `path`, `scopes`, `response` (`status`, `headers`, `body`)"
  ),
  HttpApiEndpoint.delete("removeRoute", "/routes", {
    query: { route: Schema.String.annotate({ description: "Its name: `GET /storage/:folder`." }) },
    success: Done,
    error: NotFound
  }).annotate(OpenApi.Summary, "Removes an endpoint that was added, by its name: `?route=`")
)

export const layer = ({ added, ims }: Admin) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(routes), "routes", (handlers) =>
    handlers.handleAll({
      routes: () => ims.routes,
      addRoute: Effect.fnUntraced(function* ({ payload: { method, path, response, scopes } }) {
        const name = `${method} ${path}`
        if ((yield* ims.routes).some((route) => route.own && route.name === name && !added.has(name))) {
          return yield* new Conflict({ message: `path: The program that runs the fake has added ${name} already` })
        }
        yield* ims.addRoute(method, path, () => respond(response), { scopes })
        added.add(name)
        return { name, own: true }
      }),
      removeRoute: ({ query: { route } }) =>
        Effect.map(orNotFound(ims.removeRoute(route)), () => {
          added.delete(route)
          return done
        })
    })
  )
