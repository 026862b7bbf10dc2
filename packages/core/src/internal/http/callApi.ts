// A call of one API of the platform: its version, its request, and the schema of its response.
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as Schema from "effect/Schema"
import * as ITwinApiError from "../../ITwinApiError.ts"
import { ITwinHttpClient, version } from "../../ITwinHttpClient.ts"
import type { TokenError } from "../../TokenError.ts"

export type Failure = ITwinApiError.ITwinApiError | TokenError | HttpClientError.HttpClientError

/** Returns a function that sends a request to version `n` of an API, and decodes the response. */
export const callApi = <S extends Schema.Constraint>(n: number, schema: S) => {
  const decode = ITwinApiError.schemaBodyJson(schema)
  return (
    request: HttpClientRequest.HttpClientRequest
  ): Effect.Effect<S["Type"], Failure, ITwinHttpClient | S["DecodingServices"]> =>
    ITwinHttpClient.pipe(
      Effect.flatMap((client) => version(n)(client).execute(request)),
      Effect.flatMap(decode)
    )
}
