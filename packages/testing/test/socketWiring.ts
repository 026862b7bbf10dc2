// How the Azure SDK reaches a fake vault on a socket.
import { ClientSecretCredential } from "@azure/identity"
import { FakeKeyVault, FakeKeyVaultServer } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"
import type { Wiring } from "./vaultContract.ts"

/** The real SDK, through the socket, with the fake as its authority too. */
export const wiring = Effect.gen(function* () {
  const { tenantId, clientId, clientSecret } = yield* FakeKeyVault.FakeKeyVault
  const { url, certificate } = yield* FakeKeyVaultServer.Endpoint
  const options = {
    retryOptions: { maxRetries: 0 },
    ...(certificate === undefined ? {} : { tlsOptions: { ca: certificate } })
  }
  const authority = { ...options, authorityHost: url, disableInstanceDiscovery: true }
  const wires: Wiring = {
    options: { ...options, disableChallengeResourceVerification: true },
    credential: new ClientSecretCredential(tenantId, clientId, Redacted.value(clientSecret), authority),
    wrongCredential: new ClientSecretCredential(tenantId, clientId, "fake-secret-wrong+/=", authority)
  }
  return wires
})
