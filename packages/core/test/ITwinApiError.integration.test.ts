// The errors of APIs over real clients, which differ in what they keep of a body.

import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { ITwinApiError } from "@effect-itwin/core"
import { Effect, type Layer } from "effect"
import { FetchHttpClient, HttpClient, type HttpClientResponse } from "effect/http"
import { listen } from "./server.ts"

const forbidden = listen((_request, response) => {
  response.writeHead(403, { "content-type": "application/json" })
  response.end(JSON.stringify({ error: { code: "InsufficientPermissions", message: "no way" } }))
})

describe.each<readonly [string, Layer.Layer<HttpClient.HttpClient>]>([
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layerNodeHttp]
])("an API error over %s", (_name, client) => {
  it.live.each<readonly [string, (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<unknown, unknown>]>(
    [
      ["is not read yet", () => Effect.void],
      ["was read as text", (response) => response.text],
      ["was read as JSON", (response) => response.json]
    ]
  )("contains code and message of the API error when its body %s", ([_when, read]) =>
    Effect.gen(function* () {
      const { url } = yield* forbidden
      const response = yield* HttpClient.get(url)
      yield* read(response)
      const error = yield* Effect.flip(ITwinApiError.fromResponse(response))
      assert.include(error.message, "InsufficientPermissions: no way")
    }).pipe(Effect.scoped, Effect.provide(client))
  )
})
