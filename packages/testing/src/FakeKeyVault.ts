/**
 * Fakes an Azure Key Vault for tests: its secrets with versions, denials and faults, and the services that tokens for it
 * come from (Entra ID, and the metadata service of managed identities).
 *
 * {@link layerTest} serves it in process: {@link FakeKeyVault} has an `httpClient` for the Azure SDK, which then opens no
 * socket. `FakeKeyVaultServer` serves the same routes on a socket. Controls, scripts and journal have the names and the
 * meaning that they have in `FakeIms`.
 *
 * **Details**
 *
 * Secrets can be read, listed (with versions and deleted ones), set, updated, deleted, recovered and purged. A deleted
 * secret is purged after 90 days of the fake's clock. The routes for scripts and counts:
 *
 * | route | what it does |
 * |---|---|
 * | `GET /secrets/:name` | reads the newest version, or the version that the path names |
 * | `PUT /secrets/:name` | sets a secret: creates a version |
 * | `PATCH /secrets/:name/:version` | updates attributes, tags and content type |
 * | `DELETE /secrets/:name` | deletes a secret |
 * | `GET /secrets`, `GET /secrets/:name/versions` | list secrets, and versions of one |
 * | `GET /deletedsecrets`, `GET /deletedsecrets/:name` | list deleted secrets, and describe one |
 * | `POST /deletedsecrets/:name/recover`, `DELETE /deletedsecrets/:name` | recovers, and purges |
 * | `POST /:tenant/oauth2/v2.0/token` | Entra ID: a token for client credentials |
 * | `GET /metadata/identity/oauth2/token` | metadata service: a token for the managed identity |
 * | `GET /common/discovery/instance`, `GET /:tenant/v2.0/.well-known/openid-configuration`, `GET /:tenant/discovery/v2.0/keys` | Entra ID's metadata and keys |
 *
 * **Gotchas**
 *
 * Give the `httpClient` to both the `SecretClient` and the credential. What the fake itself waits for is on the clock of
 * its build, so that `TestClock` moves it; the SDK's own retries and token lives are on the clock of the machine. So the
 * fake never rejects a token because of its age: `revokeTokens` does that. The SDK keeps the token of a managed identity
 * for the life of the process: another fake with the same seed accepts that token, without a request for it.
 *
 * **Example** (Rotating a secret under a reader)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { FakeKeyVault } from "@effect-itwin/testing"
 * import { Effect, Redacted } from "effect"
 *
 * it.effect("reads the newest version", () =>
 *   Effect.gen(function* () {
 *     const vault = yield* FakeKeyVault.FakeKeyVault
 *     // With the SDK: new SecretClient(vault.vaultUrl, credential, { httpClient: vault.httpClient })
 *     const token = Redacted.value(yield* vault.issueToken())
 *     const read = Effect.promise(() =>
 *       vault.httpClient.sendRequest({
 *         url: `${vault.vaultUrl}/secrets/itwin?api-version=7.6`,
 *         method: "GET",
 *         headers: [["authorization", `Bearer ${token}`]]
 *       })
 *     )
 *     yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
 *     assert.include((yield* read).bodyAsText, "fake-secret-a+b/c=")
 *     yield* vault.setSecret("itwin", "fake-secret-d+e/f=")
 *     assert.include((yield* read).bodyAsText, "fake-secret-d+e/f=")
 *     assert.strictEqual((yield* vault.awaitRequest("GET /secrets/:name", 2)).outcome, "ok")
 *   }).pipe(Effect.provide(FakeKeyVault.layerTest()))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Fault from "./Fault.ts"
import { verifyWhenClosed } from "./internal/engine/controls.ts"
import type { FakeError } from "./internal/engine/fakeError.ts"
import type { Handler } from "./internal/engine/handler.ts"
import type { Algorithm } from "./internal/engine/jwt.ts"
import { makeControls } from "./internal/vault/controls.ts"
import { makePipelineClient, type PipelineClient } from "./internal/vault/pipeline.ts"
import { makeVault } from "./internal/vault/vault.ts"
import type * as Journal from "./Journal.ts"

export { FakeError } from "./internal/engine/fakeError.ts"

/**
 * Names why the vault refuses a caller that it knows: no role, no access policy, or an address that is not allowed.
 *
 * @category models
 * @since 0.1.0
 */
export type Denial = "ForbiddenByRbac" | "ForbiddenByPolicy" | "ForbiddenByFirewall"

/**
 * Describes a version of a secret, in addition to its value.
 *
 * @category models
 * @since 0.1.0
 */
export interface SecretOptions {
  readonly contentType?: string | undefined
  /** Advisory, as in the real vault: the secret can be read after it. */
  readonly expiresAt?: DateTime.DateTime | undefined
  /** Advisory, as in the real vault: the secret can be read before it. */
  readonly notBefore?: DateTime.DateTime | undefined
  readonly enabled?: boolean | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
}

/**
 * Describes a version of a secret. Its value is not part of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Version {
  readonly id: string
  readonly enabled: boolean
  readonly createdAt: DateTime.Utc
  readonly contentType: string | undefined
  readonly expiresAt: DateTime.Utc | undefined
  readonly notBefore: DateTime.Utc | undefined
  readonly tags: Readonly<Record<string, string>>
}

/**
 * Has the structure of an `HttpClient` of `@azure/core-rest-pipeline`, which clients and credentials of the SDK take as
 * the option `httpClient`.
 *
 * @category models
 * @since 0.1.0
 */
export interface HttpClient extends PipelineClient {}

/**
 * Answers 429 as the vault does: without `Retry-After`.
 *
 * @category faults
 * @since 0.1.0
 */
export const throttled: Fault.Single = Fault.respond({
  status: 429,
  body: {
    error: {
      code: "Throttled",
      message: "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached"
    }
  }
})

/**
 * Controls the fake.
 *
 * A name that no vault accepts, a secret that the fake does not have, an unknown route and an invalid step are mistakes
 * of the test, so they are defects.
 *
 * @category services
 * @since 0.1.0
 */
export class FakeKeyVault extends Context.Service<
  FakeKeyVault,
  {
    readonly vaultUrl: string
    /** Reaches the vault, Entra ID and the metadata service, and no other host. */
    readonly httpClient: HttpClient
    /** The tenant that the vault trusts. */
    readonly tenantId: string
    /** The app that can get a token for the vault, and its secret. */
    readonly clientId: string
    readonly clientSecret: Redacted.Redacted

    /** Adds a version, which is the newest from now on. Returns its id. */
    readonly setSecret: (
      name: string,
      value: string | Redacted.Redacted,
      options?: SecretOptions
    ) => Effect.Effect<string>
    /** Returns the names of the secrets in alphabetical order, without those that are deleted. */
    readonly secretNames: Effect.Effect<ReadonlyArray<string>>
    /** Returns the versions of a secret, oldest first. */
    readonly versions: (name: string) => Effect.Effect<ReadonlyArray<Version>>
    /** Disables a version, or the newest one. Reads of it are refused. */
    readonly disableVersion: (name: string, version?: string) => Effect.Effect<void>
    readonly enableVersion: (name: string, version?: string) => Effect.Effect<void>
    /** Deletes a secret with all its versions. It can be recovered. */
    readonly deleteSecret: (name: string) => Effect.Effect<void>
    /** Recovers a deleted secret with all its versions. */
    readonly recoverSecret: (name: string) => Effect.Effect<void>
    /** Purges a deleted secret, so that its name is free. */
    readonly purgeSecret: (name: string) => Effect.Effect<void>

    /** Refuses every operation from now on, with 403 and this inner code. */
    readonly deny: (inner: Denial) => Effect.Effect<void>
    /** Ends `deny`. */
    readonly allow: Effect.Effect<void>
    /** Refuses the tokens that were issued so far, with 401. */
    readonly revokeTokens: Effect.Effect<void>
    /** Changes what the challenge says: for example, names the token endpoint of an attacker. */
    readonly setChallenge: (challenge: {
      readonly authorization?: string
      readonly resource?: string
    }) => Effect.Effect<void>
    /**
     * Returns a token as Entra ID issues it: by default one that the vault accepts. The vault refuses another audience
     * with AKV10022, and another tenant with AKV10032. `claims` are added to the usual
     * ones, or replace them.
     */
    readonly issueToken: (options?: {
      readonly audience?: string | undefined
      readonly tenantId?: string | undefined
      readonly claims?: Readonly<Record<string, unknown>> | undefined
    }) => Effect.Effect<Redacted.Redacted>

    /**
     * Adds steps to the script of a route: `GET /secrets/:name`. A challenge uses no step: in the vault, steps are applied
     * only to requests with a token that it accepts.
     */
    readonly script: (route: string, ...steps: ReadonlyArray<Fault.Step>) => Effect.Effect<void>
    /** Drops what is left of all scripts. */
    readonly clearScripts: Effect.Effect<void>
    /** Fails if a step of a script was never used. */
    readonly verify: Effect.Effect<void, FakeError>

    /**
     * Returns the requests that the journal keeps, oldest first. An entry has the name and the version of a secret in its
     * path, and no value. The outcome is `ok`, `challenge` (there was no token), `fault` (the script answered), the
     * innermost error code, or `unanswered`. A client's first request to the vault is two: challenge and answer.
     */
    readonly journal: Effect.Effect<ReadonlyArray<Journal.Entry>>
    /** Forgets the journal, its counts and `maxConcurrent`. Numbers begin at 1 again. */
    readonly clearJournal: Effect.Effect<void>
    /** Returns how many entries the journal dropped, because there were more than `journalLimit`. */
    readonly droppedEntries: Effect.Effect<number>
    /** Returns the requests for a token, to Entra ID and to the metadata service, that the journal keeps, oldest first. */
    readonly tokenRequests: Effect.Effect<ReadonlyArray<Journal.Entry>>
    /** Returns how many requests the route received, those that the journal dropped included. */
    readonly countRequests: (route: string) => Effect.Effect<number>
    /** Returns the largest number of requests that were served at the same time. */
    readonly maxConcurrent: Effect.Effect<number>
    /** Returns the `n`-th request (from 1, which is the default) to the route as soon as it arrives. Waits on no clock. */
    readonly awaitRequest: (route: string, n?: number) => Effect.Effect<Journal.Entry>
    /** Forgets secrets, denial, challenge, revocations, scripts and journal. Tenant, app and key stay. */
    readonly reset: Effect.Effect<void>
  }
>()("@effect-itwin/testing/FakeKeyVault") {}

/**
 * Configures the fake.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What version ids, tokens and the app's secret are made from. */
  readonly seed?: string | undefined
  /** The tenant that the vault trusts; made from the seed by default. */
  readonly tenantId?: string | undefined
  /** The audience of the vault's tokens: `https://vault.azure.net` by default. */
  readonly resource?: string | undefined
  /** The signature algorithm: Ed25519 in process, RS256 on a socket by default. RS256 keys are not deterministic. */
  readonly algorithm?: Algorithm | undefined
  /** How many entries the journal keeps, at least 1; 10,000 by default. */
  readonly journalLimit?: number | undefined
  /** Whether closing the fake with unused steps in a script is a defect. By default it is a warning in the log. */
  readonly strict?: boolean | undefined
}

/**
 * Configures the fake in process.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestOptions extends Options {
  /** `https://fake-vault.vault.azure.net` by default. */
  readonly vaultUrl?: string | undefined
}

/**
 * Builds the fake without a way to serve it: `FakeKeyVaultServer` serves the handler.
 *
 * @internal
 */
export const make = (
  options: Options | undefined,
  at: {
    readonly url: string
    readonly authority: string
    readonly metadata: string
    readonly seed: string
    readonly algorithm?: Algorithm
  }
): Effect.Effect<{ readonly handler: Handler; readonly controls: FakeKeyVault["Service"] }, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { vault, handler, handlers } = yield* makeVault({
      seed: options?.seed ?? at.seed,
      url: at.url,
      authority: at.authority,
      metadata: at.metadata,
      resource: options?.resource ?? "https://vault.azure.net",
      tenantId: options?.tenantId,
      algorithm: options?.algorithm ?? at.algorithm ?? "EdDSA",
      journalLimit: options?.journalLimit
    })
    yield* verifyWhenClosed(vault.engine, options)
    const httpClient = makePipelineClient(handlers, vault.engine.clock, yield* Effect.context<never>())
    return { handler, controls: makeControls(vault, httpClient) }
  })

/**
 * Serves the fake in process. Each call creates a separate fake.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTest = (options?: TestOptions): Layer.Layer<FakeKeyVault> =>
  Layer.effect(
    FakeKeyVault,
    Effect.map(
      make(options, {
        url: (options?.vaultUrl ?? "https://fake-vault.vault.azure.net").replace(/\/+$/, ""),
        authority: "https://login.microsoftonline.com",
        metadata: "http://169.254.169.254",
        seed: "effect-itwin"
      }),
      ({ controls }) => controls
    )
  )
