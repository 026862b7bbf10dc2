// The servers for the contract of servers.integration.test.ts: oidc-provider, which others wrote, and the fake. Each has
// two apps that may request `itwin-platform` and `itwins:read`. Both servers also know `users:read`.

import { generateKeyPairSync } from "node:crypto"
import { createServer } from "node:http"
import { ClientCredentials, Environment } from "@effect-itwin/core"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Context, Effect, Layer, Redacted } from "effect"
import Provider, { type Configuration } from "oidc-provider"

export class AuthorizationServer extends Context.Service<
  AuthorizationServer,
  {
    readonly issuer: string
    readonly introspectionEndpoint: string
    readonly revocationEndpoint: string
    readonly app: ClientCredentials.ClientCredentials
    readonly otherApp: ClientCredentials.ClientCredentials
  }
>()("AuthorizationServer") {}

/** The audience of JWT tokens of oidc-provider. */
export const api = "urn:example:api"

const appScopes = ["itwin-platform", "itwins:read"]

export const fake: Layer.Layer<AuthorizationServer, unknown> = Layer.effectContext(
  Effect.gen(function* () {
    const { environment, registerApp } = yield* FakeIms.FakeIms
    const app = yield* registerApp({ name: "App", scopes: appScopes })
    const other = yield* registerApp({ name: "Other", scopes: appScopes })
    yield* registerApp({ name: "Third", scopes: ["users:read"] })
    return Context.make(AuthorizationServer, {
      issuer: environment.apiBaseUrl,
      introspectionEndpoint: `${environment.apiBaseUrl}/connect/introspect`,
      revocationEndpoint: `${environment.apiBaseUrl}/connect/revocation`,
      app: app.credentials,
      otherApp: other.credentials
    }).pipe(Context.add(Environment.Environment, environment))
  })
).pipe(Layer.provide(FakeImsServer.layer()))

/** Every character that a secret may have (RFC 6749 appendix A.2) and that an encoding could harm. */
export const awkwardSecret = "fake-secret-a+b/c=&d%e%20f g:h'()*!~\"<\\>#?;,"

export const signingKey = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" })

/** Hides what oidc-provider prints about changes before production. Everything else is still printed. */
export const withoutAdvice = Effect.acquireRelease(
  Effect.sync(() => {
    const { info, warn } = console
    const filter =
      (print: typeof console.info, advice: RegExp): typeof console.info =>
      (...data) =>
        advice.test(String(data[0])) ? undefined : print(...data)
    console.info = filter(info, /oidc-provider NOTICE: default .* function called/)
    console.warn = filter(warn, /oidc-provider WARNING: (a quick start development-only|default findAccount function)/)
    return { info, warn }
  }),
  (original) => Effect.sync(() => void Object.assign(console, original))
)

export const listen = Effect.acquireRelease(
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

const client = (id: string, secret: string) =>
  new ClientCredentials.ClientCredentials({ clientId: id, clientSecret: Redacted.make(secret) })

/** Starts oidc-provider with this configuration on a free port, until the scope is closed. */
export const startOidcProvider = Effect.fnUntraced(function* (configuration: Configuration) {
  yield* withoutAdvice
  const { server, url } = yield* listen
  const provider = new Provider(url, { jwks: { keys: [signingKey] }, ...configuration })
  const failures: Array<Error> = []
  provider.on("server_error", (_context, error) => failures.push(error))
  const handle = provider.callback()
  server.on("request", (request, response) => void handle(request, response))
  // A crash of oidc-provider must not look like a rejection.
  yield* Effect.addFinalizer(() => (failures.length === 0 ? Effect.void : Effect.die(failures[0])))
  return { provider, url }
})

/**
 * Starts oidc-provider with its defaults, except apps, scopes, and the grant and endpoints that must be enabled. Its tokens are
 * opaque, or JWTs for one API (RFC 8707).
 */
export const oidcProvider = (tokens: "opaque" | "jwt" = "opaque"): Layer.Layer<AuthorizationServer> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const app = client("service-App", awkwardSecret)
      const otherApp = client("service-Other", "fake-secret-o+t/h=")
      const { url } = yield* startOidcProvider({
        clients: [app, otherApp].map(({ clientId, clientSecret }) => ({
          client_id: clientId,
          client_secret: Redacted.value(clientSecret),
          grant_types: ["client_credentials"],
          redirect_uris: [],
          response_types: [],
          scope: appScopes.join(" ")
        })),
        scopes: [...appScopes, "users:read"],
        features: {
          clientCredentials: { enabled: true },
          introspection: { enabled: true },
          revocation: { enabled: true },
          devInteractions: { enabled: false },
          resourceIndicators: {
            enabled: tokens === "jwt",
            defaultResource: () => api,
            getResourceServerInfo: () => ({ scope: appScopes.join(" "), audience: api, accessTokenFormat: "jwt" })
          }
        }
      })
      return Context.make(AuthorizationServer, {
        issuer: url,
        introspectionEndpoint: `${url}/token/introspection`,
        revocationEndpoint: `${url}/token/revocation`,
        app,
        otherApp
      }).pipe(
        Context.add(Environment.Environment, Environment.custom({ tokenEndpoint: `${url}/token`, apiBaseUrl: url }))
      )
    })
  )
