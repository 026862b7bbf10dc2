/** A typed client of an API that the library does not know, here a part of iModels. docs/any-api.md explains the parts. */
import { ITwinApiError, ITwinHttpClient } from "@effect-itwin/core"
import { Effect, Schema } from "effect"
import { HttpApi, HttpApiClient, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"

/** The platform may leave out any field, or write null, except for the id. */
const optional = Schema.optionalKey(Schema.NullOr(Schema.String))

export const IModel = Schema.Struct({ id: Schema.String, displayName: optional, dataCenterLocation: optional })

const Api = HttpApi.make("iModels").add(
  HttpApiGroup.make("iModels", { topLevel: true }).add(
    HttpApiEndpoint.get("list", "/imodels", {
      query: { iTwinId: Schema.String, $top: Schema.optionalKey(Schema.Finite) },
      success: Schema.Struct({ iModels: Schema.Array(IModel) })
    }),
    HttpApiEndpoint.get("get", "/imodels/:id", {
      params: { id: Schema.String },
      success: Schema.Struct({ iModel: IModel })
    }),
    HttpApiEndpoint.post("create", "/imodels", {
      payload: Schema.Struct({ iTwinId: Schema.String, name: Schema.String }),
      success: Schema.Struct({ iModel: IModel }).pipe(HttpApiSchema.status(201))
    })
  )
)

/** Asks for version 2. A status other than 2xx is an ITwinApiError. */
export const iModels = Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (client) =>
  HttpApiClient.makeWith(Api, {
    httpClient: client.pipe(ITwinHttpClient.version(2), ITwinApiError.filterStatusOk)
  })
)
