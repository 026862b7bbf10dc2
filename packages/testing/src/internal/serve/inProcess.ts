// Serves the fake as an `HttpClient`, without a socket. The fake waits only on the clock.
import * as Environment from "@effect-itwin/core/Environment"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Fake } from "../fakeIms.ts"

const originsOf = ({ apiBaseUrl, tokenEndpoint }: Environment.Environment) => ({
  ims: new URL(tokenEndpoint).origin,
  api: new URL(apiBaseUrl).origin
})

const known = Object.entries({ production: Environment.production, qa: Environment.qa })

/** Returns advice about an origin that the fake does not answer for. */
const adviceFor = (origin: string): string => {
  const [name] = known.find(([, environment]) => Object.values(originsOf(environment)).includes(origin)) ?? []
  return name === undefined ? "" : `. Call FakeIms.layerTest({ environment: Environment.${name} })`
}

/** Returns the request as the API behind the base URL receives it. */
const withoutBase = (request: HttpServerRequest.HttpServerRequest, { apiBaseUrl }: Environment.Environment) => {
  const base = `${new URL(apiBaseUrl).pathname.replace(/\/$/, "")}/`
  return base.length > 1 && request.url.startsWith(base)
    ? request.modify({ url: request.url.slice(base.length - 1) })
    : request
}

/** Builds a client that answers for the hosts of the environment. Other hosts do not exist for it. */
export const makeClient = (fake: Fake, environment: Environment.Environment): HttpClient.HttpClient => {
  const { api, ims } = originsOf(environment)
  const handlers = new Map(
    api === ims
      ? [[api, fake.all]]
      : [
          [ims, fake.onIms],
          [api, fake.onApi]
        ]
  )
  return HttpClient.make((request, url) => {
    const handler = handlers.get(url.origin)
    const broken = (description: string, code: string) =>
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({
          request,
          description,
          // The code that a real client reports.
          cause: Object.assign(new Error(code), { code })
        })
      })
    if (handler === undefined) {
      const origins = [...handlers.keys()].join(" and ")
      return Effect.fail(
        broken(`FakeIms answers for ${origins}, not for ${url.origin}${adviceFor(url.origin)}`, "ENOTFOUND")
      )
    }
    return handler.pipe(
      Effect.provideService(
        HttpServerRequest.HttpServerRequest,
        withoutBase(HttpServerRequest.fromClientRequest(request), environment)
      ),
      Effect.mapBoth({
        onFailure: ({ code }) => broken("FakeIms reset the connection", code),
        onSuccess: (response) => HttpServerResponse.toClientResponse(response, { request })
      })
    )
  })
}
