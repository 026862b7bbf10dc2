// Shared by the tests of core: a scripted client, and credentials.
import { ClientCredentials } from "@effect-itwin/core"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"

export const secret = "fake-secret-Ab+Cd/Ef=&g ~"

export const credentials = new ClientCredentials.ClientCredentials({
  clientId: "service-Ab12",
  clientSecret: Redacted.make(secret)
})

export type Step = () => Response | Effect.Effect<Response, HttpClientError.HttpClientError>

/** Returns the n-th step for the n-th request, and then the last one. Records the requests. */
export const scripted = (...steps: ReadonlyArray<Step>) => {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) =>
    Effect.suspend(() => {
      const step = steps[Math.min(requests.length, steps.length - 1)]
      requests.push(request)
      const answer = step?.() ?? new Response(null, { status: 204 })
      return Effect.map(Effect.isEffect(answer) ? answer : Effect.succeed(answer), (response) =>
        HttpClientResponse.fromWeb(request, response)
      )
    })
  )
  return { requests, client, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

export const json =
  (body: unknown, init?: ResponseInit): Step =>
  () =>
    Response.json(body, init)

export const tokenAnswer = (fields?: object): Step =>
  json({ access_token: "fake.token", token_type: "Bearer", expires_in: 3600, ...fields })

export const transportError =
  (code: string): Step =>
  () =>
    Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({
          request: HttpClientRequest.get("https://ims.bentley.com"),
          cause: new TypeError("fetch failed", { cause: Object.assign(new Error(`x ${code}`), { code }) })
        })
      })
    )
