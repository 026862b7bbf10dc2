/**
 * A fake Azure Key Vault for tests: the read side of its secrets, with the challenge, versions, denials and faults of
 * the real one, and the places where tokens for it come from (Entra ID, and the metadata service of managed identities).
 *
 * {@link layerTest} serves it in process: {@link FakeKeyVault} has an `httpClient` for the real Azure SDK, which then
 * opens no socket. `FakeKeyVaultServer` serves the same handler on a socket.
 *
 * **Gotchas**
 *
 * Give the `httpClient` to both the `SecretClient` and the credential. What the fake itself waits for is on the clock of
 * its build, so that `TestClock` moves it; the SDK's own retries and token lives are on the machine's clock. So the fake
 * never finds a token too old: `revokeTokens` does that. The SDK keeps a managed identity's token for the whole process:
 * another fake accepts it if it has the same seed, but was not asked for it.
 *
 * **Example** (The real SDK without a network)
 *
 * ```ts
 * import { FakeKeyVault } from "@effect-itwin/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const vault = yield* FakeKeyVault.FakeKeyVault
 *   yield* vault.setSecret("itwin-client-secret", "fake-secret-a+b/c=")
 *   // const credential = new ClientSecretCredential(tenantId, clientId, secret, { httpClient: vault.httpClient })
 *   // const client = new SecretClient(vault.vaultUrl, credential, { httpClient: vault.httpClient })
 *   return vault.vaultUrl
 * })
 *
 * console.log(await Effect.runPromise(program.pipe(Effect.provide(FakeKeyVault.layerTest())))) // https://fake-vault.vault.azure.net
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Fault from "./Fault.ts"
import { fromSeed } from "./internal/engine/entropy.ts"
import { makePipelineClient, type PipelineClient } from "./internal/pipeline.ts"
import { makeVault, routes, type Vault } from "./internal/vault.ts"
import { makeControls } from "./internal/vaultControls.ts"
import { makeVaultHandler } from "./internal/vaultHandler.ts"

/**
 * Why the vault says no to a caller it knows: no role, no access policy, or not from this address.
 *
 * @category models
 * @since 0.1.0
 */
export type Denial = "ForbiddenByRbac" | "ForbiddenByPolicy" | "ForbiddenByFirewall"

/**
 * What can have a script: reads of secrets, Entra ID's token endpoint, or the metadata service.
 *
 * @category models
 * @since 0.1.0
 */
export type Route = "secret" | "token" | "metadata"

/**
 * One request for a secret. It holds neither a value nor a token.
 *
 * @category models
 * @since 0.1.0
 */
export interface JournalEntry {
  /** When it came, in epoch milliseconds of the fake's clock. */
  readonly at: number
  readonly secretName: string
  /** The version that was asked for; absent when the newest one was. */
  readonly version: string | undefined
  /** Whether it came with a token that the vault accepts. */
  readonly authenticated: boolean
  /** The fault that struck it. */
  readonly fault: string | undefined
  /** The status of the answer; absent while it is not sent. */
  readonly status: number | undefined
  /** `ok`, `challenge`, `fault` (the script answered), the innermost error code, or `aborted`. */
  readonly outcome: string
}

/**
 * One request for a token: to Entra ID, or to the metadata service. It holds neither a secret nor a token.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenRequest {
  readonly at: number
  readonly endpoint: "entra" | "metadata"
  readonly clientId: string | undefined
  readonly fault: string | undefined
  readonly status: number | undefined
  /** `ok`, `fault` (the script answered), the error code, or `aborted`. */
  readonly outcome: string
}

/**
 * What a version of a secret can have besides its value.
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
 * An `HttpClient` of `@azure/core-rest-pipeline`, by structure: what the SDK's clients and credentials take as the
 * option `httpClient`.
 *
 * @category models
 * @since 0.1.0
 */
export interface HttpClient extends PipelineClient {}

/**
 * Steps of a script that no request used.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnusedSteps extends Schema.Error<UnusedSteps>("@effect-itwin/testing/FakeKeyVault/UnusedSteps")({
  _tag: Schema.tag("UnusedSteps"),
  steps: Schema.Array(Schema.Struct({ route: Schema.Literals(["secret", "token", "metadata"]), step: Fault.Step }))
}) {
  override get message(): string {
    const lines = this.steps.map(({ route, step }) => `  ${route}: ${JSON.stringify(encodeStep(step))}`)
    return `The script of the fake vault has steps that were never used:\n${lines.join("\n")}`
  }
}

const encodeStep = Schema.encodeSync(Fault.Step)

/**
 * 429 as the vault sends it: without `Retry-After`.
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
 * The controls of the fake. Names of secrets that no vault would take, and changes to secrets it does not have, are
 * defects: mistakes of the test.
 *
 * @category services
 * @since 0.1.0
 */
export class FakeKeyVault extends Context.Service<
  FakeKeyVault,
  {
    readonly vaultUrl: string
    /** For the real SDK, in process: it answers for the vault, Entra ID and the metadata service, and for nothing else. */
    readonly httpClient: HttpClient
    /** The tenant that the vault trusts. */
    readonly tenantId: string
    /** The one application that Entra ID knows, with its secret: for a `ClientSecretCredential`. */
    readonly clientId: string
    readonly clientSecret: Redacted.Redacted
    /** Adds a version, which is the newest one from now on, and gives its id. A deleted secret begins anew. */
    readonly setSecret: (
      name: string,
      value: string | Redacted.Redacted,
      options?: SecretOptions
    ) => Effect.Effect<string>
    /** Disables a version; the newest one by default. The vault falls back to no older one. */
    readonly disableVersion: (name: string, version?: string) => Effect.Effect<void>
    readonly enableVersion: (name: string, version?: string) => Effect.Effect<void>
    /** Deletes a secret with all its versions (the vault's soft delete: to readers it is gone). */
    readonly deleteSecret: (name: string) => Effect.Effect<void>
    /** Refuses every read from now on, with 403 and this inner code. */
    readonly deny: (inner: Denial) => Effect.Effect<void>
    /** Ends `deny`. */
    readonly allow: Effect.Effect<void>
    /** Refuses the tokens that were issued so far, with 401. */
    readonly revokeTokens: Effect.Effect<void>
    /** Changes what the challenge says, as a vault that lies would. */
    readonly setChallenge: (challenge: {
      readonly authorization?: string
      readonly resource?: string
    }) => Effect.Effect<void>
    /**
     * A token as Entra ID would issue it: by default one that the vault accepts. Another audience is refused with
     * AKV10022, another tenant with AKV10032.
     */
    readonly issueToken: (options?: {
      readonly audience?: string
      readonly tenantId?: string
    }) => Effect.Effect<Redacted.Redacted>
    /**
     * Adds steps to the script of a route; to that of reads by default. It strikes reads with an accepted token only:
     * a challenge uses no step up.
     */
    readonly script: (steps: ReadonlyArray<Fault.Step>, route?: Route) => Effect.Effect<void>
    /** Fails if steps of a script were never used. */
    readonly verify: Effect.Effect<void, UnusedSteps>
    /** Every request for a secret so far, oldest first. A client's first read is two: challenge and answer. */
    readonly journal: Effect.Effect<ReadonlyArray<JournalEntry>>
    /** Every request for a token so far, oldest first. */
    readonly tokenRequests: Effect.Effect<ReadonlyArray<TokenRequest>>
    /** Waits, on no clock, until the journal has that many entries. */
    readonly awaitRequests: (count: number) => Effect.Effect<void>
  }
>()("@effect-itwin/testing/FakeKeyVault") {}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What version ids, tokens and the application's secret are made from. */
  readonly seed?: string | undefined
  /** The tenant that the vault trusts; made from the seed by default. */
  readonly tenantId?: string | undefined
  /** The audience of the vault's tokens: `https://vault.azure.net` by default. */
  readonly resource?: string | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface TestOptions extends Options {
  /** `https://fake-vault.vault.azure.net` by default. */
  readonly vaultUrl?: string | undefined
}

const verify = (vault: Vault): Effect.Effect<void, UnusedSteps> =>
  Effect.suspend(() => {
    const steps = routes.flatMap((route) => vault.scripts[route].unused().map((step) => ({ route, step })))
    return steps.length === 0 ? Effect.void : Effect.fail(new UnusedSteps({ steps }))
  })

/** @internal */
export const make = (
  options: Options | undefined,
  at: { readonly url: string; readonly authority: string; readonly metadata: string; readonly seed: string }
) =>
  Effect.gen(function* () {
    const vault = yield* makeVault({
      entropy: fromSeed(options?.seed ?? at.seed),
      url: at.url,
      authority: at.authority,
      resource: options?.resource ?? "https://vault.azure.net",
      tenantId: options?.tenantId
    })
    const handler = makeVaultHandler(vault, ["vault", "entra", "metadata"])
    const handlers = new Map([
      [at.metadata, makeVaultHandler(vault, ["metadata"])],
      [at.authority, makeVaultHandler(vault, ["entra"])],
      [at.url, at.url === at.authority ? handler : makeVaultHandler(vault, ["vault"])]
    ])
    const httpClient = makePipelineClient(handlers, vault.clock, yield* Effect.context<never>())
    return { handler, controls: { ...makeControls(vault, httpClient), verify: verify(vault) } }
  })

/**
 * The fake in process. Each call gives a fake of its own.
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
