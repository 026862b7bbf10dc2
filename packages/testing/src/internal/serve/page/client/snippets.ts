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

// In a test, the fake registers the app. On the platform, you do it under My Apps.
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
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"

// Reads the variables of ${clientId}.
${layer(scopes)}

const program = Effect.gen(function* () {
  const cache = yield* TokenCache.TokenCache
  const token = yield* cache.get()
  console.log(\`\${token.clientId} may \${token.scopes} until \${token.expiresAt}\`)
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

/** Handles the failure by its reason. */
export const handle = (
  { clientId, scopes }: SnippetApp,
  { error, reason }: { readonly error: string; readonly reason: string }
): string => `import { ${core(scopes, "ITwin", "Users")} } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"

// Reads the variables of ${clientId}.
${layer(scopes)}

const name = Users.me.pipe(
  Effect.map((me) => me.givenName),
  Effect.catchReason(${text(error)}, ${text(reason)}, (reason) => Effect.succeed(reason.message))
)

console.log(await Effect.runPromise(name.pipe(Effect.provide(App))))
`
