/**
 * Reads credentials from secrets of an Azure Key Vault with the Azure SDK, which is loaded at the first read.
 *
 * Each token request reads the vault, so a rotated secret is used at the next one. Concurrent reads share one request.
 * The SDK's own retries are off. Instead, a read makes up to 4 attempts of 4 s each within 9 s, if the vault, Entra ID
 * or the metadata service throttles, fails or does not respond. Every failure is a `SecretProviderError` that says what
 * to do.
 *
 * **Gotchas**
 *
 * Invalid options are programming errors: building `layer` dies with a `RangeError` that names the option. Errors of
 * the SDK are neither attached nor quoted, because they may contain the secret and the token.
 *
 * **Example** (Reading the client secret of a known client id)
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
 *     // Only in tests: the fake replaces Azure.
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
 * Names a secret of the vault, and a version if it is not the newest one.
 *
 * @category models
 * @since 0.1.0
 */
export interface SecretRef {
  readonly secret: string
  readonly version?: string | undefined
}

/**
 * Names the vault, the identity of this program, and the limits of a read.
 *
 * @category models
 * @since 0.1.0
 */
export interface VaultOptions {
  /** `https://<name>.vault.azure.net`, or the URL of a vault in the Chinese or the US Government cloud. */
  readonly vaultUrl: string
  /**
   * Lets `vaultUrl` be any https host, for a cloud that this package does not know. A token is sent only if the vault
   * asks for one for its own parent domain.
   */
  readonly customDomain?: boolean | undefined
  /**
   * The identity of this program at Azure: a choice of `KeyVaultCredential`, or a `TokenCredential` of the SDK. By
   * default the one that `ITWIN_KEY_VAULT_CREDENTIAL` names, read through `Config`.
   */
  readonly credential?: KeyVaultCredential.KeyVaultCredential | KeyVaultCredential.TokenCredential | undefined
  /**
   * How often and how long a read is tried. By default, 4 attempts of 4 s each within 9 s, pauses from 500 ms, and a
   * `Retry-After` of at most 4 s. These 9 s end before the token request stops waiting for the secret. With the Azure
   * CLI and `DefaultAzureCredential`, one attempt may take all of the time.
   */
  readonly retry?: RetryPolicy.Options | undefined
}

/**
 * Names the secrets that hold the client id and the client secret: one secret for each, or one for both as JSON,
 * `{"clientId":"service-…","clientSecret":"…"}`.
 *
 * @category models
 * @since 0.1.0
 */
export type Ids =
  | {
      /** The client id itself, which is not secret, or the secret that holds it. */
      readonly clientId: { readonly literal: string } | SecretRef
      /** The *name* of the secret, never its value. */
      readonly clientSecret: string | SecretRef
      readonly json?: undefined
    }
  | {
      /** Holds both, so that both change at once. */
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

/** Reads the choice. Drops the `ConfigError`, because it may quote a value. */
const configuredCredential = (config: ConfigProvider.ConfigProvider) =>
  // Suspended, because `parse` reads its source at once.
  Effect.suspend(() => KeyVaultCredential.config.parse(config)).pipe(
    Effect.mapError(() =>
      fail(
        new SecretProviderError.Misconfigured({
          provider,
          secretName: "ITWIN_KEY_VAULT_CREDENTIAL",
          advice: `Set it to one of ${KeyVaultCredential.names.join(", ")}, and set the AZURE_ variables that this choice needs; or pass the option credential.`
        })
      )
    )
  )

/**
 * Shares a read among concurrent callers, until the scope closes. The read runs with the services with which the layer
 * was built, and is aborted when no caller waits for it.
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
          advice: "The layer of the provider was closed. Keep it open as long as the program needs the secret."
        })
      )
    )
  )
  const untilClosed = Effect.raceFirst(Deferred.await(closed), read)
  const cache = yield* Cache.make({
    // `Cache` would run the read with the services of the first caller.
    lookup: (_host: string) => Effect.updateContext(untilClosed, (_: Context.Context<never>) => context),
    capacity: 1,
    // Keep neither a secret nor a failure.
    timeToLive: Duration.zero
  })
  return Cache.get(cache, host)
})

/**
 * Reads the credentials from the vault.
 *
 * **Details**
 *
 * The credentials have the `version` and `expiresAt` of the client secret. A warning is logged once a day for a secret
 * that expires within 30 days. One trailing newline is dropped. If the rest is not a client id or a client secret (see
 * `ClientCredentials`), the reason is `InvalidSecret`. All services, including logger and clock, are those with which
 * the layer was built.
 *
 * | reason                  | when                                                                                        |
 * | ----------------------- | ------------------------------------------------------------------------------------------- |
 * | `NotFound`              | the secret or the version does not exist, or was deleted                                    |
 * | `AccessDenied`          | no role or access policy; the firewall; Entra ID rejects the credential; wrong tenant       |
 * | `Disabled`              | the newest version is disabled, or the named one                                            |
 * | `CredentialUnavailable` | this machine has no identity; the message says which were tried                             |
 * | `Throttled`             | the vault, Entra ID or the metadata service returns 429; with `retryAfter` if stated        |
 * | `Unavailable`           | one of these three returns 5xx, does not respond, or a proxy responds instead               |
 * | `InvalidSecret`         | blank, padded, UTF-16, not a client id, not JSON; another secret than the requested one     |
 * | `Misconfigured`         | `vaultUrl` is not a Key Vault; the credential can't be built from its settings              |
 * | `Defect`                | a given `TokenCredential` or this package threw, for example a `TypeError`                  |
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

/**
 * Describes a variable that need not be set. Its value is not quoted, because it may be the secret instead of its name.
 */
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
 * Reads the options from variables:
 *
 * | variable                                | value                                                                 |
 * | --------------------------------------- | --------------------------------------------------------------------- |
 * | `ITWIN_KEY_VAULT_URL`                   | the URL of the vault: `https://<name>.vault.azure.net`                |
 * | `ITWIN_KEY_VAULT_CLIENT_ID`             | the client id itself                                                  |
 * | `ITWIN_KEY_VAULT_CLIENT_ID_NAME`        | or the name of the secret that holds it                               |
 * | `ITWIN_KEY_VAULT_CLIENT_SECRET_NAME`    | the name of the secret that holds the client secret                   |
 * | `ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION` | its version, if not the newest one                                    |
 * | `ITWIN_KEY_VAULT_JSON_NAME`             | instead of these four: the name of the secret with both, as JSON      |
 * | `ITWIN_KEY_VAULT_CREDENTIAL`            | the identity of this program at Azure: see `KeyVaultCredential`       |
 *
 * There is no variable for `customDomain`, because it could send the program's Azure token to a foreign host.
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
 * Reads the credentials from the vault that {@link config} names. Building the layer fails with a `ConfigError` if
 * variables are missing, invalid or contradict each other.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<SecretProvider, Config.ConfigError> = Layer.unwrap(Effect.map(config, layer))
