// Runs core against a server that others wrote, and one contract against that server and the fake, so that the fake
// can't drift from OAuth. Single requests are compared in sideBySide.integration.test.ts.

import { assert, describe, layer } from "@effect/vitest"
import { ClientCredentials, RetryPolicy, Scopes, SecretProvider, TokenCache, TokenRequest } from "@effect-itwin/core"
import * as Environment from "@effect-itwin/core/Environment"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import * as jose from "jose"
import * as servers from "./authorizationServers.ts"
import { AuthorizationServer } from "./authorizationServers.ts"

type ServerName = "oidc-provider" | "the fake"

const peers: ReadonlyArray<readonly [ServerName, Layer.Layer<AuthorizationServer, unknown>]> = [
  ["oidc-provider", servers.oidcProvider()],
  ["the fake", servers.fake]
]

const live = { excludeTestServices: true }

const overHttp = <A, E>(served: Layer.Layer<A, E>) =>
  Layer.mergeAll(served, FetchHttpClient.layer, RetryPolicy.layer(RetryPolicy.none))

const authentications = ["client_secret_post", "client_secret_basic"] as const

type Credentials = ClientCredentials.ClientCredentials

const withSecret = ({ clientId }: Credentials, secret: string) =>
  new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make(secret) })

describe.each(peers)("core asks %s", (_name, served) => {
  for (const authentication of authentications) {
    const send = (credentials: Credentials, scope = "itwin-platform") =>
      Effect.provideService(
        TokenRequest.send({ credentials, scopes: Scopes.make(scope) }),
        TokenRequest.ClientAuthentication,
        authentication
      )
    const refusal = (credentials: Credentials, scope = "itwin-platform") =>
      Effect.map(Effect.flip(send(credentials, scope)), (error) => error.reason._tag)

    layer(overHttp(served), live)(`by ${authentication}`, (it) => {
      it.effect("returns a token to core for the requested scopes", () =>
        Effect.gen(function* () {
          const { app } = yield* AuthorizationServer
          const token = yield* send(app, "itwin-platform itwins:read")
          assert.strictEqual(token.tokenType, "Bearer")
          assert.strictEqual(token.scopes, "itwin-platform itwins:read")
          assert.strictEqual(token.clientId, app.clientId)
          assert.isAbove(token.expiresAt.epochMilliseconds, token.issuedAt.epochMilliseconds)
        })
      )

      it.effect("fails in core with InvalidClient when the secret is wrong or the client is unknown", () =>
        Effect.gen(function* () {
          const { app } = yield* AuthorizationServer
          assert.strictEqual(yield* refusal(withSecret(app, "fake-secret-w+r/o=")), "InvalidClient")
          const nobody = new ClientCredentials.ClientCredentials({ ...app, clientId: "service-Nobody" })
          assert.strictEqual(yield* refusal(nobody), "InvalidClient")
        })
      )

      it.effect("fails in core with InvalidScope when the app was not granted the scope", () =>
        Effect.gen(function* () {
          const { app } = yield* AuthorizationServer
          assert.strictEqual(yield* refusal(app, "itwin-platform users:read"), "InvalidScope")
        })
      )

      it.effect("serves core a token that it caches until it is refreshed", () =>
        Effect.gen(function* () {
          const { app } = yield* AuthorizationServer
          yield* Effect.gen(function* () {
            const cache = yield* TokenCache.TokenCache
            const first = yield* cache.get()
            assert.strictEqual(yield* cache.get(), first)
            const second = yield* cache.refresh()
            assert.notStrictEqual(Redacted.value(second.value), Redacted.value(first.value))
            for (const { value } of [first, second]) {
              assert.isTrue((yield* introspect(app, Redacted.value(value))).body.active)
            }
          }).pipe(
            Effect.provide(TokenCache.layerWith({}).pipe(Layer.provide(SecretProvider.layerStatic(app)))),
            Effect.provideService(TokenRequest.ClientAuthentication, authentication)
          )
        })
      )
    })
  }
})

describe("core asks oidc-provider", () => {
  layer(
    overHttp(servers.oidcProvider("jwt")),
    live
  )((it) => {
    it.effect("returns a JWT and an opaque token from oidc-provider to core", () =>
      Effect.gen(function* () {
        const { app, issuer } = yield* AuthorizationServer
        const token = yield* TokenRequest.send({ credentials: app, scopes: Scopes.itwinPlatform })
        const { payload } = yield* Effect.promise(() =>
          jose.jwtVerify(Redacted.value(token.value), jose.createRemoteJWKSet(new URL(`${issuer}/jwks`)), {
            issuer,
            audience: servers.api
          })
        )
        assert.strictEqual(payload.client_id, app.clientId)
      })
    )
  })
})

type Form = Readonly<Record<string, string | ReadonlyArray<string>>>
type Headers = Readonly<Record<string, string>>

const send = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
  const response = yield* HttpClient.execute(HttpClientRequest.acceptJson(request))
  const text = yield* response.text
  const json: unknown = /json/.test(response.headers["content-type"] ?? "") ? JSON.parse(text) : {}
  return { status: response.status, headers: response.headers, body: json as Record<string, unknown> }
})

const inForm = ({ clientId, clientSecret }: Credentials): Form => ({
  client_id: clientId,
  client_secret: Redacted.value(clientSecret)
})

const grant: Form = { grant_type: "client_credentials", scope: "itwin-platform" }

const encode = (text: string) => encodeURIComponent(text).replaceAll("%20", "+")

const basic = ({ clientId, clientSecret }: Credentials, suffix = "", scheme = "Basic"): Headers => ({
  authorization: `${scheme} ${btoa(`${encode(clientId)}:${encode(Redacted.value(clientSecret))}${suffix}`)}`
})

const post = (url: string, form: Form, headers: Headers = {}) =>
  HttpClientRequest.post(url, { headers }).pipe(HttpClientRequest.bodyUrlParams(form))

const introspect = (caller: Credentials, token: string) =>
  Effect.flatMap(AuthorizationServer, ({ introspectionEndpoint }) =>
    send(post(introspectionEndpoint, { ...inForm(caller), token }))
  )

const revoke = (caller: Credentials, token: string) =>
  Effect.flatMap(AuthorizationServer, ({ revocationEndpoint }) =>
    send(post(revocationEndpoint, { ...inForm(caller), token }))
  )

const ask = (form: (app: Credentials) => Form, headers?: (app: Credentials) => Headers) =>
  Effect.gen(function* () {
    const { tokenEndpoint } = yield* Environment.Environment
    const { app } = yield* AuthorizationServer
    return yield* send(post(tokenEndpoint, form(app), headers?.(app)))
  })

const freshToken = Effect.map(
  ask((app) => ({ ...grant, ...inForm(app) })),
  ({ body }) => String(body.access_token)
)

const invalidRequest = { status: 400, error: "invalid_request" }
const invalidClient = { status: 401, error: "invalid_client" }

describe.each(peers)("%s keeps the contract of OAuth", (name, served) => {
  layer(
    overHttp(served),
    live
  )((it) => {
    it.effect("challenges a client that failed by HTTP Basic (RFC 6749 §5.2)", () =>
      Effect.gen(function* () {
        const { headers } = yield* ask(
          () => grant,
          (app) => basic(withSecret(app, "fake-secret-w+r/o="))
        )
        assert.match(headers["www-authenticate"] ?? "", /^Basic realm="/)
      })
    )

    it.effect(
      "does not challenge a client that failed by form, because RFC 6749 §5.2 demands it for HTTP Basic only",
      () =>
        Effect.gen(function* () {
          const { headers } = yield* ask((app) => ({ ...grant, ...inForm(withSecret(app, "fake-secret-w+r/o=")) }))
          assert.notProperty(headers, "www-authenticate")
        })
    )

    it.effect(
      name === "the fake"
        ? "grants all scopes of the app when none is asked for (RFC 6749 §3.3)"
        : "grants no scope when none is asked for (RFC 6749 §3.3)",
      () =>
        Effect.gen(function* () {
          const { app } = yield* AuthorizationServer
          const { body } = yield* ask((app) => ({ grant_type: "client_credentials", ...inForm(app) }))
          const { scope } = (yield* introspect(app, String(body.access_token))).body
          assert.strictEqual(scope, name === "the fake" ? "itwin-platform itwins:read" : undefined)
        })
    )

    it.effect("does not return a token to GET", () =>
      Effect.gen(function* () {
        const { tokenEndpoint } = yield* Environment.Environment
        const { app } = yield* AuthorizationServer
        const { status, body } = yield* send(
          HttpClientRequest.get(tokenEndpoint).pipe(HttpClientRequest.setUrlParams({ ...grant, ...inForm(app) }))
        )
        assert.oneOf(status, [404, 405])
        assert.notProperty(body, "access_token")
      })
    )

    it.effect("introspects a token as active until it is revoked (RFC 7662, RFC 7009)", () =>
      Effect.gen(function* () {
        const { app, otherApp, issuer } = yield* AuthorizationServer
        const token = yield* freshToken
        for (const caller of [app, otherApp]) {
          const { status, body } = yield* introspect(caller, token)
          assert.strictEqual(status, 200)
          assert.deepInclude(body, {
            active: true,
            client_id: app.clientId,
            scope: "itwin-platform",
            token_type: "Bearer",
            iss: issuer
          })
          assert.isAbove(Number(body.exp), Number(body.iat))
        }
        assert.strictEqual((yield* revoke(app, token)).status, 200)
        const after = yield* introspect(app, token)
        assert.strictEqual(after.status, 200)
        assert.deepStrictEqual(after.body, { active: false })
      })
    )

    it.effect("returns 200 to the revocation of an unknown or a revoked token (RFC 7009 §2.2)", () =>
      Effect.gen(function* () {
        const { app } = yield* AuthorizationServer
        assert.strictEqual((yield* revoke(app, "fake-token")).status, 200)
        const token = yield* freshToken
        assert.strictEqual((yield* revoke(app, token)).status, 200)
        assert.strictEqual((yield* revoke(app, token)).status, 200)
      })
    )

    it.effect("does not revoke the token of another app (RFC 7009 §2.1)", () =>
      Effect.gen(function* () {
        const { app, otherApp } = yield* AuthorizationServer
        const token = yield* freshToken
        const { status, body } = yield* revoke(otherApp, token)
        assert.deepInclude({ status, error: body.error }, invalidRequest)
        assert.isTrue((yield* introspect(app, token)).body.active)
      })
    )

    it.effect("introspects an unknown token as inactive, without an error (RFC 7662 §2.2)", () =>
      Effect.gen(function* () {
        const { app } = yield* AuthorizationServer
        const { status, body } = yield* introspect(app, "fake-token")
        assert.strictEqual(status, 200)
        assert.deepStrictEqual(body, { active: false })
      })
    )

    it.effect("introspects and revokes only for its apps and only with a token", () =>
      Effect.gen(function* () {
        const { app, introspectionEndpoint, revocationEndpoint } = yield* AuthorizationServer
        const token = yield* freshToken
        for (const endpoint of [introspectionEndpoint, revocationEndpoint]) {
          const wrong = yield* send(post(endpoint, { ...inForm(withSecret(app, "fake-secret-w+r/o=")), token }))
          assert.deepInclude({ status: wrong.status, error: wrong.body.error }, invalidClient)
          const nobody = yield* send(post(endpoint, { token }))
          // oidc-provider treats missing credentials as a malformed request.
          const expected = name === "the fake" ? invalidClient : invalidRequest
          assert.deepInclude({ status: nobody.status, error: nobody.body.error }, expected)
          const nothing = yield* send(post(endpoint, inForm(app)))
          assert.deepInclude({ status: nothing.status, error: nothing.body.error }, invalidRequest)
        }
        assert.isTrue((yield* introspect(app, token)).body.active)
      })
    )
  })
})
