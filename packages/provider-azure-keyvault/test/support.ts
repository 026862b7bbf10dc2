import { SecretProvider, type SecretProviderError } from "@effect-itwin/core"
import { KeyVaultCredential, KeyVaultSecretProvider } from "@effect-itwin/provider-azure-keyvault"
import * as TestTransport from "@effect-itwin/provider-azure-keyvault/TestTransport"
import { FakeKeyVault } from "@effect-itwin/testing"
import { Effect, Exit, Fiber, Layer, Logger, References } from "effect"
import { TestClock } from "effect/testing"

export const secret = "fake-secret-a+b/c="
export const name = "itwin-client-secret"

export const read = Effect.flatMap(SecretProvider.SecretProvider, (provider) => provider.credentials)

/** The reason of a read that has to fail. */
export const reason = Effect.map(Effect.flip(read), (error) => error.reason)

/** A vault of its own for each test. */
export const fresh = Layer.suspend(() => FakeKeyVault.layerTest())

/** The fake's own app at Entra ID. */
export const credentialOf = (vault: FakeKeyVault.FakeKeyVault["Service"]) =>
  KeyVaultCredential.clientSecret({
    tenantId: vault.tenantId,
    clientId: vault.clientId,
    clientSecret: vault.clientSecret
  })

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

/** Lets the SDK's promises run: it is the one thing here that no virtual clock moves. */
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

/** A logger of everything, for what is built with it. */
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

export const failureOf = <A>(exit: Exit.Exit<A, SecretProviderError.SecretProviderError>) =>
  Exit.isFailure(exit) ? Exit.findErrorOption(exit) : undefined
