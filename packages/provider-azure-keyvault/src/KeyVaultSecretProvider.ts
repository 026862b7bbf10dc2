/**
 * Credentials from secrets of an Azure Key Vault, read with the real Azure SDK, which is loaded at the first read.
 *
 * Each read asks the vault, so a rotated secret is seen at the next token request; reads at the same time share one.
 * The SDK's own retries are off. Instead: up to 4 attempts of 4 s each, 9 s in all, for a vault that throttles, fails
 * or does not answer. Every failure is a `SecretProviderError` that says what to do.
 *
 * **Gotchas**
 *
 * `layer` never fails to build: options that are wrong are `Misconfigured` at each read. No error of the SDK is
 * attached or quoted, because they hold the secret and the token.
 *
 * **Example** (A secret that is named, an id that is known)
 *
 * ```ts test
 * import { SecretProvider } from "@effect-itwin/core"
 * import { KeyVaultCredential, KeyVaultSecretProvider } from "@effect-itwin/provider-azure-keyvault"
 * import * as TestTransport from "@effect-itwin/provider-azure-keyvault/TestTransport"
 * import { FakeKeyVault } from "@effect-itwin/testing"
 * import { assert, it } from "@effect/vitest"
 * import { Effect, Layer } from "effect"
 *
 * const Secrets = KeyVaultSecretProvider.layer({
 *   vaultUrl: "https://fake-vault.vault.azure.net",
 *   clientId: { literal: "service-abc" },
 *   clientSecret: "itwin-client-secret",
 *   credential: KeyVaultCredential.managedIdentity()
 * })
 *
 * it.effect("reads the newest version", () =>
 *   Effect.gen(function* () {
 *     const vault = yield* FakeKeyVault.FakeKeyVault
 *     const version = yield* vault.setSecret("itwin-client-secret", "fake-secret-a+b/c=")
 *     // Only in tests: the fake in the place of Azure.
 *     const transport = TestTransport.layer({ httpClient: vault.httpClient })
 *     const credentials = yield* Effect.flatMap(SecretProvider.SecretProvider, (_) => _.credentials).pipe(
 *       Effect.provide(Secrets.pipe(Layer.provide(transport)))
 *     )
 *     assert.strictEqual(credentials.clientId, "service-abc")
 *     assert.strictEqual(credentials.version, version)
 *   }).pipe(Effect.provide(FakeKeyVault.layerTest()))
 * )
 * ```
 *
 * @since 0.1.0
 */
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { makeExpiryWarning } from "./internal/expiry.ts"
import { makeReader } from "./internal/reader.ts"
import { retryOf } from "./internal/retry.ts"
import { checkVaultUrl, isMisconfigured, misconfigured, provider, settingsOf } from "./internal/settings.ts"
import { makeSharedFlight } from "./internal/sharedFlight.ts"
import { readCredentials } from "./internal/values.ts"
import * as KeyVaultCredential from "./KeyVaultCredential.ts"
import { TestTransport } from "./TestTransport.ts"

/**
 * A secret of the vault by its name; the newest version unless one is named.
 *
 * @category models
 * @since 0.1.0
 */
export interface SecretRef {
  readonly secret: string
  readonly version?: string | undefined
}

/**
 * How often and how long a read is tried.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retry {
  /** Attempts in all, the first included: 4. A whole number from 1 on. */
  readonly attempts: number
  /** The limit of one attempt, which aborts the call: 4 s. For the Azure CLI and `DefaultAzureCredential`: the whole. */
  readonly attemptTimeout: Duration.Duration
  /** The limit of a read with all its attempts and pauses: 9 s, to end before the token request gives up on it. */
  readonly totalTimeout: Duration.Duration
  /** The pause before the second attempt: 500 ms. It doubles, is jittered, and is twice as long for a 429. */
  readonly baseDelay: Duration.Duration
  /** A `Retry-After` up to this is waited for: 4 s. A longer one fails at once, with it. */
  readonly maxRetryAfter: Duration.Duration
}

/**
 * @category models
 * @since 0.1.0
 */
export interface VaultOptions {
  /** `https://<name>.vault.azure.net`, or that of the Chinese or the US Government cloud. */
  readonly vaultUrl: string
  /**
   * Lets `vaultUrl` be any https host, for a cloud that this package does not know. The vault must still ask for a token
   * for its own parent domain, or none is sent.
   */
  readonly customDomain?: boolean | undefined
  /**
   * What this program shows to Azure: a choice of `KeyVaultCredential`, or a `TokenCredential` of the SDK. By default
   * what `ITWIN_KEY_VAULT_CREDENTIAL` names, read through `Config`.
   */
  readonly credential?: KeyVaultCredential.KeyVaultCredential | KeyVaultCredential.TokenCredential | undefined
  /** What is not given is as in {@link Retry}. */
  readonly retry?: { readonly [K in keyof Retry]?: Retry[K] | undefined } | undefined
}

/**
 * Where id and secret are: the secret in one of its own, or both in one as JSON,
 * `{"clientId":"service-…","clientSecret":"…"}`.
 *
 * @category models
 * @since 0.1.0
 */
export type Ids =
  | {
      /** The id itself, which is no secret, or the secret that holds it. */
      readonly clientId: { readonly literal: string } | SecretRef
      /** The *name* of the secret, never its value. */
      readonly clientSecret: string | SecretRef
      readonly json?: undefined
    }
  | {
      /** Both change at once, which two secrets can't. */
      readonly json: string | SecretRef
      readonly clientId?: undefined
      readonly clientSecret?: undefined
    }

/**
 * @category models
 * @since 0.1.0
 */
export type Options = VaultOptions & Ids

const fail = (reason: SecretProviderError.SecretProviderErrorReason) =>
  new SecretProviderError.SecretProviderError({ reason })

/** Read anew until it succeeds, from the `ConfigProvider` of the build. A `ConfigError` may quote a value: dropped. */
const configuredCredential = (config: ConfigProvider.ConfigProvider) =>
  // Suspended, since `parse` looks into its source at once.
  Effect.suspend(() => KeyVaultCredential.config.parse(config)).pipe(
    Effect.mapError(() =>
      fail(
        misconfigured(
          "ITWIN_KEY_VAULT_CREDENTIAL",
          `Set it to one of ${KeyVaultCredential.names.join(", ")}, together with the AZURE_ variables which that one needs; or give the option credential.`
        )
      )
    )
  )

/**
 * Reads the credentials from the vault.
 *
 * **Details**
 *
 * `version` and `expiresAt` of the client secret reach the `ClientCredentials`. A secret that expires within 30 days is
 * warned about once a day. One trailing newline is dropped; a value that is blank, or padded with other white space, is
 * `InvalidSecret`. All services, the logger and clock included, are those of the layer's build.
 *
 * | reason                  | when                                                                                        |
 * | ----------------------- | ------------------------------------------------------------------------------------------- |
 * | `NotFound`              | no secret, or no version, of that name; deleted ones included                               |
 * | `AccessDenied`          | no role or access policy; the firewall; Entra ID refuses the credential; wrong tenant       |
 * | `Disabled`              | the newest version is disabled, or the one that was named                                   |
 * | `CredentialUnavailable` | no identity here: says which were tried                                                     |
 * | `Throttled`             | 429 to the end, with `retryAfter` if the vault said one                                     |
 * | `Unavailable`           | 5xx, no connection, no answer: of the vault, Entra ID or the metadata service               |
 * | `InvalidSecret`         | blank, padded, no client id, no JSON                                                        |
 * | `Misconfigured`         | the options; no Key Vault at `vaultUrl`; a credential that can't be made from its settings  |
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<SecretProvider> =>
  Layer.effect(
    SecretProvider,
    Effect.gen(function* () {
      const settings = settingsOf(options)
      if (isMisconfigured(settings)) return { credentials: Effect.fail(fail(settings)) }
      const retry = retryOf(options.retry)
      if (isMisconfigured(retry)) return { credentials: Effect.fail(fail(retry)) }
      const transport = yield* TestTransport
      const config = yield* ConfigProvider.ConfigProvider
      const { credential } = options
      const reading = makeReader({
        settings,
        transport,
        retry,
        choice: credential === undefined ? configuredCredential(config) : Effect.succeed(credential)
      })
      const warn = makeExpiryWarning()
      const credentials = yield* makeSharedFlight(
        reading((read) => readCredentials(settings, read, warn), settings.host),
        fail(
          new SecretProviderError.Unavailable({
            provider,
            secretName: settings.host,
            advice: "The layer of the provider was closed."
          })
        )
      )
      return { credentials }
    })
  )

const optional = (name: string) => Config.map(Config.option(Config.NonEmptyString(name)), Option.getOrUndefined)

const Variables = Schema.Struct({
  ITWIN_KEY_VAULT_URL: Schema.String.check(
    Schema.makeFilter((text) => {
      const expected = checkVaultUrl(text, false)
      return expected === undefined ? undefined : `Expected ${expected}`
    })
  ),
  ITWIN_KEY_VAULT_CLIENT_ID: Schema.UndefinedOr(Schema.String),
  ITWIN_KEY_VAULT_CLIENT_ID_NAME: Schema.UndefinedOr(Schema.String),
  ITWIN_KEY_VAULT_CLIENT_SECRET_NAME: Schema.UndefinedOr(Schema.String),
  ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION: Schema.UndefinedOr(Schema.String),
  ITWIN_KEY_VAULT_JSON_NAME: Schema.UndefinedOr(Schema.String)
}).check(
  Schema.makeFilter((variables) => {
    const ids = [variables.ITWIN_KEY_VAULT_CLIENT_ID, variables.ITWIN_KEY_VAULT_CLIENT_ID_NAME]
    const secret = variables.ITWIN_KEY_VAULT_CLIENT_SECRET_NAME
    const given = ids.filter((id) => id !== undefined).length
    if (variables.ITWIN_KEY_VAULT_JSON_NAME !== undefined) {
      return given === 0 && secret === undefined && variables.ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION === undefined
        ? undefined
        : "Expected ITWIN_KEY_VAULT_JSON_NAME alone, without ITWIN_KEY_VAULT_CLIENT_…"
    }
    return given === 1 && secret !== undefined
      ? undefined
      : "Expected ITWIN_KEY_VAULT_CLIENT_SECRET_NAME and one of ITWIN_KEY_VAULT_CLIENT_ID and ITWIN_KEY_VAULT_CLIENT_ID_NAME, or ITWIN_KEY_VAULT_JSON_NAME"
  })
)

const decodeVariables = Schema.decodeEffect(Variables)

/**
 * The options that the variables give:
 *
 * | variable                                | what it is                                                            |
 * | --------------------------------------- | --------------------------------------------------------------------- |
 * | `ITWIN_KEY_VAULT_URL`                   | the vault: `https://<name>.vault.azure.net`                           |
 * | `ITWIN_KEY_VAULT_CLIENT_ID`             | the client id itself                                                  |
 * | `ITWIN_KEY_VAULT_CLIENT_ID_NAME`        | or the name of the secret that holds it                               |
 * | `ITWIN_KEY_VAULT_CLIENT_SECRET_NAME`    | the name of the secret that holds the client secret                   |
 * | `ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION` | its version, if not the newest one                                    |
 * | `ITWIN_KEY_VAULT_JSON_NAME`             | in place of the four: the name of the secret that holds both, as JSON |
 * | `ITWIN_KEY_VAULT_CREDENTIAL`            | what this program shows to Azure: see `KeyVaultCredential`            |
 *
 * `customDomain` has no variable: who could set it could have the program's Azure token sent to a host of theirs.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<Options> = Config.all({
  variables: Config.all({
    ITWIN_KEY_VAULT_URL: Config.NonEmptyString("ITWIN_KEY_VAULT_URL"),
    ITWIN_KEY_VAULT_CLIENT_ID: optional("ITWIN_KEY_VAULT_CLIENT_ID"),
    ITWIN_KEY_VAULT_CLIENT_ID_NAME: optional("ITWIN_KEY_VAULT_CLIENT_ID_NAME"),
    ITWIN_KEY_VAULT_CLIENT_SECRET_NAME: optional("ITWIN_KEY_VAULT_CLIENT_SECRET_NAME"),
    ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION: optional("ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION"),
    ITWIN_KEY_VAULT_JSON_NAME: optional("ITWIN_KEY_VAULT_JSON_NAME")
  }).pipe(
    Config.mapEffect((variables) =>
      decodeVariables(variables).pipe(Effect.mapError((error) => new Config.ConfigError(error)))
    )
  ),
  credential: KeyVaultCredential.config
}).pipe(
  Config.map(({ variables, credential }): Options => {
    const vault = { vaultUrl: variables.ITWIN_KEY_VAULT_URL, credential }
    if (variables.ITWIN_KEY_VAULT_JSON_NAME !== undefined)
      return { ...vault, json: variables.ITWIN_KEY_VAULT_JSON_NAME }
    return {
      ...vault,
      clientId:
        variables.ITWIN_KEY_VAULT_CLIENT_ID === undefined
          ? { secret: variables.ITWIN_KEY_VAULT_CLIENT_ID_NAME ?? "" }
          : { literal: variables.ITWIN_KEY_VAULT_CLIENT_ID },
      clientSecret: {
        secret: variables.ITWIN_KEY_VAULT_CLIENT_SECRET_NAME ?? "",
        version: variables.ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION
      }
    }
  })
)

/**
 * Reads the credentials from the vault that {@link config} names. Variables that are missing, or contradict each other,
 * fail the build.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<SecretProvider, Config.ConfigError> = Layer.unwrap(Effect.map(config, layer))
