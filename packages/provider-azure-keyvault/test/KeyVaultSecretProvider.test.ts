import { ChainedTokenCredential, CredentialUnavailableError } from "@azure/identity"
import { assert, describe, it } from "@effect/vitest"
import { ITwin, SecretProvider, Users } from "@effect-itwin/core"
import { KeyVaultCredential, KeyVaultSecretProvider } from "@effect-itwin/provider-azure-keyvault"
import * as TestTransport from "@effect-itwin/provider-azure-keyvault/TestTransport"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { FakeIms, FakeKeyVault, Fault, SecretProviderContract } from "@effect-itwin/testing"
import { Cause, ConfigProvider, DateTime, Duration, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  credentialOf,
  fresh,
  logged,
  name,
  once,
  provider,
  read,
  reads,
  reason,
  secret,
  settle,
  whileTimePasses
} from "./support.ts"

/** Returns the defect with which building the layer dies. */
const defectOf = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  Effect.scoped(Effect.exit(Layer.build(layer))).pipe(
    Effect.map((exit) => (Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined))
  )

const backend = (
  layer: ReturnType<typeof provider>,
  set: (clientId: string, clientSecret: string) => Effect.Effect<unknown, unknown, FakeKeyVault.FakeKeyVault>
): SecretProviderContract.Backend<FakeKeyVault.FakeKeyVault> => {
  const vault = <A>(
    use: (vault: FakeKeyVault.FakeKeyVault["Service"]) => Effect.Effect<A>
  ): Effect.Effect<A, never, FakeKeyVault.FakeKeyVault> => Effect.flatMap(FakeKeyVault.FakeKeyVault, use)
  return {
    backend: fresh,
    layer,
    set: ({ clientId, clientSecret }) => set(clientId, Redacted.value(clientSecret)),
    rotate: ({ clientId, clientSecret }) => set(clientId, Redacted.value(clientSecret)),
    remove: vault((_) => _.deleteSecret(name)),
    disable: vault((_) => _.disableVersion(name)),
    deny: vault((_) => _.deny("ForbiddenByRbac")),
    throttle: vault((_) => _.script("GET /secrets/:name", Fault.always(FakeKeyVault.throttled))),
    makeUnavailable: vault((_) => _.script("GET /secrets/:name", Fault.always(Fault.reset))),
    setRaw: (clientSecret) => set("service-contract", clientSecret)
  }
}

describe("KeyVaultSecretProvider: the contract of secret providers", () => {
  const separate = backend(
    provider(once, { clientId: { secret: "itwin-client-id" }, clientSecret: name }),
    (clientId, clientSecret) =>
      Effect.flatMap(FakeKeyVault.FakeKeyVault, (vault) =>
        Effect.andThen(vault.setSecret("itwin-client-id", clientId), vault.setSecret(name, clientSecret))
      )
  )
  const json = backend(provider(once, { json: name }), (clientId, clientSecret) =>
    Effect.flatMap(FakeKeyVault.FakeKeyVault, (vault) =>
      vault.setSecret(name, JSON.stringify({ clientId, clientSecret }))
    )
  )
  for (const { name, run } of SecretProviderContract.cases(separate)) it.effect(`${name}: two secrets`, () => run)
  for (const { name, run } of SecretProviderContract.cases(json)) it.effect(`${name}: one secret as JSON`, () => run)
})

describe("KeyVaultSecretProvider: reads", () => {
  it.effect("returns the newest version of a secret, with its id and its expiry", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const expiresAt = DateTime.makeUnsafe("2030-01-02T03:04:05Z")
      const version = yield* vault.setSecret(name, secret, { expiresAt })
      const credentials = yield* Effect.provide(read, provider())
      assert.strictEqual(credentials.clientId, "service-1")
      assert.strictEqual(Redacted.value(credentials.clientSecret), secret)
      assert.strictEqual(credentials.version, version)
      assert.strictEqual(credentials.expiresAt?.epochMilliseconds, expiresAt.epochMilliseconds)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("returns the named version when there is a newer one", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const version = yield* vault.setSecret(name, secret)
      yield* vault.setSecret(name, "fake-secret-newer+/=")
      const pinned = provider(undefined, {
        clientId: { literal: "service-1" },
        clientSecret: { secret: name, version }
      })
      assert.strictEqual(Redacted.value((yield* Effect.provide(read, pinned)).clientSecret), secret)
      yield* vault.disableVersion(name, version)
      const error = yield* Effect.provide(reason, pinned)
      assert.strictEqual(error._tag, "Disabled")
      assert.include(error.message, `${name}/${version} is disabled. This version is disabled`)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("returns both values of a secret that holds them as JSON", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const version = yield* vault.setSecret(
        "itwin-app",
        `{"clientId":"service-2","clientSecret":"${secret}","other":1}\n`
      )
      const credentials = yield* Effect.provide(read, provider(undefined, { json: "itwin-app" }))
      assert.strictEqual(credentials.clientId, "service-2")
      assert.strictEqual(Redacted.value(credentials.clientSecret), secret)
      assert.strictEqual(credentials.version, version)
    }).pipe(Effect.provide(fresh))
  )

  it.effect.each([
    ["not JSON", secret, "Store JSON in it"],
    ["JSON of something else", `["${secret}"]`, "Store JSON in it"],
    ["JSON with a padded secret", `{"clientId":"service-1","clientSecret":" ${secret}"}`, "(clientSecret)"],
    ["JSON with both swapped", `{"clientId":"${secret}","clientSecret":"service-1"}`, "swapped"]
  ] as const)("fails with InvalidSecret when the JSON secret is %s", ([, value, text]) =>
    Effect.gen(function* () {
      yield* (yield* FakeKeyVault.FakeKeyVault).setSecret(name, value)
      const error = yield* Effect.provide(reason, provider(undefined, { json: name }))
      assert.strictEqual(error._tag, "InvalidSecret")
      assert.include(error.message, text)
      assert.notInclude(error.message, secret)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("drops the one trailing newline of a value, and no other white space", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      for (const newline of ["\n", "\r\n"]) {
        yield* vault.setSecret(name, secret + newline)
        assert.strictEqual(Redacted.value((yield* Effect.provide(read, provider())).clientSecret), secret)
      }
      for (const value of [
        `${secret}\n\n`,
        ` ${secret}`,
        `${secret} `,
        "\n",
        " ",
        "",
        `${secret}é`,
        secret.repeat(57)
      ]) {
        yield* vault.setSecret(name, value)
        assert.strictEqual((yield* Effect.provide(reason, provider()))._tag, "InvalidSecret")
      }
    }).pipe(Effect.provide(fresh))
  )

  it.effect.each([
    ["UTF-16 text with a byte order mark", `\uFEFF${secret}`],
    ["UTF-16 text that was uploaded as bytes", `${[...secret].join("\0")}\0`]
  ] as const)("fails with InvalidSecret and advice when the value is %s", ([, value]) =>
    Effect.gen(function* () {
      yield* (yield* FakeKeyVault.FakeKeyVault).setSecret(name, value)
      const error = yield* Effect.provide(reason, provider())
      assert.strictEqual(error._tag, "InvalidSecret")
      assert.include(error.message, "The value is UTF-16 text")
    }).pipe(Effect.provide(fresh))
  )

  it.effect.each([
    ["another secret", "other", undefined],
    ["another version than the named one", name, "0123456789abcdef0123456789abcdef"]
  ] as const)("fails with InvalidSecret and advice when the vault returns the id of %s", ([, other, version]) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const stored = yield* vault.setSecret(name, secret)
      const id = `https://fake-vault.vault.azure.net/secrets/${other}/${version ?? stored}`
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.fields({ id })))
      const clientSecret = { secret: name, version: version === undefined ? undefined : stored }
      const ids = { clientId: { literal: "service-1" }, clientSecret }
      const error = yield* Effect.provide(reason, provider(undefined, ids))
      assert.strictEqual(error._tag, "InvalidSecret")
      assert.include(error.message, "returned another secret, or another version, than the requested one")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("returns a secret when the vault writes its name in other case", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const version = yield* vault.setSecret(name, secret)
      const id = `https://fake-vault.vault.azure.net/secrets/${name.toUpperCase()}/${version}`
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.fields({ id })))
      assert.strictEqual((yield* Effect.provide(read, provider())).version, version)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("returns no version when it is not 32 hexadecimal digits, because it may be the secret", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      for (const version of [secret.replaceAll("/", ""), "words", "0".repeat(31)]) {
        const id = `https://fake-vault.vault.azure.net/secrets/${name}/${encodeURIComponent(version)}`
        yield* vault.script("GET /secrets/:name", Fault.always(Fault.fields({ id })))
        assert.isUndefined((yield* Effect.provide(read, provider())).version)
      }
    }).pipe(Effect.provide(fresh))
  )

  it.effect("fails with Disabled and advice when the vault returns a secret that is not enabled", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.fields({ attributes: { enabled: false } })))
      const error = yield* Effect.provide(reason, provider())
      assert.strictEqual(error._tag, "Disabled")
      assert.include(error.message, "Enable it, or store a new version.")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("reads with the services of the layer, not with those of the first caller", () =>
    Effect.gen(function* () {
      yield* (yield* FakeKeyVault.FakeKeyVault).setSecret(name, secret)
      const [own, caller] = [logged(), logged()]
      yield* Effect.provide(read, caller.layer).pipe(Effect.provide(provider().pipe(Layer.provide(own.layer))))
      assert.deepStrictEqual([own.lines.length, caller.lines.length], [1, 0])
    }).pipe(Effect.provide(fresh))
  )

  it.effect.each([1e15, -1e15, "abc", null, 0, "", {}])("returns a secret when its date is invalid: exp is %j", (exp) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.fields({ attributes: { enabled: true, exp } })))
      const credentials = yield* Effect.provide(read, provider(once))
      assert.strictEqual(Redacted.value(credentials.clientSecret), secret)
      assert.isUndefined(credentials.expiresAt)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("makes one call for all concurrent readers, and another for a later reader", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* Effect.gen(function* () {
        yield* Effect.all(
          Array.from({ length: 20 }, () => read),
          { concurrency: "unbounded" }
        )
        assert.strictEqual((yield* reads(vault)).filter(({ outcome }) => outcome === "ok").length, 1)
        yield* read
        assert.strictEqual((yield* reads(vault)).filter(({ outcome }) => outcome === "ok").length, 2)
      }).pipe(Effect.provide(provider()))
      assert.strictEqual((yield* vault.tokenRequests).length, 1)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("goes on when one of several readers is interrupted, and aborts the call when all are", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* Effect.gen(function* () {
        yield* vault.script("GET /secrets/:name", Fault.once(Fault.delay("1 second")), Fault.once(Fault.hang))
        const [first, second] = yield* Effect.all([Effect.forkChild(read), Effect.forkChild(read)])
        yield* vault.awaitRequest("GET /secrets/:name", 2)
        yield* Fiber.interrupt(first)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(Redacted.value((yield* Fiber.join(second)).clientSecret), secret)

        const all = yield* Effect.all([Effect.forkChild(read), Effect.forkChild(read)])
        yield* vault.awaitRequest("GET /secrets/:name", 4)
        yield* Effect.forEach(all, Fiber.interrupt)
        yield* settle
        assert.deepInclude((yield* reads(vault))[3], { fault: "Hang", status: undefined })
        // A later reader does not wait for the aborted call.
        assert.strictEqual(Redacted.value((yield* read).clientSecret), secret)
      }).pipe(Effect.provide(provider()))
    }).pipe(Effect.provide(fresh))
  )

  it.effect("fails pending and later reads when the layer is closed", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.hang))
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(provider(), scope)
      const waiting = yield* Effect.forkChild(Effect.provide(Effect.flip(read), context))
      yield* vault.awaitRequest("GET /secrets/:name", 2)
      yield* Scope.close(scope, Exit.void)
      assert.include((yield* Fiber.join(waiting)).message, "closed")
      assert.include((yield* Effect.provide(Effect.flip(read), context)).message, "closed")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("provides the credentials to ITwin.layer", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const vault = yield* FakeKeyVault.FakeKeyVault
      const { credentials } = yield* fake.registerApp({ name: "From the vault" })
      yield* vault.setSecret(name, credentials.clientSecret)
      const secrets = provider(undefined, { clientId: { literal: credentials.clientId }, clientSecret: name })
      const me = yield* Effect.provide(Users.me, ITwin.layer.pipe(Layer.provide(secrets)))
      assert.strictEqual(me.givenName, "From the vault")
    }).pipe(Effect.provide([fresh, FakeIms.layerTest()]))
  )
})

describe("KeyVaultSecretProvider: retries", () => {
  it.effect.each([
    ["429 without Retry-After", FakeKeyVault.throttled],
    ["503", Fault.html(503, "Service unavailable")],
    ["500", Fault.respond({ status: 500, body: { error: { code: "InternalServerError", message: "x" } } })],
    ["a reset", Fault.reset],
    ["a reset within the body", Fault.resetAmidBody],
    ["a truncated answer", Fault.truncate],
    ["a timeout", Fault.hang],
    ["a stalled body", Fault.stall]
  ] as const)("retries after %s", ([, fault]) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* vault.script("GET /secrets/:name", Fault.once(fault))
      const credentials = yield* whileTimePasses(Effect.provide(read, provider()))
      assert.strictEqual(Redacted.value(credentials.clientSecret), secret)
      yield* vault.verify
      // One client for all attempts: one challenge, and one token.
      assert.strictEqual((yield* reads(vault)).filter(({ outcome }) => outcome === "challenge").length, 1)
      assert.strictEqual((yield* vault.tokenRequests).length, 1)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("retries not before the Retry-After of the vault has passed", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* vault.script("GET /secrets/:name", Fault.once(Fault.rateLimit(3)), Fault.once(Fault.rateLimit(2, 503)))
      yield* whileTimePasses(Effect.provide(read, provider()))
      const [, first, second, third] = yield* reads(vault)
      assert.isAtLeast((second?.at ?? 0) - (first?.at ?? 0), 3000)
      assert.isAtLeast((third?.at ?? 0) - (second?.at ?? 0), 2000)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("does not retry after a Retry-After that is too long, and returns it, up to 15 minutes", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      for (const [seconds, said] of [
        [30, 30],
        [86_400, 900]
      ] as const) {
        yield* vault.script("GET /secrets/:name", Fault.once(Fault.rateLimit(seconds)))
        const error = yield* Effect.provide(reason, provider())
        assert.strictEqual(error._tag, "Throttled")
        if (error._tag === "Throttled") {
          assert.deepStrictEqual(error.retryAfter && Duration.toSeconds(error.retryAfter), said)
        }
      }
      yield* vault.verify
    }).pipe(Effect.provide(fresh))
  )

  it.effect("makes four attempts at most, and fails with the last failure", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.script("GET /secrets/:name", Fault.always(FakeKeyVault.throttled))
      const error = yield* whileTimePasses(Effect.provide(reason, provider()))
      assert.strictEqual(error._tag, "Throttled")
      assert.strictEqual((yield* reads(vault)).filter(({ outcome }) => outcome === "fault").length, 4)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("ends a read after 9 seconds, and each attempt after 4", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.hang))
      const error = yield* whileTimePasses(Effect.provide(reason, provider()))
      assert.strictEqual(error._tag, "Unavailable")
      assert.include(error.message, "fake-vault.vault.azure.net did not respond within 4 s")
      yield* settle
      const attempts = (yield* reads(vault)).slice(1)
      assert.strictEqual(attempts.length, 2)
      assert.isTrue(attempts.every(({ fault, status }) => fault === "Hang" && status === undefined))
    }).pipe(Effect.provide(fresh))
  )

  it.effect("aborts the call of an attempt that timed out", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const signals: Array<{ readonly aborted: boolean } | undefined> = []
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.hang))
      const layer = KeyVaultSecretProvider.layer({
        vaultUrl: vault.vaultUrl,
        clientId: { literal: "service-1" },
        clientSecret: name,
        credential: credentialOf(vault)
      }).pipe(
        Layer.provide(
          TestTransport.layer({
            httpClient: {
              sendRequest: (request) => {
                if (request.headers.has("authorization")) signals.push(request.abortSignal)
                return vault.httpClient.sendRequest(request)
              }
            }
          })
        )
      )
      yield* whileTimePasses(Effect.provide(reason, layer))
      assert.deepStrictEqual(
        signals.map((signal) => signal?.aborted),
        [true, true]
      )
    }).pipe(Effect.provide(fresh))
  )

  it.effect("retries with the token of the first attempt", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* vault.script("GET /secrets/:name", Fault.times(Fault.html(503, "x"), 2))
      const token = Redacted.value(yield* vault.issueToken())
      let asked = 0
      // The SDK uses the clock of the machine, and renews two minutes before expiry.
      const soon = Date.now() + 60_000
      const credential = {
        getToken: () =>
          ++asked === 1 ? Promise.resolve({ token, expiresOnTimestamp: soon }) : Promise.reject(new Error("not again"))
      }
      yield* whileTimePasses(
        Effect.provide(
          read,
          provider(() => ({ credential }))
        )
      )
      assert.strictEqual(asked, 1)
    }).pipe(Effect.provide(fresh))
  )

  it.effect.each([{ attempts: undefined, attemptTimeout: undefined }, { totalTimeout: undefined }, {}, undefined])(
    "retries by default when the options are %o",
    (retry) =>
      Effect.gen(function* () {
        const vault = yield* FakeKeyVault.FakeKeyVault
        yield* vault.script("GET /secrets/:name", Fault.always(Fault.hang))
        const error = yield* whileTimePasses(
          Effect.provide(
            reason,
            provider(() => ({ retry }))
          )
        )
        assert.include(error.message, "did not respond within 4 s")
        yield* settle
        assert.strictEqual((yield* reads(vault)).length, 3)
      }).pipe(Effect.provide(fresh))
  )

  it.effect.each([Duration.infinity, Duration.days(30)])("sets no timer that Node can't keep: %s", (attemptTimeout) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      const timeouts: Array<number> = []
      const layer = KeyVaultSecretProvider.layer({
        vaultUrl: vault.vaultUrl,
        clientId: { literal: "service-1" },
        clientSecret: name,
        credential: credentialOf(vault),
        retry: { attemptTimeout, totalTimeout: attemptTimeout }
      }).pipe(
        Layer.provide(
          TestTransport.layer({
            httpClient: {
              sendRequest: (request) => {
                timeouts.push(request.timeout)
                return vault.httpClient.sendRequest(request)
              }
            }
          })
        )
      )
      assert.strictEqual(Redacted.value((yield* Effect.provide(read, layer)).clientSecret), secret)
      assert.strictEqual(Math.max(...timeouts), 2 ** 31 - 1)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("does not retry a failure that a retry can't cure", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.deny("ForbiddenByFirewall")
      yield* Effect.provide(reason, provider())
      assert.strictEqual((yield* reads(vault)).length, 2)
    }).pipe(Effect.provide(fresh))
  )
})

describe("KeyVaultSecretProvider: failures", () => {
  type Vault = FakeKeyVault.FakeKeyVault["Service"]
  const failures: ReadonlyArray<
    readonly [what: string, prepare: (vault: Vault) => Effect.Effect<unknown>, tag: string, text: string]
  > = [
    ["an absent secret", (_) => Effect.void, "NotFound", "Manage deleted secrets"],
    [
      "a deleted secret",
      (_) => Effect.andThen(_.setSecret(name, secret), _.deleteSecret(name)),
      "NotFound",
      "can be recovered"
    ],
    [
      "a disabled newest version",
      (_) =>
        Effect.andThen(
          _.setSecret(name, secret),
          Effect.andThen(_.setSecret(name, "fake-secret-new+/="), _.disableVersion(name))
        ),
      "Disabled",
      "newest version is disabled, and fake-vault.vault.azure.net does not return an older one"
    ],
    ["no role", (_) => _.deny("ForbiddenByRbac"), "AccessDenied", 'role "Key Vault Secrets User"'],
    ["no access policy", (_) => _.deny("ForbiddenByPolicy"), "AccessDenied", "access policies"],
    ["the firewall", (_) => _.deny("ForbiddenByFirewall"), "AccessDenied", "firewall"],
    [
      "a 403 of another kind",
      (_) => _.script("GET /secrets/:name", Fault.always(Fault.html(403, secret))),
      "AccessDenied",
      "Key Vault Secrets User"
    ],
    [
      "a bad request",
      (_) => _.script("GET /secrets/:name", Fault.always(Fault.html(400, secret))),
      "Misconfigured",
      "returned 400, which a Key Vault never does for a read. Check that vaultUrl is the URL of a Key Vault."
    ],
    [
      "no vault there",
      (_) => _.script("GET /secrets/:name", Fault.always(Fault.html(404, secret))),
      "Misconfigured",
      "returned 404, which a Key Vault never does"
    ],
    [
      "a redirect",
      (_) => _.script("GET /secrets/:name", Fault.always(Fault.redirect("https://evil.example/"))),
      "Misconfigured",
      "redirects (302)"
    ],
    [
      "a redirect within the host",
      (_) =>
        Effect.andThen(
          _.setSecret("other", secret),
          _.script("GET /secrets/:name", Fault.once(Fault.redirect("/secrets/other?api-version=7.6")))
        ),
      "Misconfigured",
      "redirects (302)"
    ],
    [
      "a portal's page",
      (_) => _.script("GET /secrets/:name", Fault.always(Fault.html(200, secret))),
      "Unavailable",
      "proxy in between"
    ],
    [
      "no value",
      (_) =>
        Effect.andThen(_.setSecret(name, secret), _.script("GET /secrets/:name", Fault.always(Fault.omit("value")))),
      "Unavailable",
      "no value"
    ],
    ...[5, null, { a: secret }, [secret], true].map((value): (typeof failures)[number] => [
      `a value that is no text: ${JSON.stringify(value)}`,
      (_) =>
        Effect.andThen(
          _.setSecret(name, secret),
          _.script("GET /secrets/:name", Fault.always(Fault.fields({ value })))
        ),
      "Unavailable",
      "no value"
    ]),
    [
      "a challenge to another host",
      (_) => _.setChallenge({ resource: "https://evil.example" }),
      "Misconfigured",
      "so none was sent"
    ],
    [
      "a tenant that is not the vault's",
      (_) =>
        _.setChallenge({ authorization: "https://login.microsoftonline.com/00000000-0000-4000-8000-000000000000" }),
      "Misconfigured",
      "wrong tenant"
    ],
    [
      "an outage of Entra ID",
      (_) => _.script("POST /:tenant/oauth2/v2.0/token", Fault.always(Fault.html(503, secret))),
      "Unavailable",
      "Entra ID returned 503"
    ],
    [
      "a rate limit of Entra ID",
      (_) => _.script("POST /:tenant/oauth2/v2.0/token", Fault.always(Fault.rateLimit(3))),
      "Throttled",
      "429"
    ],
    [
      "no connection to Entra ID",
      (_) => _.script("POST /:tenant/oauth2/v2.0/token", Fault.always(Fault.reset)),
      "Unavailable",
      "Entra ID did not respond"
    ],
    [
      "an expired secret at Entra ID",
      (_) =>
        _.script(
          "POST /:tenant/oauth2/v2.0/token",
          Fault.always(
            Fault.respond({
              status: 401,
              body: { error: "invalid_client", error_description: `AADSTS7000222: expired ${secret}` }
            })
          )
        ),
      "AccessDenied",
      "expired. Create a new one, and set AZURE_CLIENT_SECRET. (AADSTS7000222)"
    ],
    [
      "a refusal of Entra ID that it does not know",
      (_) =>
        _.script(
          "POST /:tenant/oauth2/v2.0/token",
          Fault.always(
            Fault.respond({
              status: 400,
              body: { error: "invalid_grant", error_description: `AADSTS53003: blocked ${secret}` }
            })
          )
        ),
      "AccessDenied",
      "error?code=53003"
    ]
  ]

  it.effect.each(failures)("says what to do about %s", ([, prepare, tag, text]) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* prepare(vault)
      const error = yield* Effect.provide(reason, provider(once))
      assert.strictEqual(error._tag, tag)
      assert.include(error.message, text)
      assert.notInclude(error.message, secret)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("says what to do about a wrong secret, an unknown app, and a token for another tenant or service", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const { tenantId, clientId } = vault
      const token = (options?: { audience?: string; tenantId?: string }) =>
        Effect.map(vault.issueToken(options), (token) => ({
          getToken: () => Promise.resolve({ token: Redacted.value(token), expiresOnTimestamp: 8.64e15 })
        }))
      const wrong = Redacted.make("fake-secret-wrong+/=")
      for (const [credential, tag, text] of [
        [
          KeyVaultCredential.clientSecret({ tenantId, clientId, clientSecret: wrong }),
          "AccessDenied",
          "is wrong. Set AZURE_CLIENT_SECRET to its value, not to its id. (AADSTS7000215)"
        ],
        [
          KeyVaultCredential.clientSecret({ tenantId, clientId: "other", clientSecret: wrong }),
          "Misconfigured",
          "AADSTS700016"
        ],
        [
          yield* token({ tenantId: "00000000-0000-4000-8000-000000000000" }),
          "AccessDenied",
          "(wrong tenant). Correct AZURE_TENANT_ID, or log in to that tenant. (AKV10032)"
        ],
        [yield* token({ audience: "https://graph.microsoft.com" }), "AccessDenied", "AKV10022"],
        [{ getToken: () => Promise.resolve({ token: "x", expiresOnTimestamp: 8.64e15 }) }, "AccessDenied", "(401)"],
        [{ getToken: () => Promise.resolve(null) }, "Unavailable", "credential that the program provides"],
        [{ getToken: () => Promise.reject(new Error(secret)) }, "Unavailable", "provides failed"],
        [{ getToken: () => Promise.reject(null) }, "Unavailable", "provides failed"],
        [
          {
            getToken: () => {
              throw new Error(secret)
            }
          },
          "Unavailable",
          "provides failed"
        ]
      ] as const) {
        const error = yield* Effect.provide(
          reason,
          provider(() => ({ credential, ...once(vault) }))
        )
        assert.strictEqual(`${error._tag} ${text}`, `${tag} ${text}`)
        assert.include(error.message, text)
        assert.notMatch(error.message, /fake-secret-/)
      }
    }).pipe(Effect.provide(fresh))
  )

  it.effect("says which credentials were tried when none has a token", () =>
    Effect.gen(function* () {
      const unavailable = { getToken: () => Promise.reject(new CredentialUnavailableError("AzureCliCredential: no")) }
      const chain = new ChainedTokenCredential(unavailable, unavailable)
      const error = yield* Effect.provide(
        reason,
        provider(() => ({ credential: chain }))
      )
      assert.strictEqual(error._tag, "CredentialUnavailable")
      assert.include(error.message, "Tried: the credential that the program provides (AzureCliCredential).")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("says which settings a credential lacks", () =>
    Effect.gen(function* () {
      const { tenantId } = yield* FakeKeyVault.FakeKeyVault
      for (const [credential, tag, text] of [
        [KeyVaultCredential.workloadIdentity({ tenantId: "t", clientId: "c" }), "CredentialUnavailable", "workload"],
        [
          KeyVaultCredential.clientCertificate({
            tenantId,
            clientId: "c",
            certificatePath: "/absent.pem"
          }),
          "Misconfigured",
          "client certificate"
        ],
        [
          KeyVaultCredential.clientSecret({ tenantId: "a b", clientId: "c", clientSecret: Redacted.make(secret) }),
          "Misconfigured",
          "AZURE_TENANT_ID"
        ]
      ] as const) {
        const error = yield* Effect.provide(
          reason,
          provider(() => ({ credential, retry: { attempts: 1 } }))
        )
        assert.strictEqual(`${error._tag} ${text}`, `${tag} ${text}`)
        assert.include(error.message, text)
      }
    }).pipe(Effect.provide(fresh))
  )
})

describe("KeyVaultSecretProvider: options", () => {
  const ids = { clientId: { literal: "service-1" }, clientSecret: name }

  it.effect.each([
    "http://fake-vault.vault.azure.net",
    "https://fake-vault.vault.azure.net.evil.example",
    "https://evil.example/.vault.azure.net",
    "https://evil.example#.vault.azure.net",
    "https://user:pass@fake-vault.vault.azure.net",
    "https://fake-vault.vault.azure.net:8443",
    "https://fake-vault.vault.azure.net/secrets/x",
    "https://vault.azure.net",
    "https://notvault.azure.net",
    "https://hsm.managedhsm.azure.net",
    "fake-vault",
    ""
  ])("dies with a RangeError when the layer is built for an invalid vault URL: %s", (vaultUrl) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const defect = yield* defectOf(provider(() => ({ vaultUrl })))
      assert.instanceOf(defect, RangeError)
      assert.include(String(defect), "KeyVaultSecretProvider: vaultUrl must be ")
      assert.deepStrictEqual(yield* vault.journal, [])
    }).pipe(Effect.provide(fresh))
  )

  it.effect.each([
    ["https://my-vault.vault.azure.cn/", false],
    ["https://MY-VAULT.vault.usgovcloudapi.net", false],
    ["https://vault.cloud.example", true],
    ["https://127.0.0.1:8443", true]
  ] as const)("reads the vault at %s when customDomain is %s", ([vaultUrl, customDomain]) =>
    Effect.gen(function* () {
      // The fake does not know the host, which shows that the provider connects to it.
      const error = yield* Effect.provide(
        reason,
        provider((vault) => ({ vaultUrl, customDomain, ...once(vault) }))
      )
      assert.strictEqual(error._tag, "Unavailable")
      assert.include(error.message, `${new URL(vaultUrl).host} can't be resolved`)
    }).pipe(Effect.provide(fresh))
  )

  it.effect.each<readonly [string, Record<string, unknown>]>([
    ["clientSecret", { clientSecret: undefined }],
    ["clientSecret", { clientSecret: null }],
    ["clientSecret", { clientSecret: { secret: undefined } }],
    ["clientSecret", { clientSecret: { secret: [secret] } }],
    ["clientSecret.version", { clientSecret: { secret: name, version: null } }],
    ["clientId", { clientId: undefined }],
    ["clientId", { clientId: "service-abc" }],
    ["clientId", { clientId: secret }],
    ["clientId", { clientId: {} }],
    ["clientId.literal", { clientId: { literal: undefined } }],
    ["clientId.literal", { clientId: { literal: [secret] } }],
    ["clientId", { clientId: { secret: undefined } }],
    ["json", { json: null }],
    ["vaultUrl", { vaultUrl: undefined }],
    ["credential", { credential: null }],
    ["credential", { credential: "managed-identity" }],
    ["clientSecret", { clientSecret: secret }],
    ["clientSecret.version", { clientSecret: { secret: name, version: secret } }],
    ["clientId.literal", { clientId: { literal: secret } }],
    ["clientId", { clientId: { secret } }],
    ["json", { json: secret }]
  ])("dies with a RangeError about %s, without quoting a value, when the layer is built with %o", ([option, wrong]) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const options = { vaultUrl: vault.vaultUrl, credential: credentialOf(vault), ...ids, ...wrong }
      // As in JavaScript, or after a wrong `!`.
      const defect = yield* defectOf(KeyVaultSecretProvider.layer(options as KeyVaultSecretProvider.Options))
      assert.instanceOf(defect, RangeError)
      assert.include(String(defect), `KeyVaultSecretProvider: ${option} must be `)
      assert.notMatch(String(defect), /fake-secret|service-abc|undefined/)
    }).pipe(Effect.provide(fresh))
  )

  it.effect.each([
    ["attempts", 0],
    ["attempts", -1],
    ["attempts", Number.NaN],
    ["attempts", 1.5],
    ["attempts", Number.POSITIVE_INFINITY],
    ["attemptTimeout", Duration.seconds(-1)],
    ["attemptTimeout", Duration.millis(Number.NaN)],
    ["totalTimeout", Duration.zero],
    ["totalTimeout", Duration.negativeInfinity],
    ["baseDelay", Duration.millis(-1)],
    ["maxRetryAfter", Duration.millis(-1)]
  ] as const)("dies with a RangeError when the layer is built with a retry whose %s is %s", ([key, value]) =>
    Effect.gen(function* () {
      const defect = yield* defectOf(provider(() => ({ retry: { [key]: value } })))
      assert.instanceOf(defect, RangeError)
      assert.include(String(defect), `RetryPolicy: ${key} must be `)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("accepts the durations of Effect as limits of a retry", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.hang))
      const layer = provider(() => ({ retry: { attempts: 1, attemptTimeout: "1 second" } }))
      const error = yield* whileTimePasses(Effect.provide(reason, layer))
      assert.include(error.message, "did not respond within 1 s.")
    }).pipe(Effect.provide(fresh))
  )

  const variables = (vault: FakeKeyVault.FakeKeyVault["Service"]): Record<string, string> => ({
    ITWIN_KEY_VAULT_URL: vault.vaultUrl,
    ITWIN_KEY_VAULT_CLIENT_ID: "service-1",
    ITWIN_KEY_VAULT_CLIENT_SECRET_NAME: name,
    ITWIN_KEY_VAULT_CREDENTIAL: "client-secret",
    AZURE_TENANT_ID: vault.tenantId,
    AZURE_CLIENT_ID: vault.clientId,
    AZURE_CLIENT_SECRET: Redacted.value(vault.clientSecret)
  })

  const fromVariables = (change: Record<string, string | undefined>) =>
    Effect.flatMap(FakeKeyVault.FakeKeyVault, (vault) => {
      const all = Object.entries({ ...variables(vault), ...change }).flatMap(([key, value]) =>
        value === undefined ? [] : [[key, value]]
      )
      return Effect.provide(
        read,
        KeyVaultSecretProvider.layerConfig.pipe(
          Layer.provide([
            TestTransport.layer({ httpClient: vault.httpClient }),
            ConfigProvider.layer(ConfigProvider.fromEnvRecord(Object.fromEntries(all)))
          ])
        )
      )
    })

  it.effect("reads its options from variables", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const version = yield* vault.setSecret(name, secret)
      yield* vault.setSecret("id", "service-2")
      yield* vault.setSecret("both", JSON.stringify({ clientId: "service-3", clientSecret: secret }))
      const none = { ITWIN_KEY_VAULT_CLIENT_ID: undefined }
      const ids = yield* Effect.forEach(
        [
          {},
          { ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION: version },
          { ...none, ITWIN_KEY_VAULT_CLIENT_ID_NAME: "id" },
          { ...none, ITWIN_KEY_VAULT_CLIENT_SECRET_NAME: undefined, ITWIN_KEY_VAULT_JSON_NAME: "both" }
        ],
        (change) => Effect.map(fromVariables(change), ({ clientId }) => clientId)
      )
      assert.deepStrictEqual(ids, ["service-1", "service-1", "service-2", "service-3"])
    }).pipe(Effect.provide(fresh))
  )

  it.effect.each([
    [{ ITWIN_KEY_VAULT_URL: undefined }, "ITWIN_KEY_VAULT_URL"],
    [{ ITWIN_KEY_VAULT_URL: "https://evil.example" }, "ITWIN_KEY_VAULT_URL"],
    [{ ITWIN_KEY_VAULT_CLIENT_ID: undefined }, "ITWIN_KEY_VAULT_CLIENT_ID_NAME"],
    [{ ITWIN_KEY_VAULT_CLIENT_ID_NAME: "id" }, "ITWIN_KEY_VAULT_CLIENT_ID_NAME"],
    [{ ITWIN_KEY_VAULT_CLIENT_SECRET_NAME: undefined }, "ITWIN_KEY_VAULT_CLIENT_SECRET_NAME"],
    [{ ITWIN_KEY_VAULT_JSON_NAME: "both" }, "ITWIN_KEY_VAULT_JSON_NAME alone"],
    [{ ITWIN_KEY_VAULT_CREDENTIAL: undefined }, "ITWIN_KEY_VAULT_CREDENTIAL"],
    [{ ITWIN_KEY_VAULT_CREDENTIAL: "guess" }, "managed-identity"],
    [{ AZURE_CLIENT_SECRET: undefined }, "AZURE_CLIENT_SECRET"],
    [{ ITWIN_KEY_VAULT_CLIENT_ID: secret }, "ITWIN_KEY_VAULT_CLIENT_ID"],
    [{ ITWIN_KEY_VAULT_CLIENT_SECRET_NAME: secret }, "ITWIN_KEY_VAULT_CLIENT_SECRET_NAME"],
    [{ ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION: secret }, "ITWIN_KEY_VAULT_CLIENT_SECRET_VERSION"]
  ] as const)("fails the build with a ConfigError when the variables are %j", ([change, text]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(fromVariables(change))
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, text)
      assert.notInclude(String(error) + error.message, secret)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("uses the credential that the variables choose when the code names none", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      const env = variables(vault)
      const layer = KeyVaultSecretProvider.layer({ vaultUrl: vault.vaultUrl, ...ids }).pipe(
        Layer.provide([
          TestTransport.layer({ httpClient: vault.httpClient }),
          ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))
        ])
      )
      yield* Effect.gen(function* () {
        env.ITWIN_KEY_VAULT_CREDENTIAL = secret
        const error = yield* reason
        assert.strictEqual(error._tag, "Misconfigured")
        assert.include(error.message, "managed-identity, workload-identity, client-secret")
        assert.notInclude(error.message, secret)
        env.ITWIN_KEY_VAULT_CREDENTIAL = "client-secret"
        assert.strictEqual(Redacted.value((yield* read).clientSecret), secret)
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.provide(fresh))
  )

  it.effect("builds each kind of credential", () =>
    Effect.gen(function* () {
      const choose = (env: Record<string, string>) =>
        KeyVaultCredential.config.parse(
          ConfigProvider.fromEnvRecord({ AZURE_TENANT_ID: "t", AZURE_CLIENT_ID: "c", ...env })
        )
      const choices = yield* Effect.forEach(KeyVaultCredential.names, (kind) =>
        choose({
          ITWIN_KEY_VAULT_CREDENTIAL: kind,
          AZURE_CLIENT_SECRET: secret,
          AZURE_CLIENT_CERTIFICATE_PATH: "cert.pem",
          AZURE_FEDERATED_TOKEN_FILE: "token"
        })
      )
      assert.deepStrictEqual(choices, [
        KeyVaultCredential.managedIdentity({ clientId: "c" }),
        KeyVaultCredential.workloadIdentity({ tenantId: "t", clientId: "c", tokenFile: "token" }),
        KeyVaultCredential.clientSecret({ tenantId: "t", clientId: "c", clientSecret: Redacted.make(secret) }),
        KeyVaultCredential.clientCertificate({
          tenantId: "t",
          clientId: "c",
          certificatePath: "cert.pem",
          password: undefined
        }),
        KeyVaultCredential.azureCli({ tenantId: "t" }),
        KeyVaultCredential.defaultAzure
      ])
    })
  )
})

describe("KeyVaultSecretProvider: logs", () => {
  it.effect("logs once which credential it uses, and no secret", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      const { lines, layer } = logged()
      yield* Effect.andThen(read, read).pipe(Effect.provide(provider().pipe(Layer.provide(layer))))
      assert.deepStrictEqual(
        lines.map(({ level }) => level),
        ["Info"]
      )
      assert.include(
        lines[0]?.text,
        `reads fake-vault.vault.azure.net with a client secret of app ${vault.clientId} in tenant ${vault.tenantId}`
      )
      assert.notInclude(lines[0]?.text, Redacted.value(vault.clientSecret))
    }).pipe(Effect.provide(fresh))
  )

  const id = "00000000-0000-4000-8000-00000000000A"
  const other = "fake-secret-other+/="
  const clientSecret = Redacted.make(other)
  it.effect.each<readonly [string, (tenantId: string) => KeyVaultCredential.KeyVaultCredential, RegExp]>([
    [
      "the secret as the id of the app",
      (tenantId) => KeyVaultCredential.clientSecret({ tenantId, clientId: secret, clientSecret }),
      /with a client secret in tenant [-0-9a-f]{36}\.$/
    ],
    [
      "a domain as the tenant",
      () => KeyVaultCredential.clientSecret({ tenantId: "contoso.onmicrosoft.com", clientId: id, clientSecret }),
      new RegExp(`with a client secret of app ${id} in tenant contoso\\.onmicrosoft\\.com\\.$`)
    ],
    [
      // The SDK accepts it, because it has only letters, digits, dots and dashes.
      "a secret as the tenant",
      () => KeyVaultCredential.clientSecret({ tenantId: "fake-secret-0.1", clientId: id, clientSecret }),
      new RegExp(`with a client secret of app ${id}\\.$`)
    ],
    [
      "the secret as the id of a managed identity",
      () => KeyVaultCredential.managedIdentity({ clientId: secret }),
      /with a user-assigned managed identity\.$/
    ],
    [
      "the id of a managed identity",
      () => KeyVaultCredential.managedIdentity({ clientId: id }),
      new RegExp(`with the managed identity ${id}\\.$`)
    ]
  ])("logs no more than the ids of a credential when the program gives %s", ([, credential, text]) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const { lines, layer } = logged()
      yield* vault.script("GET /secrets/:name", Fault.always(Fault.reset))
      yield* Effect.provide(
        reason,
        provider((_) => ({ credential: credential(_.tenantId), retry: { attempts: 1 } })).pipe(Layer.provide(layer))
      )
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]?.text.split(" Cause")[0] ?? "", text)
      assert.notMatch(JSON.stringify(lines), /fake-secret/)
    }).pipe(Effect.provide(fresh))
  )

  it.effect("warns once a day that a secret expires within 30 days", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const { lines, layer } = logged()
      const warnings = () => lines.filter(({ level }) => level === "Warn").map(({ text }) => text)
      yield* vault.setSecret(name, secret, { expiresAt: DateTime.makeUnsafe("1970-02-10T00:00:00Z") })
      yield* Effect.gen(function* () {
        yield* read
        assert.deepStrictEqual(warnings(), [])
        yield* TestClock.adjust("10 days")
        yield* read
        yield* read
        assert.strictEqual(warnings().length, 1)
        assert.match(
          warnings()[0] ?? "",
          /itwin-client-secret \(version \w{32}\) in fake-vault.* expires on 1970-02-10/
        )
        yield* TestClock.adjust("23 hours")
        yield* read
        assert.strictEqual(warnings().length, 1)
        yield* TestClock.adjust("1 hour")
        yield* read
        assert.strictEqual(warnings().length, 2)
        yield* TestClock.adjust("40 days")
        yield* read
        assert.include(warnings()[2], "expired on 1970-02-10, but Key Vault still returns it")
      }).pipe(Effect.provide(provider().pipe(Layer.provide(layer))))
    }).pipe(Effect.provide(fresh))
  )
})

describe("KeyVaultSecretProvider: fallback to variables", () => {
  const either = provider(once).pipe(
    SecretProvider.layerOrElse(
      EnvSecretProvider.layer.pipe(
        Layer.provide(
          ConfigProvider.layer(
            ConfigProvider.fromEnvRecord({ ITWIN_CLIENT_ID: "service-env", ITWIN_CLIENT_SECRET: "fake-secret-env+/=" })
          )
        )
      )
    )
  )

  it.effect("reads the variables when the vault does not have the secret", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.provide(read, either)).clientId, "service-env")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("does not read the variables when the secret of the vault is disabled, denied, or can't be read", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      const provided = Effect.provide(reason, either)
      yield* vault.disableVersion(name)
      assert.strictEqual((yield* provided)._tag, "Disabled")
      yield* vault.deny("ForbiddenByRbac")
      assert.strictEqual((yield* provided)._tag, "AccessDenied")
      yield* vault.script("GET /secrets/:name", Fault.once(Fault.html(403, "x")), Fault.once(Fault.reset))
      assert.strictEqual((yield* provided)._tag, "AccessDenied")
      assert.strictEqual((yield* provided)._tag, "Unavailable")
    }).pipe(Effect.provide(fresh))
  )

  it.effect("does not read the variables when the program's own secret at Entra ID was revoked", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const revoked = { ...credentialOf(vault), clientSecret: Redacted.make("fake-secret-revoked+/=") }
      const layer = provider(() => ({ credential: revoked, retry: { attempts: 1 } })).pipe(
        SecretProvider.layerOrElse(EnvSecretProvider.layer)
      )
      assert.strictEqual((yield* Effect.provide(reason, layer))._tag, "AccessDenied")
    }).pipe(Effect.provide(fresh))
  )
})
