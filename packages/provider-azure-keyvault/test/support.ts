// Loaded before the first test: while a module loads, virtual time would pass.
import "@azure/identity"
import "@azure/keyvault-secrets"
import { assert } from "@effect/vitest"
import { SecretProvider, type SecretProviderError } from "@effect-itwin/core"
import { KeyVaultCredential, KeyVaultSecretProvider } from "@effect-itwin/provider-azure-keyvault"
import * as TestTransport from "@effect-itwin/provider-azure-keyvault/TestTransport"
import { FakeKeyVault, Fault, Journal } from "@effect-itwin/testing"
import { Duration, Effect, Fiber, Layer, Logger, Redacted, References } from "effect"
import { TestClock } from "effect/testing"

export const secret = "fake-secret-a+b/c="
export const name = "itwin-client-secret"

export const read = Effect.flatMap(SecretProvider.SecretProvider, (provider) => provider.credentials)

/** Returns the reason of a read that must fail. */
export const reason = Effect.map(Effect.flip(read), (error) => error.reason)

/** A separate vault for each test. */
export const fresh = Layer.suspend(() => FakeKeyVault.layerTest())

/** The app of the fake at Entra ID. */
export const credentialOf = (vault: FakeKeyVault.FakeKeyVault["Service"]) =>
  KeyVaultCredential.clientSecret({
    tenantId: vault.tenantId,
    clientId: vault.clientId,
    clientSecret: vault.clientSecret
  })

/** The requests to read a secret, oldest first. */
export const reads = (vault: FakeKeyVault.FakeKeyVault["Service"]) =>
  Effect.map(vault.journal, (entries) => Journal.filter(entries, { route: "GET /secrets/:name" }))

type Change = (vault: FakeKeyVault.FakeKeyVault["Service"]) => Partial<KeyVaultSecretProvider.VaultOptions>

/** The provider, through the real SDK, on the fake. */
export const provider = (
  change: Change = () => ({}),
  ids: KeyVaultSecretProvider.Ids = { clientId: { literal: "service-1" }, clientSecret: name }
) =>
  Layer.unwrap(
    Effect.map(FakeKeyVault.FakeKeyVault, (vault) =>
      KeyVaultSecretProvider.layer({
        vaultUrl: vault.vaultUrl,
        credential: credentialOf(vault),
        ...change(vault),
        ...ids
      }).pipe(Layer.provide(TestTransport.layer({ httpClient: vault.httpClient })))
    )
  )

export const once: Change = () => ({ retry: { attempts: 1 } })

/** Lets the SDK's promises run, which the virtual clock does not move. */
export const settle = Effect.promise(
  () =>
    new Promise<void>((resolve) => {
      const turn = (left: number) => (left === 0 ? resolve() : setImmediate(() => turn(left - 1)))
      turn(30)
    })
)

/** Moves the clock in small steps until the effect is done. */
export const whileTimePasses = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    for (let step = 0; step < 1000 && fiber.pollUnsafe() === undefined; step++) {
      yield* settle
      if (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
    }
    return yield* Fiber.join(fiber)
  })

export interface Line {
  readonly level: string
  readonly text: string
}

/** A logger that records everything. */
export const logged = () => {
  const lines: Array<Line> = []
  const logger = Logger.make(({ logLevel, message, cause }) => {
    lines.push({ level: logLevel, text: `${[message].flat().map(String).join(" ")} ${String(cause)}` })
  })
  return {
    lines,
    layer: Layer.mergeAll(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All"))
  }
}

/** Returns the error of a read that must fail, in virtual time. */
export const failing = whileTimePasses(Effect.flip(read))

/** Runs a read that must succeed, in virtual time. */
export const recovered = Effect.map(whileTimePasses(read), ({ clientSecret }) => {
  assert.strictEqual(Redacted.value(clientSecret), secret)
})

/** Checks that the errors are alike, and show no secret. */
export const checkErrors = (
  errors: ReadonlyArray<SecretProviderError.SecretProviderError>,
  tag: string,
  text: string
) => {
  for (const { message, reason } of errors) {
    assert.strictEqual(`${reason._tag} ${message.includes(text)}`, `${tag} true`, message)
    assert.notInclude(message, "fake-secret-")
  }
}

export type Outage = readonly [what: string, fault: Fault.Fault, tag: string, text: string]

const outages: ReadonlyArray<Outage> = [
  ["returns 404", Fault.html(404, secret), "Unavailable", "The metadata service returned 404"],
  ["returns 410", Fault.respond({ status: 410 }), "Unavailable", "The metadata service returned 410"],
  ["returns 429", Fault.rateLimit(), "Throttled", "The metadata service limits the rate of token requests (429)."],
  ["returns 500", Fault.html(500, secret), "Unavailable", "The metadata service returned 500."],
  ["returns 503", Fault.rateLimit(1, 503), "Unavailable", "The metadata service returned 503."],
  ["returns a page", Fault.html(200, secret), "Unavailable", "The metadata service returned 200 without a token"],
  ["returns null", Fault.respond({ status: 200, body: null }), "Unavailable", "The metadata service returned 200"],
  ["resets the connection", Fault.reset, "Unavailable", "The metadata service of managed identities did not respond"],
  ["does not respond", Fault.hang, "Unavailable", "The metadata service of managed identities did not respond"]
]

/**
 * Makes three reads in a row for each outage of the metadata service, one that recovers, and the same without an
 * identity. All in one test, because MSAL keeps the client of the first metadata service, and its token, in the
 * process.
 */
export const readThroughMetadataOutages = Effect.gen(function* () {
  const vault = yield* FakeKeyVault.FakeKeyVault
  yield* vault.setSecret(name, secret)
  const strike = (fault: Fault.Fault) =>
    vault.script("GET /metadata/identity/oauth2/token", Fault.forDuration(fault, "5 minutes"))
  const managed = provider(() => ({ credential: KeyVaultCredential.managedIdentity() }))
  yield* Effect.gen(function* () {
    for (const [, fault, tag, text] of outages) {
      yield* strike(fault)
      checkErrors(yield* Effect.all([failing, failing, failing]), tag, text)
      // Another provider in the same process, for which MSAL uses the client of the first one.
      checkErrors([yield* Effect.provide(failing, Layer.fresh(managed))], tag, "The metadata service")
      yield* TestClock.adjust("5 minutes")
    }
    yield* strike(Fault.rateLimit(20))
    const { retryAfter } = yield* failing
    assert.strictEqual(retryAfter && Duration.toSeconds(retryAfter), 20)
    yield* TestClock.adjust("5 minutes")

    const description = `Identity not found ${secret}`
    yield* strike(Fault.respond({ status: 400, body: { error: "invalid_request", error_description: description } }))
    checkErrors(
      yield* Effect.all([failing, failing, failing]),
      "CredentialUnavailable",
      "has no identity at the backend. Tried: managed identity."
    )
    yield* TestClock.adjust("5 minutes")
    yield* recovered
  }).pipe(Effect.provide(managed))
}).pipe(Effect.provide(fresh))
