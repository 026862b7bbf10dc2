// The canary test: with a token and a secret of known value, every failure is driven, and everything that a user could
// print is searched.
import { assert, describe, it } from "@effect/vitest"
import { ClientCredentials, SecretProvider } from "@effect-itwin/core"
import { AccessTokenVerifier, BearerMiddleware, IntrospectionVerifier, VerifiedToken } from "@effect-itwin/verify"
import { Effect, Layer, Redacted } from "effect"
import { HttpClientError, HttpClientRequest, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { observe, strings } from "../../core/test/canary.ts"
import {
  type Answer,
  clientId,
  encode,
  header,
  ims,
  type Json,
  json,
  keySet,
  rsaKey,
  signed,
  verify
} from "./support.ts"

const key = rsaKey("key-1")
const secret = "fake-secret-Ab+Cd/Ef=&g"

/** Claims that must not be shown, even though they are readable in the token. */
const canary: Json = { jti: "fake-canary-jti", sub: "fake-canary-subject", name: "Fake Canary" }

const tokenOf = (change: Json = {}, by = key, head: Json = {}): string =>
  signed(
    by,
    encode({ ...header(key), ...head }),
    encode({
      client_id: clientId,
      scope: ["itwin-platform"],
      iss: "https://ims.bentley.com",
      aud: "bentley-api-management",
      exp: 3600,
      ...canary,
      ...change
    })
  )

const search = (token: string, things: ReadonlyArray<unknown>) => {
  const parts = token.split(".").filter((part) => part.length > 20)
  const needles = [
    token,
    secret,
    encodeURIComponent(secret),
    "fake-canary",
    "Fake Canary",
    ...parts.map((part) => part.slice(-24))
  ]
  for (const thing of things) {
    for (const text of strings(thing)) {
      for (const needle of needles) assert.notInclude(text, needle)
    }
  }
}

const leaking: Answer = () =>
  Effect.fail(
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({
        request: HttpClientRequest.post("https://ims.bentley.com", { headers: { authorization: secret } }),
        description: secret,
        cause: new Error(secret)
      })
    })
  )

const throwing: Answer = () => {
  throw new TypeError(secret)
}

const local = (answer: Answer, options: Partial<AccessTokenVerifier.Options> = {}) =>
  AccessTokenVerifier.layer({ clientIds: [clientId], ...options }).pipe(Layer.provide(ims(answer).layer))

const remote = (answer: Answer) =>
  IntrospectionVerifier.layer({ clientIds: [clientId] }).pipe(
    Layer.provide([
      ims(answer).layer,
      SecretProvider.layerStatic(
        new ClientCredentials.ClientCredentials({ clientId: "service-Mine", clientSecret: Redacted.make(secret) })
      )
    ])
  )

const good = json(keySet(key))
type Layers = Layer.Layer<AccessTokenVerifier.AccessTokenVerifier, unknown>

const cases: ReadonlyArray<readonly [name: string, token: string, layer: Layers]> = [
  ["is accepted", tokenOf(), local(good)],
  ["is malformed", `${tokenOf()}.x`, local(good)],
  [
    "repeats a claim",
    signed(key, encode(header(key)), encode(`{"jti":"fake-canary-1","jti":"fake-canary-2"}`)),
    local(good)
  ],
  ["has expired", tokenOf({ exp: -100 }), local(good)],
  ["is not valid yet", tokenOf({ nbf: 1000 }), local(good)],
  ["has a wrong type", tokenOf({ exp: "fake-canary" }), local(good)],
  ["is of another issuer", tokenOf({ iss: "https://fake-canary.example" }), local(good)],
  ["is for another audience", tokenOf({ aud: "fake-canary" }), local(good)],
  ["is of another client", tokenOf({ client_id: "fake-canary" }), local(good)],
  ["lacks a scope", tokenOf({ scope: "fake-canary" }), local(good, { scopes: ["itwins:read"] })],
  ["is signed by another key", tokenOf({}, rsaKey("rogue")), local(good)],
  ["names an unknown key", tokenOf({}, key, { kid: "fake-canary" }), local(good)],
  ["names an unknown algorithm", tokenOf({}, key, { alg: "fake-canary" }), local(good)],
  ["has a critical extension", tokenOf({}, key, { crit: ["fake-canary"] }), local(good)],
  ["can't be verified because the client fails", tokenOf(), local(leaking)],
  ["can't be verified because the client throws", tokenOf(), local(throwing)],
  ["can't be verified because the key set lies", tokenOf(), local(json({ keys: secret }))],
  ["is introspected", tokenOf(), remote(json({ ...canary, active: true, client_id: clientId, exp: 3600 }))],
  ["is not active", tokenOf(), remote(json({ active: false, ...canary }))],
  ["is introspected by a server that echoes", tokenOf(), remote(() => new Response(`${secret} ${tokenOf()}`))],
  ["can't be introspected because the client fails", tokenOf(), remote(leaking)],
  ["can't be introspected because the client throws", tokenOf(), remote(throwing)],
  [
    "can't be introspected because the status is 401",
    tokenOf(),
    remote(() => Response.json({ error: secret }, { status: 401 }))
  ]
]

describe("nothing of a token or of the secret is shown", () => {
  it.effect.each(cases)("when the token %s", ([_name, token, layer]) =>
    Effect.gen(function* () {
      // The caller's span would end with the verified token, whose subject is for the program.
      const { exit, exported, seen } = yield* observe(
        Effect.flatMap(Layer.build(layer), (context) =>
          Effect.asVoid(verify(token).pipe(Effect.provide(context)))
        ).pipe(Effect.scoped)
      )
      assert.isAbove(seen.length, 0)
      const shown = exit._tag === "Success" ? [exit] : [exit, exit.cause]
      search(token, [...shown, ...seen, exported])
    })
  )

  it.effect("in a VerifiedToken, except for its subject and scopes", () =>
    Effect.gen(function* () {
      const token = tokenOf({ sub: "fake-subject" })
      const verified = yield* verify(token).pipe(Effect.provide(local(good)))
      search(token, [verified])
      assert.strictEqual(Redacted.value(verified.value), token)
    })
  )

  it.effect.each(cases)("in the response when the token %s", ([_name, token, layer]) =>
    Effect.gen(function* () {
      const whoami = Effect.as(VerifiedToken.CurrentToken, HttpServerResponse.text("ok"))
      const handler = yield* HttpRouter.toHttpEffect(
        HttpRouter.add("GET", "/", whoami).pipe(Layer.provide(BearerMiddleware.layer), Layer.provide(layer))
      )
      const request = HttpServerRequest.fromClientRequest(
        HttpClientRequest.get("http://backend.test/", { headers: { authorization: `Bearer ${token}` } })
      )
      const response = yield* Effect.provideService(handler, HttpServerRequest.HttpServerRequest, request)
      search(token, [response.headers, response.body])
    }).pipe(Effect.scoped)
  )
})
