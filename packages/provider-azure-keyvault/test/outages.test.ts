// Outages of Entra ID, with the default settings and several reads in a row. They must look neither like a missing
// identity, which would cause an older secret to be used, nor like a rejected credential.
import { ClientSecretCredential } from "@azure/identity"
import { assert, describe, it } from "@effect/vitest"
import { SecretProvider, type SecretProviderError } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { FakeKeyVault, Fault } from "@effect-itwin/testing"
import { ConfigProvider, Duration, Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import {
  checkErrors,
  failing,
  fresh,
  name,
  type Outage,
  provider,
  read,
  recovered,
  secret,
  whileTimePasses
} from "./support.ts"

/** Returns the errors of three reads in a row while Entra ID has the fault. Then runs `after`. */
const readThree = (
  fault: Fault.Fault,
  change?: Parameters<typeof provider>[0],
  after: Effect.Effect<unknown, SecretProviderError.SecretProviderError, SecretProvider.SecretProvider> = Effect.void
) =>
  Effect.gen(function* () {
    const vault = yield* FakeKeyVault.FakeKeyVault
    yield* vault.setSecret(name, secret)
    yield* vault.script("POST /:tenant/oauth2/v2.0/token", Fault.forDuration(fault, "5 minutes"))
    return yield* Effect.gen(function* () {
      const errors = yield* Effect.all([failing, failing, failing])
      yield* TestClock.adjust("5 minutes")
      yield* after
      return errors
    }).pipe(Effect.provide(provider(change)))
  }).pipe(Effect.provide(fresh))

const secondsOf = (errors: ReadonlyArray<SecretProviderError.SecretProviderError>) =>
  errors.map(({ retryAfter }) => retryAfter && Duration.toSeconds(retryAfter))

/** An error in the format of Entra ID. */
const entraError = (status: number, error: string, code: number, headers: Readonly<Record<string, string>> = {}) =>
  Fault.respond({
    status,
    headers,
    body: { error, error_description: `AADSTS${code}: ${secret}`, error_codes: [code] }
  })

describe("KeyVaultSecretProvider with a client secret", () => {
  it.effect.each<Outage>([
    ["returns 429", Fault.rateLimit(), "Throttled", "Entra ID limits the rate of token requests (429)."],
    ["returns 429 with a code", entraError(429, "temporarily_unavailable", 90055), "Throttled", "(429)."],
    ["returns 500", Fault.html(500, secret), "Unavailable", "Entra ID returned 500."],
    [
      "returns 503 with a code",
      entraError(503, "temporarily_unavailable", 90033),
      "Unavailable",
      "Entra ID returned 503."
    ],
    [
      "says that it failed for now",
      entraError(400, "temporarily_unavailable", 90033),
      "Unavailable",
      "Entra ID failed for now. (AADSTS90033)"
    ],
    ["says that it limits the rate", entraError(400, "invalid_request", 90055), "Throttled", "(AADSTS90055)"],
    ["returns 503 with Retry-After", Fault.rateLimit(2, 503), "Unavailable", "Entra ID returned 503."],
    ["resets the connection", Fault.reset, "Unavailable", "Entra ID did not respond"],
    ["does not respond", Fault.hang, "Unavailable", "Entra ID did not respond"],
    ["cuts its response short", Fault.truncate, "Unavailable", "Entra ID returned 200 without a token"],
    ["is hidden by a portal's page", Fault.html(200, secret), "Unavailable", "without a token. Check for a proxy"],
    ["is hidden by a redirect", Fault.redirect("https://portal.example/"), "Unavailable", "Check for a proxy"],
    ["is hidden by a proxy's 403", Fault.html(403, secret), "Unavailable", "Check for a proxy in between."]
  ])("fails three reads alike when Entra ID %s, and then recovers", ([, fault, tag, text]) =>
    Effect.gen(function* () {
      checkErrors(yield* readThree(fault, undefined, recovered), tag, text)
    })
  )

  it.effect("returns the Retry-After of Entra ID in each of three reads", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(secondsOf(yield* readThree(Fault.rateLimit(30))), [30, 30, 30])
    })
  )

  it.effect.each<Outage>([
    ["an invalid client", entraError(401, "invalid_client", 7000215), "AccessDenied", "(AADSTS7000215)"],
    [
      "a rejection with Retry-After",
      entraError(400, "invalid_grant", 53003, { "retry-after": "9" }),
      "AccessDenied",
      "AADSTS53003"
    ],
    ["an unknown app", entraError(400, "unauthorized_client", 700016), "Misconfigured", "(AADSTS700016)"],
    [
      "a rejection without a code of its own",
      Fault.respond({ status: 401, body: { error: "invalid_client", error_description: secret } }),
      "AccessDenied",
      "Entra ID rejected the credential (invalid_client)."
    ]
  ])("fails three reads alike when Entra ID returns %s", ([, fault, tag, text]) =>
    Effect.gen(function* () {
      checkErrors(yield* readThree(fault, undefined, recovered), tag, text)
    })
  )

  it.effect("returns the secret in the same read when Entra ID has recovered at the second attempt", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* vault.script("POST /:tenant/oauth2/v2.0/token", Fault.once(Fault.html(503, secret)))
      const credentials = yield* whileTimePasses(Effect.provide(read, provider()))
      assert.strictEqual(Redacted.value(credentials.clientSecret), secret)
      assert.strictEqual((yield* vault.tokenRequests).length, 2)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("does not read the second provider while Entra ID is unavailable", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.script("POST /:tenant/oauth2/v2.0/token", Fault.always(Fault.html(503, secret)))
      const env = ConfigProvider.fromEnvRecord({ ITWIN_CLIENT_ID: "service-env", ITWIN_CLIENT_SECRET: secret })
      const either = provider().pipe(
        SecretProvider.layerOrElse(EnvSecretProvider.layer.pipe(Layer.provide(ConfigProvider.layer(env))))
      )
      checkErrors(yield* Effect.provide(Effect.all([failing, failing, failing]), either), "Unavailable", "503")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("fails with Unavailable when a given credential repeats a failure of Entra ID", () =>
    Effect.gen(function* () {
      const errors = yield* readThree(entraError(503, "temporarily_unavailable", 90033), (vault) => ({
        credential: new ClientSecretCredential(vault.tenantId, vault.clientId, Redacted.value(vault.clientSecret), {
          httpClient: vault.httpClient,
          retryOptions: { maxRetries: 0 }
        })
      }))
      assert.deepStrictEqual(
        errors.map(({ reason }) => reason._tag),
        ["Unavailable", "Unavailable", "Unavailable"]
      )
      assert.include(errors[2]?.message, "repeats that failure without a new request")
    })
  )
})

describe("KeyVaultSecretProvider with a given credential", () => {
  const thrown = new TypeError(`x is not a function: ${secret}`)
  it.effect.each<readonly [string, () => Promise<never>]>([
    [
      "throws",
      () => {
        throw thrown
      }
    ],
    ["rejects with", () => Promise.reject(thrown)]
  ])("fails with Defect, without the message, when a given credential %s a TypeError", ([, getToken]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.provide(
          read,
          provider(() => ({ credential: { getToken } }))
        )
      )
      assert.strictEqual(error.reason._tag, "Defect")
      assert.isFalse(error.isRetryable)
      assert.include(error.message, `reading ${name} threw a TypeError (at `)
      assert.include(error.message, "outages.test.ts")
      assert.notInclude(JSON.stringify(error) + error.message + error.stack, secret)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("fails with Unavailable when the fetch of a given credential fails", () =>
    Effect.gen(function* () {
      const cause = Object.assign(new Error(secret), { code: "ECONNREFUSED" })
      const getToken = () => Promise.reject(new TypeError("fetch failed", { cause }))
      const layer = provider(() => ({ credential: { getToken } }))
      const error = yield* whileTimePasses(Effect.flip(Effect.provide(read, layer)))
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.include(error.message, "The credential that the program provides did not respond. (ECONNREFUSED)")
    }).pipe(Effect.provide(fresh))
  )
})
