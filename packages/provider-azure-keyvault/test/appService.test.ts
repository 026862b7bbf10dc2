// In its own file, and so in its own process, because MSAL chooses the metadata service once.
import { it } from "@effect/vitest"
import { afterAll, beforeAll, vi } from "vitest"
import { readThroughMetadataOutages } from "./support.ts"

beforeAll(() => {
  vi.stubEnv("IDENTITY_ENDPOINT", "http://169.254.169.254/metadata/identity/oauth2/token")
  vi.stubEnv("IDENTITY_HEADER", "fake-secret-header+/=")
})
afterAll(() => {
  vi.unstubAllEnvs()
})

it.effect(
  "fails three reads alike in each outage of the metadata service, and then recovers, on App Service",
  () => readThroughMetadataOutages
)
