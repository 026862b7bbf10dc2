// The programs that do the same with this library. A test compiles and runs them.
import { type Masked, maskIn, quote } from "./wire.ts"

export interface SnippetApp {
  readonly type: "service" | "web" | "native" | "spa"
  readonly name: string
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly scopes: ReadonlyArray<string>
  readonly redirectUris: ReadonlyArray<string>
}

const text = JSON.stringify

const isDefault = (scopes: ReadonlyArray<string>): boolean => scopes.join(" ") === "itwin-platform"

/** Returns the lines that make a program use this fake and this app. */
export const variables = (origin: string, { clientId, clientSecret }: SnippetApp): Masked =>
  maskIn(
    Object.entries({
      ITWIN_TOKEN_ENDPOINT: `${origin}/connect/token`,
      ITWIN_API_URL: origin,
      ITWIN_CLIENT_ID: clientId,
      ...(clientSecret === undefined ? {} : { ITWIN_CLIENT_SECRET: clientSecret })
    })
      .map(([name, value]) => `export ${name}=${quote(value)}`)
      .join("\n"),
    clientSecret === undefined ? [] : [clientSecret]
  )

/** Registers the same app in a test. On the platform, a person does it under My Apps. */
export const register = ({ type, name, scopes, redirectUris }: SnippetApp): string => {
  const fields = [
    `name: ${text(name)}`,
    ...(type === "service" ? [] : [`type: ${text(type)}`]),
    `scopes: ${text(scopes).replaceAll(",", ", ")}`,
    ...(type === "service" ? [] : [`redirectUris: ${text(redirectUris).replaceAll(",", ", ")}`])
  ]
  return `import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Effect } from "effect"

// On the platform, you register the app under My Apps.
const program = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  const app = yield* fake.registerApp({
    ${fields.join(",\n    ")}
  })
  console.log(app.credentials.clientId)
})

await Effect.runPromise(program.pipe(Effect.provide(FakeImsServer.layer())))
`
}

const layer = (scopes: ReadonlyArray<string>): string =>
  isDefault(scopes)
    ? "const App = ITwin.layer.pipe(Layer.provide([EnvSecretProvider.layer, FetchHttpClient.layer]))"
    : `const App = ITwin.layerWith({ scopes: Scopes.make(${text(scopes.join(" "))}) }).pipe(
  Layer.provide([EnvSecretProvider.layer, FetchHttpClient.layer])
)`

const core = (scopes: ReadonlyArray<string>, ...modules: ReadonlyArray<string>): string =>
  [...modules, ...(isDefault(scopes) ? [] : ["Scopes"])].sort().join(", ")

/** Requests a token. */
export const token = ({
  clientId,
  scopes
}: SnippetApp): string => `import { ${core(scopes, "ITwin", "TokenCache")} } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { DateTime, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"

// Reads the variables of ${clientId}.
${layer(scopes)}

const program = Effect.gen(function* () {
  const cache = yield* TokenCache.TokenCache
  const token = yield* cache.get()
  console.log(\`\${token.clientId} may \${token.scopes} until \${DateTime.formatIso(token.expiresAt)}\`)
})

await Effect.runPromise(program.pipe(Effect.provide(App)))
`

/** Calls an API. */
export const call = ({
  clientId,
  scopes
}: SnippetApp): string => `import { ${core(scopes, "ITwin", "Users")} } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"

// Reads the variables of ${clientId}.
${layer(scopes)}

const me = await Effect.runPromise(Users.me.pipe(Effect.provide(App)))
console.log(\`I am \${me.givenName}.\`)
`

const environment = (origin: string): string => `const Fake = Environment.layer(
  Environment.custom({ name: "fake", tokenEndpoint: ${text(`${origin}/connect/token`)}, apiBaseUrl: ${text(origin)} })
)`

/** Signs a user in: the two halves of the authorization code flow. */
export const signIn = ({ type, clientId, redirectUris, scopes }: SnippetApp, origin: string): string => {
  const isPublic = type !== "web"
  return `import { AuthorizationCode, ${isPublic ? "ClientCredentials, " : ""}Environment, Scopes${isPublic ? "" : ", SecretProvider"} } from "@effect-itwin/core"${
    isPublic ? "" : '\nimport { EnvSecretProvider } from "@effect-itwin/provider-env"'
  }
import { Effect${isPublic ? "" : ", Layer"} } from "effect"
import { FetchHttpClient } from "effect/http"

${environment(origin)}

// Send the browser to \`url\`, and keep the transaction until it returns.
export const begin = AuthorizationCode.start({
  clientId: ${text(clientId)},
  redirectUri: ${text(redirectUris[0] ?? "")},
  scopes: Scopes.make(${text(scopes.join(" "))})
}).pipe(Effect.provide(Fake))

// Call it with the address to which the browser returned.
export const finish = (callback: URL, transaction: AuthorizationCode.Transaction) =>
${
  isPublic
    ? `  AuthorizationCode.redeem(
    callback.searchParams,
    transaction,
    new ClientCredentials.PublicClient({ clientId: transaction.clientId })
  ).pipe(Effect.provide([Fake, FetchHttpClient.layer]))`
    : `  SecretProvider.SecretProvider.pipe(
    Effect.flatMap(({ credentials }) => credentials),
    Effect.flatMap((credentials) => AuthorizationCode.redeem(callback.searchParams, transaction, credentials)),
    Effect.provide(Layer.mergeAll(Fake, EnvSecretProvider.layer, FetchHttpClient.layer))
  )`
}
`
}

/** Calls an API as the user, and keeps the user signed in. */
export const callAsUser = ({ type, clientId }: SnippetApp, origin: string): string => {
  const isPublic = type !== "web"
  return `import { AuthorizationCode, Environment, ITwinHttpClient, SessionStore, TokenCache, Users, UserTokens } from "@effect-itwin/core"${
    isPublic ? "" : '\nimport { EnvSecretProvider } from "@effect-itwin/provider-env"'
  }
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"

${environment(origin)}

// Renews the tokens of the users of ${clientId}.
export const App = UserTokens.${isPublic ? `layerPublic({ clientId: ${text(clientId)} })` : "layer"}.pipe(
  Layer.provideMerge(FetchHttpClient.layer),
  Layer.provide([Fake, SessionStore.layerMemory${isPublic ? "" : ", EnvSecretProvider.layer"}])
)

export const me = (signedIn: AuthorizationCode.SignedIn) =>
  Effect.gen(function* () {
    const users = yield* UserTokens.UserTokens
    const id = yield* users.open(signedIn)
    const client = yield* Effect.provideService(ITwinHttpClient.make(), TokenCache.TokenCache, users.cacheOf(id))
    return yield* Effect.provideService(Users.me, ITwinHttpClient.ITwinHttpClient, client)
  })
`
}

/** Handles a failure by its reason. */
export const handle = (
  { clientId, scopes, type }: SnippetApp,
  { error, reason }: { readonly error: string; readonly reason: string }
): string => {
  const handler = `Effect.catchReason(${text(error)}, ${text(reason)}, (reason) => Effect.succeed(reason.message))`
  return type === "service"
    ? `import { ${core(scopes, "ITwin", "Users")} } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"

// Reads the variables of ${clientId}.
${layer(scopes)}

const name = Users.me.pipe(
  Effect.map((me) => me.givenName),
  ${handler}
)

console.log(await Effect.runPromise(name.pipe(Effect.provide(App))))
`
    : error === "ITwinApiError"
      ? `import { Users } from "@effect-itwin/core"
import { Effect } from "effect"

export const name = Users.me.pipe(
  Effect.map((me) => me.givenName),
  ${handler}
)
`
      : `import { AuthorizationCode, ClientCredentials } from "@effect-itwin/core"
import { Effect } from "effect"

export const finish = (
  callback: URL,
  transaction: AuthorizationCode.Transaction,
  credentials: ClientCredentials.ClientCredentials | ClientCredentials.PublicClient
) =>
  AuthorizationCode.redeem(callback.searchParams, transaction, credentials).pipe(
    Effect.map((signedIn) => signedIn.claims?.name),
    ${handler}
  )
`
}
