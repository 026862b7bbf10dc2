// The OpenAPI document of the admin API, made from its declarations.
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import type { Admin } from "./admin.ts"
import { group } from "./declare.ts"

export const document = group(
  "document",
  "/__admin",
  "The description of the admin API.",
  HttpApiEndpoint.get("document", "/openapi.json", { success: Schema.JsonObject }).annotate(
    OpenApi.Summary,
    "Returns this API as an OpenAPI 3.1 document"
  )
)

/**
 * The type of a parameter in the query. Effect describes a number there as the text that it is on the wire, and clients
 * that are generated from that want a text.
 */
const parameterSchema = (schema: object): object => {
  if (!("pattern" in schema && String(schema.pattern).includes("\\d"))) return schema
  const { pattern: _, ...others } = schema
  return { ...others, type: "integer" }
}

/** Returns the document as it is true of this server: its URL, and whether it wants a token. */
export const describe = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
  { token, url }: Pick<Admin, "token" | "url">
) => {
  const { components, paths, security: _, ...others } = OpenApi.fromApi(api)
  for (const item of Object.values(paths)) {
    for (const operation of Object.values(item)) {
      if (!("responses" in operation)) continue
      // An empty list would say that this operation needs no token.
      Reflect.deleteProperty(operation, "security")
      for (const parameter of operation.parameters) parameter.schema = parameterSchema(parameter.schema)
      const { requestBody } = operation
      const schema = requestBody?.content["application/json"]?.schema
      // A request without a body is one whose fields are all left out.
      if (requestBody !== undefined && schema !== undefined && !("required" in schema) && !("$ref" in schema)) {
        Reflect.deleteProperty(requestBody, "required")
      }
    }
  }
  const scheme = { type: "http", scheme: "bearer", description: "The admin token of the fake." }
  return {
    ...others,
    servers: [{ url }],
    paths,
    components: { schemas: components.schemas, ...(token === undefined ? {} : { securitySchemes: { token: scheme } }) },
    ...(token === undefined ? {} : { security: [{ token: [] }] })
  }
}

export const layer = (describe: () => unknown) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(document), "document", (handlers) =>
    handlers.handle("document", () => Effect.sync(() => HttpServerResponse.jsonUnsafe(describe())))
  )
