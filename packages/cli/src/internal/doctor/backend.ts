// Reads the credentials, and says from where. Names are shown, values are not.
import type { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as KeyVaultSecretProvider from "@effect-itwin/provider-azure-keyvault/KeyVaultSecretProvider"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { variable } from "../proxy.ts"
import { providerLayer, type Shared } from "../settings.ts"

const orFile = (name: string) =>
  Effect.map(variable(`${name}_FILE`), (path) => (path === undefined ? name : `${name}_FILE`))

const nameOf = (ref: string | { readonly secret: string; readonly version?: string | undefined }): string => {
  if (typeof ref === "string") return ref
  return ref.version === undefined ? ref.secret : `${ref.secret}/${ref.version}`
}

const vaultNames = Effect.map(KeyVaultSecretProvider.config, (options) => {
  const { host } = new URL(options.vaultUrl)
  if (options.json !== undefined) return `Azure Key Vault ${host}, secret ${nameOf(options.json)}`
  const id = "literal" in options.clientId ? [] : [nameOf(options.clientId)]
  return `Azure Key Vault ${host}, ${[...id, nameOf(options.clientSecret)].map((name) => `secret ${name}`).join(" and ")}`
})

const variableNames = Effect.gen(function* () {
  return `environment variables ${yield* orFile("ITWIN_CLIENT_ID")} and ${yield* orFile("ITWIN_CLIENT_SECRET")}`
})

/** Returns the credentials, and a description of the backend that they came from. */
export const readCredentials = (shared: Shared) =>
  Effect.gen(function* () {
    const provider = yield* SecretProvider
    const backend = yield* shared.provider === "env" ? variableNames : vaultNames
    return { backend, credentials: yield* provider.credentials }
  }).pipe(Effect.provide(providerLayer(shared)))

export const describeCredentials = ({
  backend,
  credentials
}: {
  readonly backend: string
  readonly credentials: ClientCredentials
}): string => {
  const expiry =
    credentials.expiresAt === undefined
      ? ""
      : `, the secret expires on ${DateTime.formatIso(credentials.expiresAt).slice(0, 10)}`
  return `${backend}; client id ${credentials.clientId}${expiry}`
}
