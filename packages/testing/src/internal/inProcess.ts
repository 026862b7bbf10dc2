// The fake as an `HttpClient`: no socket, and nothing that waits but on the clock.
import * as Environment from "@effect-itwin/core/Environment"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Fake } from "./fake.ts"

/** Answers for the production hosts; others do not exist. */
export const makeClient = (fake: Fake): HttpClient.HttpClient => {
  const handlers = new Map([
    [new URL(Environment.production.tokenEndpoint).origin, fake.ims],
    [Environment.production.apiBaseUrl, fake.api]
  ])
  return HttpClient.make((request, url) => {
    const handler = handlers.get(url.origin)
    const broken = (description: string, code: string) =>
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({
          request,
          description,
          // What a real client says of it.
          cause: Object.assign(new Error(code), { code })
        })
      })
    if (handler === undefined) {
      const hosts = [...handlers.keys()].join(" and ")
      return Effect.fail(broken(`FakeIms answers for ${hosts}, not for ${url.origin}`, "ENOTFOUND"))
    }
    return handler.pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, HttpServerRequest.fromClientRequest(request)),
      Effect.mapBoth({
        onFailure: ({ code }) => broken("FakeIms reset the connection", code),
        onSuccess: (response) => HttpServerResponse.toClientResponse(response, { request })
      })
    )
  })
}
