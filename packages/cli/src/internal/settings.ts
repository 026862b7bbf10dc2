// The flags that all commands share, and the layers that they select.
import * as Environment from "@effect-itwin/core/Environment"
import * as ITwin from "@effect-itwin/core/ITwin"
import * as RetryPolicy from "@effect-itwin/core/RetryPolicy"
import * as Scopes from "@effect-itwin/core/Scopes"
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import * as KeyVaultSecretProvider from "@effect-itwin/provider-azure-keyvault/KeyVaultSecretProvider"
import * as EnvSecretProvider from "@effect-itwin/provider-env/EnvSecretProvider"
import type { ConfigError } from "effect/Config"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { variable } from "./proxy.ts"
import { UsageError } from "./report.ts"

export const flags = {
  environment: Flag.Literals("environment", ["production", "qa"]).pipe(
    Flag.withDescription("The platform; ITWIN_ENVIRONMENT or production by default"),
    Flag.optional
  ),
  tokenEndpoint: Flag.String("token-endpoint").pipe(
    Flag.withMetavar("url"),
    Flag.withDescription("Another token endpoint, together with --api-url"),
    Flag.optional
  ),
  apiUrl: Flag.String("api-url").pipe(
    Flag.withMetavar("url"),
    Flag.withDescription("Another base URL of the APIs, together with --token-endpoint"),
    Flag.optional
  ),
  provider: Flag.Literals("provider", ["env", "keyvault"]).pipe(
    Flag.withDescription(
      "Where the credentials are: ITWIN_CLIENT_ID and ITWIN_CLIENT_SECRET (env, the default), or an Azure Key Vault (keyvault), which ITWIN_KEY_VAULT_URL and other variables name"
    ),
    Flag.withDefault("env")
  ),
  timeout: Flag.Finite("timeout").pipe(
    Flag.withMetavar("seconds"),
    Flag.withSchema(
      Schema.Finite.check(
        Schema.makeFilter((seconds) =>
          seconds > 0 && seconds <= 3600 ? undefined : "Expected more than 0, up to 3600"
        )
      )
    ),
    Flag.withDescription("Time limit of each step: reading the credentials, the token, an API call; 15 by default"),
    Flag.withDefault(15)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("Prints JSON"), Flag.withDefault(false))
}

/** A flag of the commands that request a token. */
export const scope = Flag.String("scope").pipe(
  Flag.withMetavar("scope"),
  Flag.withDescription("A scope of the token; may be repeated; itwin-platform by default"),
  Flag.atLeast(0)
)

export interface Shared {
  readonly environment: Option.Option<"production" | "qa">
  readonly tokenEndpoint: Option.Option<string>
  readonly apiUrl: Option.Option<string>
  readonly provider: "env" | "keyvault"
  readonly timeout: number
  readonly json: boolean
}

/** Takes the check from the message of a `SchemaError`, which has no values. */
const customOf = (tokenEndpoint: string, apiBaseUrl: string) =>
  Effect.try({
    try: () => Environment.custom({ tokenEndpoint, apiBaseUrl }),
    catch: (error) => {
      const message = error instanceof Error ? error.message : ""
      const flag = message.includes(`["tokenEndpoint"]`) ? "--token-endpoint" : "--api-url"
      return new UsageError({ message: `The value of ${flag} can't be used. ${message.split("\n")[0]}.` })
    }
  })

/** Returns the environment that the flags name, otherwise the one that variables name. */
export const environmentOf = ({
  apiUrl,
  environment,
  tokenEndpoint
}: Shared): Effect.Effect<Environment.Environment, UsageError | ConfigError> => {
  if (Option.isSome(tokenEndpoint) !== Option.isSome(apiUrl)) {
    return Effect.fail(new UsageError({ message: "--token-endpoint and --api-url belong together. Set both." }))
  }
  if (Option.isSome(tokenEndpoint) && Option.isSome(apiUrl)) {
    return Option.isSome(environment)
      ? Effect.fail(
          new UsageError({ message: "Set either --environment, or --token-endpoint with --api-url, not both." })
        )
      : customOf(tokenEndpoint.value, apiUrl.value)
  }
  return Option.match(environment, {
    onNone: () => Environment.config,
    onSome: (name) => Effect.succeed(name === "qa" ? Environment.qa : Environment.production)
  })
}

export const scopesOf = (scope: ReadonlyArray<string>): Effect.Effect<Scopes.Scopes, UsageError> => {
  if (scope.length === 0) return Effect.succeed(Scopes.itwinPlatform)
  const parsed = Scopes.parse(scope.join(" "))
  return Result.isSuccess(parsed)
    ? Effect.succeed(parsed.success)
    : Effect.fail(
        new UsageError({
          message:
            "The value of --scope can't be used. Scopes are printable ASCII characters without quotes and backslashes, for example itwin-platform."
        })
      )
}

/** Returns the limits in the proportions of the library's own: 5 s of 15 s for an attempt, also with a shorter limit. */
const limits = (total: number, attempt: number) => ({
  totalTimeout: Duration.seconds(total),
  attemptTimeout: Duration.seconds(Math.min(total, Math.max(attempt, total / 3)))
})

const retryOf = (timeout: number) => limits(timeout, 5)

/** Ends before the token request stops waiting for the secret. */
const vaultRetryOf = (timeout: number) => limits(0.6 * timeout, 4)

/** Replaces advice for programmers. */
const forCommandLine = Effect.fnUntraced(function* (error: SecretProviderError.SecretProviderError) {
  const { reason } = error
  if (reason._tag !== "NotFound" || !reason.advice?.includes("another SecretProvider")) return yield* error
  const alias = / (\w+_CLIENT_ID) is set\./.exec(reason.advice)?.[1]
  const hasVault = (yield* variable("ITWIN_KEY_VAULT_URL")) !== undefined
  const advice = [
    hasVault
      ? "ITWIN_KEY_VAULT_URL is set: add --provider keyvault to read them from there."
      : "Set both to the values shown under My Apps, or read them from an Azure Key Vault with --provider keyvault.",
    ...(alias === undefined ? [] : [`${alias} is set, but itwin-auth does not read it.`])
  ]
  return yield* new SecretProviderError.SecretProviderError({
    reason: new SecretProviderError.NotFound({ ...reason, advice: advice.join(" ") })
  })
})

/** Says how to install a part of the Azure SDK that could not be loaded. */
const withInstallCommand = (error: SecretProviderError.SecretProviderError) => {
  const { reason } = error
  return Effect.fail(
    reason._tag === "Misconfigured" && reason.secretName.startsWith("@azure/")
      ? new SecretProviderError.SecretProviderError({
          reason: new SecretProviderError.Misconfigured({
            ...reason,
            advice: `The package ${reason.secretName} could not be loaded. Install the Azure SDK where itwin-auth is installed: npm install @azure/identity @azure/keyvault-secrets (for all projects, with --global).`
          })
        })
      : error
  )
}

const adapted = (
  adapt: (
    error: SecretProviderError.SecretProviderError
  ) => Effect.Effect<never, SecretProviderError.SecretProviderError>
) =>
  Layer.effect(
    SecretProvider,
    Effect.map(SecretProvider, ({ credentials }) => ({ credentials: Effect.catch(credentials, adapt) }))
  )

const envLayer = adapted(forCommandLine).pipe(Layer.provide(EnvSecretProvider.layerFiles))

/** Provides the secret provider that `--provider` names. */
export const providerLayer = ({
  provider,
  timeout
}: Shared): Layer.Layer<SecretProvider, ConfigError, FileSystem.FileSystem> =>
  provider === "env"
    ? envLayer
    : Layer.unwrap(
        Effect.map(KeyVaultSecretProvider.config, (options) =>
          adapted(withInstallCommand).pipe(
            Layer.provide(KeyVaultSecretProvider.layer({ ...options, retry: vaultRetryOf(timeout) }))
          )
        )
      )

/** Provides the token and the client for one command. */
export const appLayer = (shared: Shared, environment: Environment.Environment, scopes: Scopes.Scopes) =>
  ITwin.layerWith({ scopes, timeout: Duration.seconds(shared.timeout), renewal: "inline" }).pipe(
    Layer.provide([Environment.layer(environment), RetryPolicy.layer(RetryPolicy.make(retryOf(shared.timeout)))])
  )
