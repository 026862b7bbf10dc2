// Sends one table of requests to oidc-provider and to the fake, so that the fake can't drift from OAuth 2.0. The table
// lists each difference with a reason.
import { assert, describe, it } from "@effect/vitest"
import * as Environment from "@effect-itwin/core/Environment"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import * as servers from "./authorizationServers.ts"
import { AuthorizationServer } from "./authorizationServers.ts"
import { type Answer, rows, type Server } from "./oauthRequests.ts"

const send = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
  const response = yield* HttpClient.execute(HttpClientRequest.setHeader(request, "accept", "application/json"))
  const text = yield* response.text
  const { headers, status } = response
  const json: Record<string, unknown> =
    /json/.test(headers["content-type"] ?? "") && text !== "" ? JSON.parse(text) : {}
  const answer: Answer = {
    status,
    error: typeof json.error === "string" ? json.error : undefined,
    challenge: headers["www-authenticate"]?.split(" ")[0],
    allow: headers.allow,
    noStore: /no-store/.test(headers["cache-control"] ?? "")
  }
  return { answer, json }
})

const locate = Effect.gen(function* () {
  const { app, introspectionEndpoint, issuer, otherApp, revocationEndpoint } = yield* AuthorizationServer
  const { tokenEndpoint } = yield* Environment.Environment
  const { json } = yield* send(HttpClientRequest.get(`${issuer}/.well-known/openid-configuration`))
  const incomplete: Server = {
    issuer,
    app,
    otherApp,
    token: tokenEndpoint,
    introspection: introspectionEndpoint,
    revocation: revocationEndpoint,
    authorization: String(json.authorization_endpoint),
    keys: String(json.jwks_uri),
    ownToken: "",
    othersToken: ""
  }
  const [first] = rows
  assert.isDefined(first)
  const tokenOf = (server: Server) => Effect.map(send(first.request(server)), ({ json }) => String(json.access_token))
  return {
    ...incomplete,
    ownToken: yield* tokenOf(incomplete),
    othersToken: yield* tokenOf({ ...incomplete, app: otherApp })
  }
})

/** Checks the members of RFC 6749 §5.1 and §5.2. */
const assertWellFormed = (json: Readonly<Record<string, unknown>>, name: string) => {
  if (json.access_token !== undefined) {
    assert.match(String(json.access_token), /^[\w\-.~+/]+=*$/, name)
    assert.strictEqual(json.token_type, "Bearer", name)
    assert.isAbove(Number(json.expires_in), 0, name)
    assert.notProperty(json, "error", name)
  }
  if (json.error_description !== undefined) {
    assert.match(String(json.error_description), /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/, name)
  }
}

const answers = Effect.gen(function* () {
  const server = yield* locate
  return yield* Effect.forEach(rows, ({ name, request }) =>
    Effect.map(send(request(server)), ({ answer, json }) => {
      assertWellFormed(json, name)
      return answer
    })
  )
})

const of = (layer: Layer.Layer<AuthorizationServer, unknown>) =>
  Effect.provide(answers, Layer.merge(layer, FetchHttpClient.layer))

const line = ({ allow, challenge, error, noStore, status }: Answer): string =>
  [
    status,
    error ?? "no error",
    challenge === undefined ? "no challenge" : `challenge ${challenge}`,
    allow === undefined ? "no Allow" : `Allow: ${allow}`,
    noStore ? "no-store" : "may be stored"
  ].join(", ")

/** Writes one line for each row, so that a failure shows the row. */
const lines = (answers: ReadonlyArray<Answer>): ReadonlyArray<string> =>
  rows.map(({ name }, index) => {
    const answer = answers[index]
    return `${name}: ${answer === undefined ? "not answered" : line(answer)}`
  })

describe("one table of requests", () => {
  it("compares at least 60 requests, each with a different name", () => {
    assert.isAtLeast(rows.length, 60)
    assert.strictEqual(new Set(rows.map(({ name }) => name)).size, rows.length)
  })

  it("lists a difference to oidc-provider only where the answers differ, with a reason", () => {
    for (const { fake, name, peer } of rows) {
      if (peer === undefined) continue
      const { why, ...different } = peer
      assert.isAbove(why.length, 20, name)
      assert.notDeepEqual({ ...fake, ...different }, fake, name)
    }
  })

  it.live("returns from the fake what the table of requests says", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(lines(yield* of(servers.fake)), lines(rows.map(({ fake }) => fake)))
    })
  )

  it.live("returns the same from oidc-provider, apart from the listed differences", () =>
    Effect.gen(function* () {
      const expected = rows.map(({ fake, peer: { why: _why, ...different } = { why: "" } }) => ({
        ...fake,
        ...different
      }))
      assert.deepStrictEqual(lines(yield* of(servers.oidcProvider())), lines(expected))
    })
  )
})
