// Tokens of two authorization servers on sockets: oidc-provider, which others wrote, and the fake.
import { generateKeyPairSync } from "node:crypto"
import { createServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { ClientCredentials, Environment, ITwin, SecretProvider, TokenCache } from "@effect-itwin/core"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { AccessTokenVerifier, IntrospectionVerifier } from "@effect-itwin/verify"
import { Context, Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import Provider from "oidc-provider"
import { outcome, verify } from "./support.ts"

const audience = "urn:example:api"

class Server extends Context.Service<
  Server,
  {
    readonly audiences: ReadonlyArray<string> | undefined
    readonly keySetUrl: string | undefined
    readonly introspection: string | undefined
    readonly app: ClientCredentials.ClientCredentials
  }
>()("Server") {}

const fake = Layer.effectContext(
  Effect.gen(function* () {
    const { environment, registerApp } = yield* FakeIms.FakeIms
    const app = (yield* registerApp({ name: "App" })).credentials
    return Context.make(Server, { audiences: undefined, keySetUrl: undefined, introspection: undefined, app }).pipe(
      Context.add(Environment.Environment, environment)
    )
  })
).pipe(Layer.provide(FakeImsServer.layer()))

const listen = Effect.acquireRelease(
  Effect.callback<{ readonly server: ReturnType<typeof createServer>; readonly url: string }>((resume) => {
    const server = createServer()
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      resume(Effect.succeed({ server, url: `http://127.0.0.1:${port}` }))
    })
  }),
  ({ server }) =>
    Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
)

/** oidc-provider tells its users what to change before production. */
const withoutAdvice = Effect.acquireRelease(
  Effect.sync(() => {
    const { info, warn } = console
    console.info = () => {}
    console.warn = () => {}
    return { info, warn }
  }),
  (original) => Effect.sync(() => void Object.assign(console, original))
)

const signingKey = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" })

const oidcProvider = Layer.effectContext(
  Effect.gen(function* () {
    yield* withoutAdvice
    const { server, url } = yield* listen
    const app = new ClientCredentials.ClientCredentials({
      clientId: "service-App",
      clientSecret: Redacted.make("fake-secret-a+b/c=")
    })
    const provider = new Provider(url, {
      clients: [
        {
          client_id: app.clientId,
          client_secret: Redacted.value(app.clientSecret),
          grant_types: ["client_credentials"],
          redirect_uris: [],
          response_types: [],
          scope: "itwin-platform",
          token_endpoint_auth_method: "client_secret_post",
          introspection_endpoint_auth_method: "client_secret_post"
        }
      ],
      scopes: ["itwin-platform"],
      jwks: { keys: [signingKey] },
      features: {
        clientCredentials: { enabled: true },
        introspection: { enabled: true, allowedPolicy: () => true },
        devInteractions: { enabled: false },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => audience,
          getResourceServerInfo: () => ({ scope: "itwin-platform", audience, accessTokenFormat: "jwt" })
        }
      }
    })
    const failures: Array<Error> = []
    provider.on("server_error", (_context, error) => failures.push(error))
    const handle = provider.callback()
    server.on("request", (request, response) => void handle(request, response))
    yield* Effect.addFinalizer(() => (failures.length === 0 ? Effect.void : Effect.die(failures[0])))
    return Context.make(Server, {
      audiences: [audience],
      keySetUrl: `${url}/jwks`,
      introspection: `${url}/token/introspection`,
      app
    }).pipe(
      Context.add(Environment.Environment, Environment.custom({ tokenEndpoint: `${url}/token`, apiBaseUrl: url }))
    )
  })
)

const withSecret = Layer.effect(
  SecretProvider.SecretProvider,
  Effect.map(Server, ({ app }) => ({ credentials: Effect.succeed(app) }))
)

/** A token of the server, requested with the token cache of core. */
const token = Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get()).pipe(
  Effect.provide(ITwin.layer.pipe(Layer.provide(withSecret))),
  Effect.map(({ value }) => Redacted.value(value))
)

const local = (clientIds?: ReadonlyArray<string>) =>
  Layer.unwrap(
    Effect.map(Server, ({ app, audiences, keySetUrl }) =>
      AccessTokenVerifier.layer({ clientIds: clientIds ?? [app.clientId], audiences, keySetUrl })
    )
  )

const remote = Layer.unwrap(
  Effect.map(Server, ({ app, audiences, introspection }) =>
    IntrospectionVerifier.layer({ clientIds: [app.clientId], audiences, endpoint: introspection })
  )
).pipe(Layer.provide(withSecret))

for (const [name, server] of [
  ["oidc-provider", oidcProvider],
  ["the fake", fake]
] as const) {
  const layer = server.pipe(Layer.provideMerge(FetchHttpClient.layer))

  describe(`a token of ${name}`, () => {
    it.live("is accepted by the local verifier", () =>
      Effect.gen(function* () {
        const { app } = yield* Server
        const text = yield* token
        const verified = yield* verify(text).pipe(Effect.provide(local()))
        assert.strictEqual(verified.clientId, app.clientId)
        assert.strictEqual(verified.kind, "service")
        assert.deepStrictEqual(verified.scopes, ["itwin-platform"])
      }).pipe(Effect.provide(layer))
    )

    it.live("is rejected when its client is not listed, or a byte of it is changed", () =>
      Effect.gen(function* () {
        const text = yield* token
        assert.strictEqual(yield* outcome(text).pipe(Effect.provide(local(["service-Other"]))), "WrongClient")
        const [head, payload, signature = ""] = text.split(".")
        const changed = `${head}.${payload}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`
        assert.strictEqual(yield* outcome(changed).pipe(Effect.provide(local())), "BadSignature")
      }).pipe(Effect.provide(layer))
    )
  })
}

describe("a token of the fake", () => {
  it.live("is accepted by introspection", () =>
    Effect.gen(function* () {
      const verified = yield* verify(yield* token).pipe(Effect.provide(remote))
      assert.strictEqual(verified.clientId, (yield* Server).app.clientId)
    }).pipe(Effect.provide(fake.pipe(Layer.provideMerge(FetchHttpClient.layer))))
  )
})

describe("introspection by oidc-provider", () => {
  it.live("says that a text is not an active token", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome("fake-token").pipe(Effect.provide(remote)), "Inactive")
    }).pipe(Effect.provide(oidcProvider.pipe(Layer.provideMerge(FetchHttpClient.layer))))
  )
})
