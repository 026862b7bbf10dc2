import { assert, describe, it } from "@effect/vitest"
import { ImsRequest } from "@effect-itwin/core"
import { Duration, Effect, Fiber } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { scripted, secret, transportError } from "./support.ts"

const request = HttpClientRequest.post("https://ims.bentley.com/connect/introspect").pipe(
  HttpClientRequest.bodyUrlParams({ token: secret })
)

const send = (client: HttpClient.HttpClient) =>
  Effect.flatMap(ImsRequest.make, (send) => send(request, "5 seconds")).pipe(
    Effect.provideService(HttpClient.HttpClient, client)
  )

describe("ImsRequest", () => {
  it.effect.each([200, 404, 429, 503])("returns the response with its body when the status is %d", (status) =>
    Effect.gen(function* () {
      const { client, requests } = scripted(() => new Response("body", { status, headers: { "retry-after": "7" } }))
      const response = yield* send(client)
      assert.strictEqual(response.status, status)
      assert.strictEqual(response.body, "body")
      assert.deepStrictEqual(response.retryAfter, Duration.seconds(7))
      assert.match(requests[0]?.headers["user-agent"] ?? "", /^effect-itwin\//)
      assert.isUndefined(requests[0]?.headers.traceparent)
    })
  )

  it.effect("fails when the client followed a redirect itself", () =>
    Effect.gen(function* () {
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          const response = new Response("{}")
          Object.defineProperty(response, "url", { value: "https://attacker.example/" })
          return HttpClientResponse.fromWeb(request, response)
        })
      )
      const error = yield* Effect.flip(send(client))
      assert.strictEqual(error.kind, "redirect")
      assert.include(error.message, "followed the redirect itself")
    })
  )

  it.effect("returns the response when the client rejects its status", () =>
    Effect.gen(function* () {
      const { client } = scripted(() => new Response("body", { status: 500 }))
      assert.strictEqual((yield* send(HttpClient.filterStatusOk(client))).status, 500)
    })
  )

  it.effect.each<readonly [code: string, detail: string]>([
    ["ENOTFOUND", "could not be resolved (ENOTFOUND)"],
    ["ECONNREFUSED", "refused the connection (ECONNREFUSED)"],
    ["CERT_HAS_EXPIRED", "is not trusted, or its TLS connection failed (CERT_HAS_EXPIRED)"],
    ["fake-secret", "is unreachable"]
  ])("fails with what happened when the code is %s", ([code, detail]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(send(scripted(transportError(code)).client))
      assert.strictEqual(error.kind, "transport")
      assert.strictEqual(error.detail, detail)
    })
  )

  it.effect("fails when the response is not complete within the limit", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(send(scripted(() => Effect.never).client)))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).kind, "timeout")
    })
  )

  it("throws when a URL is neither https nor http on loopback", () => {
    assert.strictEqual(ImsRequest.checkUrl("url", "https://a.example"), "https://a.example/")
    assert.strictEqual(ImsRequest.checkUrl("url", "http://127.0.0.1:80/x"), "http://127.0.0.1/x")
    for (const url of ["http://a.example", "ftp://a.example", "/x", "https://a:b@a.example", "https://a.example?x"])
      assert.throws(() => ImsRequest.checkUrl("url", url), /^url must be/)
  })
})
