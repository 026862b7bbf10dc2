// Runs clients that others wrote against the fake on a real socket. Your program can rely on what they accept.

import { assert, describe, layer } from "@effect/vitest"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { IntrospectionClient, ServiceAuthorizationClient } from "@itwin/service-authorization"
import { Effect } from "effect"
import { FetchHttpClient } from "effect/http"
import * as jose from "jose"
import * as openid from "openid-client"
import { getMe, register, secretOf, tokenFor } from "./contract.ts"

const live = { excludeTestServices: true }

/** Returns the token with a payload that its signature doesn't cover. */
const forge = (token: string, claims: object) => {
  const [header, , signature] = token.split(".")
  const payload = Buffer.from(JSON.stringify({ ...jose.decodeJwt(token), ...claims })).toString("base64url")
  return [header, payload, signature].join(".")
}

/** Returns the message of the error that the promise is rejected with. */
const rejection = (promise: () => Promise<unknown>) =>
  Effect.map(
    Effect.flip(Effect.tryPromise({ try: promise, catch: (error) => error })),
    (error): string => `${error instanceof openid.ResponseBodyError ? error.error : error}`
  )

const issuer = Effect.map(FakeIms.FakeIms, ({ environment }) => environment.apiBaseUrl)

describe("@itwin/service-authorization", () => {
  const clientOf = Effect.fnUntraced(function* (app: FakeIms.App, clientSecret = secretOf(app)) {
    const { clientId } = app.credentials
    return new ServiceAuthorizationClient({ clientId, clientSecret, scope: "itwin-platform", authority: yield* issuer })
  })
  const introspect = (token: string) =>
    Effect.flatMap(issuer, (issuerUrl) =>
      Effect.promise(() => new IntrospectionClient({ issuerUrl }).introspect(`Bearer ${token}`))
    )

  layer(
    FakeImsServer.layer(),
    live
  )((it) => {
    it.effect("gets a token that the APIs accept when @itwin/service-authorization uses HTTP Basic", () =>
      Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        const app = yield* register()
        const client = yield* clientOf(app)
        const header = yield* Effect.promise(() => client.getAccessToken())
        assert.isTrue(client.isAuthorized)
        assert.strictEqual((yield* getMe(header)).body.user.email, app.credentials.clientEmail)
        const [request] = yield* fake.forApp(app.credentials.clientId)
        assert.deepInclude(request, { authentication: "client_secret_basic", outcome: "ok" })
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.effect("keeps the token of @itwin/service-authorization until it expires", () =>
      Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        const app = yield* register()
        const client = yield* clientOf(app)
        const first = yield* Effect.promise(() => client.getAccessToken())
        assert.strictEqual(yield* Effect.promise(() => client.getAccessToken()), first)
        assert.lengthOf(yield* fake.forApp(app.credentials.clientId), 1)
      })
    )

    it.effect("issues no token to @itwin/service-authorization when the secret is wrong", () =>
      Effect.gen(function* () {
        const client = yield* clientOf(yield* register(), "fake-secret-a+b/c=")
        assert.match(yield* rejection(() => client.getAccessToken()), /401/)
        assert.isFalse(client.hasSignedIn)
      })
    )

    it.effect("introspects a token as active, with its client", () =>
      Effect.gen(function* () {
        const app = yield* register()
        const answer = yield* introspect(yield* tokenFor(app))
        assert.deepInclude(answer, {
          active: true,
          client_id: app.credentials.clientId,
          iss: yield* issuer,
          scope: "itwin-platform"
        })
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.effect("introspects an expired and a forged token as inactive", () =>
      Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        const late = yield* fake.registerApp({ name: "Late", claims: { exp: 1_700_000_000 } })
        assert.isFalse((yield* introspect(yield* tokenFor(late))).active)
        const token = yield* tokenFor(yield* register())
        assert.isFalse((yield* introspect(forge(token, { scope: ["all"] }))).active)
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.effect("throws in the introspection client when another issuer signed the token", () =>
      Effect.gen(function* () {
        const token = yield* Effect.flatMap(register(), tokenFor).pipe(Effect.provide(FakeImsServer.layer()))
        const client = new IntrospectionClient({ issuerUrl: yield* issuer })
        assert.match(yield* rejection(() => client.introspect(`Bearer ${token}`)), /signing key/)
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.effect(
      "introspects a revoked token as active, because the introspection client only checks signature and life",
      () =>
        Effect.gen(function* () {
          const fake = yield* FakeIms.FakeIms
          const app = yield* register()
          const token = yield* tokenFor(app)
          yield* fake.revokeAllTokens(app.credentials.clientId)
          assert.strictEqual((yield* getMe(`Bearer ${token}`)).status, 401)
          assert.isTrue((yield* introspect(token)).active)
        }).pipe(Effect.provide(FetchHttpClient.layer))
    )
  })

  layer(
    FakeImsServer.layer({ algorithm: "EdDSA" }),
    live
  )((it) => {
    it.effect(
      "introspects a token signed with EdDSA as inactive, because the introspection client does not support it",
      () =>
        Effect.gen(function* () {
          assert.isFalse((yield* introspect(yield* tokenFor(yield* register()))).active)
        }).pipe(Effect.provide(FetchHttpClient.layer))
    )
  })

  layer(
    FakeImsServer.layer({ profile: { scopeClaim: "string" } }),
    live
  )((it) => {
    it.effect("reads the scope claim only as an array, as it is in the platform's tokens", () =>
      Effect.gen(function* () {
        const token = yield* tokenFor(yield* register())
        const client = new IntrospectionClient({ issuerUrl: yield* issuer })
        assert.match(yield* rejection(() => client.introspect(`Bearer ${token}`)), /Invalid scope/)
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )
  })
})

describe("openid-client", () => {
  type Method = "client_secret_post" | "client_secret_basic"

  const methods: Record<Method, (secret: string) => openid.ClientAuth> = {
    client_secret_post: openid.ClientSecretPost,
    client_secret_basic: openid.ClientSecretBasic
  }

  const discover = Effect.fnUntraced(function* (app: FakeIms.App, method: Method, secret = secretOf(app)) {
    const server = new URL(yield* issuer)
    return yield* Effect.promise(() =>
      openid.discovery(server, app.credentials.clientId, undefined, methods[method](secret), {
        execute: [openid.allowInsecureRequests]
      })
    )
  })

  layer(
    FakeImsServer.layer(),
    live
  )((it) => {
    it.effect("lets openid-client discover the endpoints", () =>
      Effect.gen(function* () {
        const url = yield* issuer
        const metadata = (yield* discover(yield* register(), "client_secret_post")).serverMetadata()
        assert.deepInclude(metadata, {
          issuer: url,
          token_endpoint: `${url}/connect/token`,
          introspection_endpoint: `${url}/connect/introspect`,
          revocation_endpoint: `${url}/connect/revocation`
        })
        assert.includeMembers(metadata.token_endpoint_auth_methods_supported ?? [], Object.keys(methods))
      })
    )

    it.effect.each<Method>(["client_secret_post", "client_secret_basic"])(
      "gets a token by %s, with a secret that needs encoding",
      (method) =>
        Effect.gen(function* () {
          const fake = yield* FakeIms.FakeIms
          const app = yield* register()
          assert.match(secretOf(app), /(?=.*\+)(?=.*\/)(?=.*=)/)
          const config = yield* discover(app, method)
          const tokens = yield* Effect.promise(() => openid.clientCredentialsGrant(config, { scope: "itwin-platform" }))
          assert.deepInclude(tokens, { token_type: "bearer", expires_in: 3600 })
          assert.strictEqual((yield* getMe(`Bearer ${tokens.access_token}`)).status, 200)
          assert.deepInclude((yield* fake.forApp(app.credentials.clientId))[0], { authentication: method })
        }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.effect.each<Method>(["client_secret_post", "client_secret_basic"])(
      "reads the OAuth errors of the fake, by %s",
      (method) =>
        Effect.gen(function* () {
          const app = yield* register()
          const wrong = yield* discover(app, method, "fake-secret-a+b/c=")
          // This client does not read the body of a 401 with a challenge, which HTTP Basic gets (RFC 6749 §5.2).
          assert.match(
            yield* rejection(() => openid.clientCredentialsGrant(wrong)),
            method === "client_secret_basic" ? /WWWAuthenticateChallengeError/ : /^invalid_client$/
          )
          const right = yield* discover(app, method)
          assert.strictEqual(
            yield* rejection(() => openid.clientCredentialsGrant(right, { scope: "users:read" })),
            "invalid_scope"
          )
          assert.strictEqual(
            yield* rejection(() => openid.genericGrantRequest(right, "password", {})),
            "unsupported_grant_type"
          )
        })
    )

    it.effect.each<Method>(["client_secret_post", "client_secret_basic"])(
      "introspects a token, revokes it, and finds it inactive, by %s",
      (method) =>
        Effect.gen(function* () {
          const app = yield* register()
          const config = yield* discover(app, method)
          const { access_token: token } = yield* Effect.promise(() => openid.clientCredentialsGrant(config))
          const introspect = Effect.promise(() => openid.tokenIntrospection(config, token))
          assert.deepInclude(yield* introspect, {
            active: true,
            client_id: app.credentials.clientId,
            scope: "itwin-platform",
            iss: yield* issuer
          })
          yield* Effect.promise(() => openid.tokenRevocation(config, token))
          assert.deepStrictEqual(yield* introspect, { active: false })
          assert.strictEqual((yield* getMe(`Bearer ${token}`)).status, 401)
        }).pipe(Effect.provide(FetchHttpClient.layer))
    )

    it.effect("accepts from openid-client the revocation of a text that is not a token", () =>
      Effect.gen(function* () {
        const config = yield* discover(yield* register(), "client_secret_post")
        yield* Effect.promise(() => openid.tokenRevocation(config, "fake-token"))
      })
    )
  })
})

describe("jose", () => {
  const verifyOptions = Effect.map(issuer, (url) => ({
    issuer: url,
    audience: "bentley-api-management",
    requiredClaims: ["exp", "iat", "nbf", "jti", "sub", "client_id", "scope"]
  }))

  const remoteKeys = Effect.map(issuer, (url) =>
    jose.createRemoteJWKSet(new URL(`${url}/.well-known/openid-configuration/jwks`), { cooldownDuration: 0 })
  )

  for (const algorithm of ["RS256", "EdDSA"] as const) {
    layer(FakeImsServer.layer(algorithm === "RS256" ? {} : { algorithm }), live)(`with ${algorithm}`, (it) => {
      it.effect("lets jose verify a token by the published keys", () =>
        Effect.gen(function* () {
          const app = yield* register()
          const [keys, options, token] = yield* Effect.all([remoteKeys, verifyOptions, tokenFor(app)])
          const { payload, protectedHeader } = yield* Effect.promise(() => jose.jwtVerify(token, keys, options))
          assert.strictEqual(protectedHeader.alg, algorithm)
          assert.strictEqual(payload.client_id, app.credentials.clientId)
        }).pipe(Effect.provide(FetchHttpClient.layer))
      )

      it.effect("lets jose reject a forged token", () =>
        Effect.gen(function* () {
          const [keys, options, token] = yield* Effect.all([
            remoteKeys,
            verifyOptions,
            Effect.flatMap(register(), tokenFor)
          ])
          const forged = forge(token, { scope: ["all"] })
          assert.match(yield* rejection(() => jose.jwtVerify(forged, keys, options)), /signature verification failed/)
        }).pipe(Effect.provide(FetchHttpClient.layer))
      )

      it.effect("lets jose verify the old and the new token after the keys were rotated", () =>
        Effect.gen(function* () {
          const fake = yield* FakeIms.FakeIms
          const app = yield* register()
          const [keys, options, before] = yield* Effect.all([remoteKeys, verifyOptions, tokenFor(app)])
          const verify = (token: string) => Effect.promise(() => jose.jwtVerify(token, keys, options))
          const first = yield* verify(before)
          yield* fake.rotateKeys
          const second = yield* verify(yield* tokenFor(app))
          assert.notStrictEqual(second.protectedHeader.kid, first.protectedHeader.kid)
          assert.strictEqual((yield* verify(before)).protectedHeader.kid, first.protectedHeader.kid)
        }).pipe(Effect.provide(FetchHttpClient.layer))
      )
    })
  }
})
