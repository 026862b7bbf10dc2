/**
 * Credentials from secrets of an Azure Key Vault, read with the real Azure SDK, which is loaded at the first read.
 *
 * Each read asks the vault, so a rotated secret is seen at the next token request; reads at the same time share one.
 * The SDK's own retries are off. Instead: up to 4 attempts of 4 s each, 9 s in all, for a vault, Entra ID or metadata
 * service that throttles, fails or does not answer. Every failure is a `SecretProviderError` that says what to do.
 *
 * **Gotchas**
 *
 * Invalid options are programming errors: building `layer` dies with a `RangeError` that names the option. No error of
 * the SDK is attached or quoted, because they hold the secret and the token.
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
import * as RetryPolicy from "@effect-itwin/core/RetryPolicy"
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import * as Cache from "effect/Cache"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { makeExpiryWarning } from "./internal/expiry.ts"
import { makeReader } from "./internal/reader.ts"
import {
  expectedClientId,
  expectedName,
  expectedVersion,
  isClientId,
  isSecretName,
  isVersion,
  provider,
  settingsOf
} from "./internal/settings.ts"
import { readCredentials } from "./internal/values.ts"
import { checkVaultUrl } from "./internal/vaultUrl.ts"
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
 * Names the vault, what this program shows to it, and how often it is asked.
 *
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
  /**
   * How often and how long a read is tried. What is not given is: 4 attempts of 4 s each, which are then aborted, 9 s in
   * all, so that a read ends before the token request gives up on it, pauses from 500 ms on, `Retry-After` up to 4 s. For
   * the Azure CLI and `DefaultAzureCredential`, one attempt may take all the time.
   */
  readonly retry?: RetryPolicy.Options | undefined
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
      /** The id itself, which is not a secret, or the secret that holds it. */
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
 * Names the vault, and the secrets in it.
 *
 * @category models
 * @since 0.1.0
 */
export type Options = VaultOptions & Ids

const defaultRetry = RetryPolicy.make({
  attempts: 4,
  attemptTimeout: "4 seconds",
  totalTimeout: "9 seconds",
  baseDelay: "500 millis",
  maxRetryAfter: "4 seconds"
})

const fail = (reason: SecretProviderError.SecretProviderErrorReason) =>
  new SecretProviderError.SecretProviderError({ reason })

/** Read again until it succeeds, from the `ConfigProvider` of the build. A `ConfigError` may quote a value: dropped. */
const configuredCredential = (config: ConfigProvider.ConfigProvider) =>
  // Suspended, since `parse` looks into its source at once.
  Effect.suspend(() => KeyVaultCredential.config.parse(config)).pipe(
    Effect.mapError(() =>
      fail(
        new SecretProviderError.Misconfigured({
          provider,
          secretName: "ITWIN_KEY_VAULT_CREDENTIAL",
          advice: `Set it to one of ${KeyVaultCredential.names.join(", ")}, together with the AZURE_ variables which that one needs; or give the option credential.`
        })
      )
    )
  )

/**
 * Shares a read among those who ask at the same time, until the scope closes. It runs with the services of the layer's
 * build, and is aborted when nobody waits for it any more.
 */
const shared = Effect.fnUntraced(function* <A>(
  read: Effect.Effect<A, SecretProviderError.SecretProviderError>,
  host: string
) {
  const context = yield* Effect.context<never>()
  const closed = yield* Deferred.make<never, SecretProviderError.SecretProviderError>()
  yield* Effect.addFinalizer(() =>
    Deferred.fail(
      closed,
      fail(
        new SecretProviderError.Unavailable({
          provider,
          secretName: host,
          advice: "The layer of the provider was closed."
        })
      )
    )
  )
  const untilClosed = Effect.raceFirst(Deferred.await(closed), read)
  const cache = yield* Cache.make({
    // `Cache` would run it with the services of the first caller.
    lookup: (_host: string) => Effect.updateContext(untilClosed, (_: Context.Context<never>) => context),
    capacity: 1,
    // Neither a secret nor a failure is kept.
    timeToLive: Duration.zero
  })
  return Cache.get(cache, host)
})

/**
 * Reads the credentials from the vault.
 *
 * **Details**
 *
 * `version` and `expiresAt` of the client secret reach the `ClientCredentials`. A secret that expires within 30 days is
 * warned about once a day. One trailing newline is dropped; text that then is not a client id or a client secret (see
 * `ClientCredentials`) is `InvalidSecret`. All services, the logger and clock included, are those of the layer's build.
 *
 * | reason                  | when                                                                                        |
 * | ----------------------- | ------------------------------------------------------------------------------------------- |
 * | `NotFound`              | no secret, or no version, of that name; deleted ones included                               |
 * | `AccessDenied`          | no role or access policy; the firewall; Entra ID refuses the credential; wrong tenant       |
 * | `Disabled`              | the newest version is disabled, or the one that was named                                   |
 * | `CredentialUnavailable` | no identity here: says which were tried                                                     |
 * | `Throttled`             | 429 to the end, of the vault, Entra ID or the metadata service; with `retryAfter` if stated |
 * | `Unavailable`           | 5xx, no connection, no answer, a proxy's page: of the same three                            |
 * | `InvalidSecret`         | blank, padded, UTF-16, not a client id, not JSON; another secret than the one asked for     |
 * | `Misconfigured`         | not a Key Vault at `vaultUrl`; a credential that can't be made from its settings            |
 * | `Defect`                | a given `TokenCredential` or this package threw an error of the language, as a `TypeError`  |
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<SecretProvider> =>
  Layer.effect(
    SecretProvider,
    Effect.gen(function* () {
      const settings = settingsOf(options)
      const retry = RetryPolicy.make(options.retry ?? {}, defaultRetry)
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
      return {
        credentials: yield* shared(
          reading((read) => readCredentials(settings, read, warn)),
          settings.host
        )
      }
    })
  )

const optional = (name: string) => Config.map(Config.option(Config.NonEmptyString(name)), Option.getOrUndefined)

/** A variable that need not be set. Its value is not quoted: people put the secret where its name belongs. */
const optionalText = (isValid: (text: string) => boolean, expected: string) =>
  Schema.UndefinedOr(
    Schema.String.check(Schema.makeFilter((text) => (isValid(text) ? undefined : `Expected ${expected}`)))
  )

const Name = optionalText(isSecretName, expectedName)

const Variables = Schema.Struct({
  ITWIN_KEY_VAULT_URL: Schema.String.check(
    Schema.makeFilter((text) => {
      const expected = checkVaultUrl(text, false)
      return expected === undefined ? undefined : `Expected ${expected}`
    })
  ),
  ITWIN_KEY_VAULT_CLIENT_ID: optionalText(isClientId, expectedClientId),
  ITWIN_KEY_VAULT_CLIENT_ID_NAME: Name,
  ITWIN_KEY_VAULT_CLIENT_SECRET_NAME: Name,
  ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION: optionalText(isVersion, expectedVersion),
  ITWIN_KEY_VAULT_JSON_NAME: Name
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
 * Reads the credentials from the vault that {@link config} names. Variables that are missing, invalid, or contradict each
 * other, fail the build with a `ConfigError`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<SecretProvider, Config.ConfigError> = Layer.unwrap(Effect.map(config, layer))
