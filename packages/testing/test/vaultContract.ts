// The contract of the fake Key Vault with the Azure SDK, in process and on a socket.
import type { TokenCredential } from "@azure/identity"
import { SecretClient, type SecretClientOptions } from "@azure/keyvault-secrets"
import { assert, type Vitest } from "@effect/vitest"
import { FakeKeyVault, Fault, Journal } from "@effect-itwin/testing"
import { DateTime, Effect, type Layer, Redacted } from "effect"

const secret = "fake-secret-a+b/c="
const rotated = "fake-secret-d+e/f="

/** Describes the error of a rejected promise of the SDK. */
export interface Failure {
  readonly name: string
  readonly message: string
  readonly code?: string | undefined
  readonly statusCode?: number | undefined
  /** The envelope; the SDK calls the wire's `innererror` this. */
  readonly details?: { readonly error?: { readonly innerError?: { readonly code?: string } } }
}

const isFailure = (u: unknown): u is Failure => u instanceof Error

/** Returns the error of a promise that must be rejected. */
export const failure = (evaluate: () => Promise<unknown>): Effect.Effect<Failure> =>
  Effect.tryPromise({ try: evaluate, catch: (error) => error }).pipe(
    Effect.flip,
    Effect.flatMap((error) => (isFailure(error) ? Effect.succeed(error) : Effect.die(error))),
    Effect.catch(() => Effect.die(new Error("The promise resolved")))
  )

export const newest = (client: SecretClient, name: string): Effect.Effect<string | undefined> =>
  Effect.map(
    Effect.promise(() => client.getSecret(name)),
    ({ value }) => value
  )

/** Returns the requests to read a secret, oldest first. */
export const reads = (vault: FakeKeyVault.FakeKeyVault["Service"]) =>
  Effect.map(vault.journal, (entries) => Journal.filter(entries, { route: "GET /secrets/:name" }))

/** Describes how the SDK reaches a fake. */
export interface Wiring {
  readonly credential: TokenCredential
  /** The same with another client secret. */
  readonly wrongCredential: TokenCredential
  readonly options: SecretClientOptions
}

/** Adds a test that gets a separate vault, and a client of the SDK for it. */
export const makeVaultTest =
  <R>(
    test: Vitest.Tester<never>,
    served: Layer.Layer<FakeKeyVault.FakeKeyVault | R, unknown>,
    wiring: Effect.Effect<Wiring, never, FakeKeyVault.FakeKeyVault | R>
  ) =>
  (
    name: string,
    run: (
      vault: FakeKeyVault.FakeKeyVault["Service"],
      client: SecretClient,
      wiring: Wiring
    ) => Effect.Effect<unknown, unknown>
  ) =>
    test(name, () =>
      Effect.gen(function* () {
        const vault = yield* FakeKeyVault.FakeKeyVault
        const wires = yield* wiring
        yield* run(vault, new SecretClient(vault.vaultUrl, wires.credential, wires.options), wires)
      }).pipe(Effect.provide(served))
    )

export type VaultTest = ReturnType<typeof makeVaultTest>

export const vaultContract = (it: VaultTest) => {
  it("challenges the first read, and accepts the token from then on", (vault, client) =>
    Effect.gen(function* () {
      const version = yield* vault.setSecret("itwin", secret, { contentType: "text/plain", tags: { app: "a" } })
      const read = yield* Effect.promise(() => client.getSecret("itwin"))
      assert.strictEqual(read.value, secret)
      assert.deepInclude(read.properties, {
        id: `${vault.vaultUrl}/secrets/itwin/${version}`,
        name: "itwin",
        version,
        enabled: true,
        contentType: "text/plain",
        tags: { app: "a" }
      })
      assert.match(version, /^[0-9a-f]{32}$/)
      yield* newest(client, "itwin")
      assert.deepStrictEqual(
        (yield* reads(vault)).map(({ path, clientId, status, outcome }) => [path, clientId, status, outcome]),
        [
          ["/secrets/itwin/", undefined, 401, "challenge"],
          ["/secrets/itwin/", vault.clientId, 200, "ok"],
          ["/secrets/itwin/", vault.clientId, 200, "ok"]
        ]
      )
    }))

  it("serves a new version at once, and the old one by its id", (vault, client) =>
    Effect.gen(function* () {
      const first = yield* vault.setSecret("itwin", secret)
      assert.strictEqual(yield* newest(client, "itwin"), secret)
      const second = yield* vault.setSecret("itwin", Redacted.make(rotated))
      assert.strictEqual(yield* newest(client, "itwin"), rotated)
      const old = yield* Effect.promise(() => client.getSecret("itwin", { version: first }))
      assert.strictEqual(old.value, secret)
      assert.notStrictEqual(first, second)
      assert.strictEqual((yield* vault.journal).at(-1)?.path, `/secrets/itwin/${first}`)
    }))

  it("refuses a disabled newest version, and does not fall back to an older one", (vault, client) =>
    Effect.gen(function* () {
      const first = yield* vault.setSecret("itwin", secret)
      yield* vault.setSecret("itwin", rotated)
      yield* vault.disableVersion("itwin")
      const error = yield* failure(() => client.getSecret("itwin"))
      assert.strictEqual(error.statusCode, 403)
      assert.strictEqual(error.details?.error?.innerError?.code, "SecretDisabled")
      const old = yield* Effect.promise(() => client.getSecret("itwin", { version: first }))
      assert.strictEqual(old.value, secret)
      yield* vault.enableVersion("itwin")
      assert.strictEqual(yield* newest(client, "itwin"), rotated)
    }))

  it("returns an expired and a not yet valid secret, with its times", (vault, client) =>
    Effect.gen(function* () {
      const past = DateTime.makeUnsafe("2001-02-03T04:05:06Z")
      const future = DateTime.makeUnsafe("2999-01-01T00:00:00Z")
      yield* vault.setSecret("itwin", secret, { expiresAt: past, notBefore: future })
      const { value, properties } = yield* Effect.promise(() => client.getSecret("itwin"))
      assert.strictEqual(value, secret)
      assert.strictEqual(properties.expiresOn?.getTime(), past.epochMilliseconds)
      assert.strictEqual(properties.notBefore?.getTime(), future.epochMilliseconds)
    }))

  it("returns 404 for an absent or a deleted secret, and for an absent version", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      yield* vault.setSecret("deleted", secret)
      yield* vault.deleteSecret("deleted")
      for (const read of [
        () => client.getSecret("absent"),
        () => client.getSecret("deleted"),
        () => client.getSecret("itwin", { version: "0".repeat(32) })
      ]) {
        const error = yield* failure(read)
        assert.strictEqual(error.statusCode, 404)
        assert.strictEqual(error.code, "SecretNotFound")
      }
    }))

  it("denies reads with each inner code until the test allows them", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      for (const inner of ["ForbiddenByRbac", "ForbiddenByPolicy", "ForbiddenByFirewall"] as const) {
        yield* vault.deny(inner)
        const error = yield* failure(() => client.getSecret("itwin"))
        assert.strictEqual(error.statusCode, 403)
        assert.strictEqual(error.code, "Forbidden")
        assert.strictEqual(error.details?.error?.innerError?.code, inner)
        assert.strictEqual((yield* vault.journal).at(-1)?.outcome, inner)
      }
      yield* vault.allow
      assert.strictEqual(yield* newest(client, "itwin"), secret)
    }))

  it("refuses a token for another audience, of another issuer, made up, or revoked", (vault, client, { options }) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      const refused = (token: Redacted.Redacted, outcome: string) =>
        Effect.gen(function* () {
          const credential = {
            getToken: () => Promise.resolve({ token: Redacted.value(token), expiresOnTimestamp: 8.64e15 })
          }
          const other = new SecretClient(vault.vaultUrl, credential, options)
          const error = yield* failure(() => other.getSecret("itwin"))
          assert.strictEqual(error.statusCode, 401)
          assert.deepInclude((yield* vault.journal).at(-1), { status: 401, outcome })
          return error.message
        })
      const audience = yield* vault.issueToken({ audience: "https://graph.microsoft.com" })
      assert.include(yield* refused(audience, "AKV10022"), "AKV10022")
      const issuer = yield* vault.issueToken({ tenantId: "00000000-0000-4000-8000-000000000000" })
      assert.include(yield* refused(issuer, "AKV10032"), "AKV10032")
      yield* refused(Redacted.make("made.up.token"), "InvalidToken")
      const token = yield* vault.issueToken()
      yield* vault.revokeTokens
      yield* refused(token, "TokenExpired")
      assert.strictEqual(yield* newest(client, "itwin"), secret)
    }))

  it("returns no token when the client secret is wrong", (vault, _client, { wrongCredential, options }) =>
    Effect.gen(function* () {
      const client = new SecretClient(vault.vaultUrl, wrongCredential, options)
      const error = yield* failure(() => client.getSecret("itwin"))
      assert.strictEqual(error.name, "AuthenticationRequiredError")
      assert.include(error.message, "AADSTS7000215")
      assert.deepInclude((yield* vault.tokenRequests).at(-1), {
        route: "POST /:tenant/oauth2/v2.0/token",
        clientId: vault.clientId,
        authentication: "client_secret_post",
        status: 401,
        outcome: "AADSTS7000215",
        explanation: "The client secret is not the app's."
      })
    }))

  it("applies a script at the token endpoint", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      yield* vault.script("POST /:tenant/oauth2/v2.0/token", Fault.once(Fault.html(503, "Service unavailable")))
      yield* failure(() => client.getSecret("itwin"))
      yield* vault.verify
      assert.deepInclude((yield* vault.tokenRequests)[0], { status: 503, fault: "Respond", outcome: "fault" })
    }))

  it("rejects the token when the client follows the challenge of another vault", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setChallenge({ resource: "https://evil.example" })
      yield* failure(() => client.getSecret("itwin"))
      assert.isTrue((yield* reads(vault)).every(({ status }) => status === 401))
    }))

  it("returns 429 without Retry-After when it throttles", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      yield* vault.script("GET /secrets/:name", Fault.times(FakeKeyVault.throttled, 2))
      for (const _ of [1, 2]) {
        const error = yield* failure(() => client.getSecret("itwin"))
        assert.strictEqual(error.statusCode, 429)
        assert.strictEqual(error.code, "Throttled")
      }
      assert.strictEqual(yield* newest(client, "itwin"), secret)
      yield* vault.verify
      assert.deepInclude((yield* reads(vault))[1], { fault: "Respond", outcome: "fault" })
    }))

  it("truncates a 200, and the SDK's error shows the part that arrived", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      yield* vault.script("GET /secrets/:name", Fault.once(Fault.truncate))
      const error = yield* failure(() => client.getSecret("itwin"))
      assert.strictEqual(error.code, "PARSE_ERROR")
      // This is why a provider must not attach an error of the SDK.
      assert.include(error.message, secret)
    }))

  it("resets the connection before the answer, and in the middle of its body", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      yield* vault.script("GET /secrets/:name", Fault.once(Fault.reset), Fault.once(Fault.resetAmidBody))
      const before = yield* failure(() => client.getSecret("itwin"))
      assert.deepInclude({ ...before, name: before.name }, { name: "RestError", code: "ECONNRESET" })
      const within = yield* failure(() => client.getSecret("itwin"))
      // The SDK reports one or the other, depending on whether half of the body came before the reset.
      assert.strictEqual(within.name, "RestError")
      assert.include(["PARSE_ERROR", "ECONNRESET"], Reflect.get(within, "code"))
      assert.strictEqual(yield* newest(client, "itwin"), secret)
    }))

  it("hangs or stalls until the caller aborts", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      yield* newest(client, "itwin")
      yield* vault.script("GET /secrets/:name", Fault.once(Fault.hang), Fault.once(Fault.stall))
      for (const count of [3, 4]) {
        const controller = new AbortController()
        const reading = client.getSecret("itwin", { abortSignal: controller.signal })
        const failed = failure(() => reading)
        yield* Effect.all(
          [
            failed,
            Effect.andThen(
              vault.awaitRequest("GET /secrets/:name", count),
              Effect.sync(() => controller.abort())
            )
          ],
          {
            concurrency: 2
          }
        ).pipe(Effect.map(([error]) => assert.strictEqual(error.name, "AbortError")))
      }
      assert.strictEqual(yield* newest(client, "itwin"), secret)
    }))

  it("serves two requests for each of ten concurrent first reads, because the SDK shares none", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      const values = yield* Effect.all(
        Array.from({ length: 10 }, () => newest(client, "itwin")),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(values), new Set([secret]))
      const journal = yield* reads(vault)
      assert.strictEqual(journal.length, 20)
      assert.strictEqual(journal.filter(({ outcome }) => outcome === "challenge").length, 10)
    }))

  it("shows no secret and no token in its journal", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      yield* newest(client, "itwin")
      const text = JSON.stringify(yield* vault.journal)
      assert.notInclude(text, secret)
      assert.notInclude(text, Redacted.value(vault.clientSecret))
      assert.notInclude(text, "eyJ")
    }))
}
