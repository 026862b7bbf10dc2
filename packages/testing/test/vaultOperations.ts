// Runs all operations on secrets that the Azure SDK has, in process and on a socket.
import type { SecretClient } from "@azure/keyvault-secrets"
import { assert } from "@effect/vitest"
import { type FakeKeyVault, Fault, Journal } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose"
import { failure, newest, type VaultTest } from "./vaultContract.ts"

const secret = "fake-secret-a+b/c="
const rotated = "fake-secret-d+e/f="

/** Polls without a pause. */
const polling = { intervalInMs: 0 }

const collect = <A>(items: AsyncIterable<A>): Effect.Effect<ReadonlyArray<A>> =>
  Effect.promise(async () => {
    const all: Array<A> = []
    for await (const item of items) all.push(item)
    return all
  })

const remove = (client: SecretClient, name: string) =>
  Effect.promise(async () => (await client.beginDeleteSecret(name, polling)).pollUntilDone())

/** Sends a request that the SDK would not send, in process. */
const send = Effect.fnUntraced(function* (
  { vaultUrl, httpClient, issueToken }: FakeKeyVault.FakeKeyVault["Service"],
  method: string,
  target: string,
  body?: string
) {
  const headers: ReadonlyArray<[string, string]> = [
    ["authorization", `Bearer ${Redacted.value(yield* issueToken())}`],
    ["content-type", "application/json"]
  ]
  return yield* Effect.promise(async () => {
    const url = `${vaultUrl}${target}`
    const response = await httpClient.sendRequest({ url, method, headers, body })
    return {
      status: response.status,
      allow: response.headers.get("allow"),
      json: response.bodyAsText === "" ? undefined : JSON.parse(response.bodyAsText)
    }
  })
})

export const vaultOperations = (it: VaultTest) => {
  it("sets, gets, lists, updates, deletes, recovers and purges a secret", (vault, client) =>
    Effect.gen(function* () {
      const expiresOn = new Date("2031-02-03T04:05:06Z")
      const notBefore = new Date("2021-02-03T04:05:06Z")
      const first = yield* Effect.promise(() =>
        client.setSecret("itwin", secret, { contentType: "text/plain", tags: { app: "a" }, expiresOn, notBefore })
      )
      assert.strictEqual(first.value, secret)
      const { version = "" } = first.properties
      assert.match(version, /^[0-9a-f]{32}$/)
      assert.deepInclude(first.properties, {
        id: `${vault.vaultUrl}/secrets/itwin/${version}`,
        vaultUrl: vault.vaultUrl,
        name: "itwin",
        enabled: true,
        contentType: "text/plain",
        tags: { app: "a" },
        expiresOn,
        notBefore,
        recoveryLevel: "Recoverable+Purgeable",
        recoverableDays: 90
      })
      const second = yield* Effect.promise(() => client.setSecret("itwin", rotated))
      yield* Effect.promise(() => client.setSecret("other", secret, { enabled: false }))
      assert.strictEqual(yield* newest(client, "itwin"), rotated)

      const secrets = yield* collect(client.listPropertiesOfSecrets())
      assert.deepStrictEqual(
        secrets.map(({ id, name, version, enabled }) => [id, name, version, enabled]),
        [
          [`${vault.vaultUrl}/secrets/itwin`, "itwin", undefined, true],
          [`${vault.vaultUrl}/secrets/other`, "other", undefined, false]
        ]
      )
      const versions = yield* collect(client.listPropertiesOfSecretVersions("itwin"))
      assert.deepStrictEqual(
        versions.map(({ version }) => version),
        [version, second.properties.version]
      )

      const updated = yield* Effect.promise(() =>
        client.updateSecretProperties("itwin", version, { enabled: false, tags: { app: "b" } })
      )
      assert.deepInclude(updated, { version, enabled: false, contentType: "text/plain", tags: { app: "b" }, expiresOn })
      const disabled = yield* failure(() => client.getSecret("itwin", { version }))
      assert.strictEqual(disabled.details?.error?.innerError?.code, "SecretDisabled")
      assert.strictEqual(yield* newest(client, "itwin"), rotated)

      const deleted = yield* remove(client, "itwin")
      assert.strictEqual(deleted.value, undefined)
      const { deletedOn, recoveryId, scheduledPurgeDate } = deleted
      assert.strictEqual(recoveryId, `${vault.vaultUrl}/deletedsecrets/itwin`)
      assert.strictEqual(Number(scheduledPurgeDate) - Number(deletedOn), 90 * 86_400_000)
      assert.strictEqual((yield* failure(() => client.getSecret("itwin"))).code, "SecretNotFound")
      assert.deepStrictEqual(
        (yield* collect(client.listPropertiesOfSecrets())).map(({ name }) => name),
        ["other"]
      )
      const conflict = yield* failure(() => client.setSecret("itwin", secret))
      assert.deepInclude({ ...conflict }, { statusCode: 409, code: "Conflict" })
      assert.strictEqual(conflict.details?.error?.innerError?.code, "ObjectIsDeletedButRecoverable")
      const found = yield* Effect.promise(() => client.getDeletedSecret("itwin"))
      assert.deepStrictEqual(
        [found.name, found.recoveryId, found.deletedOn, found.scheduledPurgeDate],
        ["itwin", recoveryId, deletedOn, scheduledPurgeDate]
      )
      assert.deepStrictEqual(
        (yield* collect(client.listDeletedSecrets())).map(({ name, recoveryId }) => [name, recoveryId]),
        [["itwin", recoveryId]]
      )

      const recovered = yield* Effect.promise(async () =>
        (await client.beginRecoverDeletedSecret("itwin", polling)).pollUntilDone()
      )
      assert.strictEqual(recovered.version, second.properties.version)
      assert.strictEqual(yield* newest(client, "itwin"), rotated)
      assert.lengthOf(yield* collect(client.listPropertiesOfSecretVersions("itwin")), 2)

      yield* remove(client, "itwin")
      yield* Effect.promise(() => client.purgeDeletedSecret("itwin"))
      assert.strictEqual((yield* failure(() => client.getDeletedSecret("itwin"))).statusCode, 404)
      assert.deepStrictEqual(yield* collect(client.listDeletedSecrets()), [])
      yield* Effect.promise(() => client.setSecret("itwin", secret))
      assert.lengthOf(yield* collect(client.listPropertiesOfSecretVersions("itwin")), 1)
    }))

  it("deletes and recovers a secret with the delay of a script", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      const notYet = Fault.respond({ status: 404, body: { error: { code: "SecretNotFound", message: "Not yet." } } })
      yield* vault.script("GET /deletedsecrets/:name", Fault.times(notYet, 2))
      yield* remove(client, "itwin")
      yield* vault.verify
      const polled = Journal.filter(yield* vault.journal, { route: "GET /deletedsecrets/:name" })
      assert.deepStrictEqual(
        polled.map(({ outcome }) => outcome),
        ["fault", "fault", "ok"]
      )
    }))

  it("lists in pages, each secret once, also when secrets come and go between two pages", (vault, client) =>
    Effect.gen(function* () {
      const names = Array.from({ length: 30 }, (_, index) => `itwin-${String(index).padStart(2, "0")}`)
      yield* Effect.forEach(names, (name) => vault.setSecret(name, secret))
      yield* Effect.forEach(names, () => vault.setSecret("itwin-00", secret))
      const all = yield* collect(client.listPropertiesOfSecrets())
      assert.deepStrictEqual(
        all.map(({ name }) => name),
        names
      )
      const versions = yield* collect(client.listPropertiesOfSecretVersions("itwin-00"))
      assert.strictEqual(new Set(versions.map(({ version }) => version)).size, 31)

      const pages = client.listPropertiesOfSecrets().byPage({ maxPageSize: 12 })
      const seen: Array<string> = []
      const next = Effect.promise(async () => {
        const { value } = await pages.next()
        const page = (value ?? []).map(({ name }: { readonly name: string }) => name)
        seen.push(...page)
        return page.length
      })
      assert.strictEqual(yield* next, 12)
      yield* vault.deleteSecret("itwin-11")
      yield* vault.deleteSecret("itwin-12")
      yield* vault.setSecret("itwin-11b", secret)
      assert.strictEqual(yield* next, 12)
      assert.strictEqual(yield* next, 6)
      assert.deepStrictEqual(seen, [...names.slice(0, 12), "itwin-11b", ...names.slice(13)])
    }))

  it("issues tokens that the keys of the tenant verify", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      yield* newest(client, "itwin")
      const read = (url: string) =>
        Effect.promise(async () =>
          JSON.parse((await vault.httpClient.sendRequest({ url, method: "GET", headers: [] })).bodyAsText)
        )
      const authority = new URL(
        vault.vaultUrl.startsWith("https://fake-vault.") ? "https://login.microsoftonline.com" : vault.vaultUrl
      ).origin
      const { jwks_uri } = yield* read(`${authority}/${vault.tenantId}/v2.0/.well-known/openid-configuration`)
      const jwks: JSONWebKeySet = yield* read(jwks_uri)
      const token = Redacted.value(yield* vault.issueToken({ claims: { roles: ["reader"] } }))
      const { payload, protectedHeader } = yield* Effect.promise(() =>
        jwtVerify(token, createLocalJWKSet(jwks), {
          issuer: `https://sts.windows.net/${vault.tenantId}/`,
          audience: "https://vault.azure.net",
          currentDate: new Date((JSON.parse(atob(token.split(".")[1] ?? "")).iat + 1) * 1000)
        })
      )
      assert.deepInclude(payload, { tid: vault.tenantId, appid: vault.clientId, roles: ["reader"] })
      assert.strictEqual(protectedHeader.alg, authority === vault.vaultUrl ? "RS256" : "EdDSA")
      assert.notProperty(jwks.keys[0], "d")
    }))

  it("says which permission each operation needs when it denies", (vault, client) =>
    Effect.gen(function* () {
      yield* vault.deny("ForbiddenByRbac")
      for (const [call, action] of [
        [() => client.getSecret("itwin"), "getSecret/action"],
        [() => client.setSecret("itwin", secret), "setSecret/action"],
        [() => client.updateSecretProperties("itwin", "1", {}), "update/action"],
        [() => client.beginDeleteSecret("itwin", polling), "delete"],
        [() => client.purgeDeletedSecret("itwin"), "purge/action"]
      ] as const) {
        const error = yield* failure(call)
        assert.strictEqual(error.statusCode, 403)
        assert.include(error.message, `'Microsoft.KeyVault/vaults/secrets/${action}'`)
      }
      const { json } = yield* send(vault, "GET", "/secrets?api-version=7.6")
      assert.include(json.error.message, "'Microsoft.KeyVault/vaults/secrets/readMetadata/action'")
    }))

  it("does not show a value of a secret in the journal, wherever it was sent", (vault, client) =>
    Effect.gen(function* () {
      const values = [secret, "p@ss/w+rd=&<>", 'quoted "value"\nof two lines', "longer-value", "longer-value-and-more"]
      for (const value of values) {
        yield* Effect.promise(() => client.setSecret("itwin", value, { tags: { copy: `it is ${value}` } }))
        // Sent by mistake: as a name, as a parameter, in a body that is not JSON, and in a body that is rejected.
        yield* send(
          vault,
          "GET",
          `/secrets/${encodeURIComponent(value)}?api-version=7.6&note=${encodeURIComponent(value)}`
        )
        const lowerCase = encodeURIComponent(value).replace(/%../g, (code) => code.toLowerCase())
        yield* send(vault, "GET", `/secrets/${lowerCase}?api-version=7.6`)
        yield* send(vault, "PUT", "/secrets/itwin?api-version=7.6", `{"value":"${value}`)
        yield* send(vault, "PUT", "/secrets/itwin?api-version=7.6", JSON.stringify({ Value: value, a: [{ b: value }] }))
        yield* send(
          vault,
          "PATCH",
          "/secrets/itwin?api-version=7.6",
          JSON.stringify({ value, tags: { [value]: value } })
        )
      }
      const short = "s3cr3t"
      yield* Effect.promise(() => client.setSecret("itwin", short))
      const text = JSON.stringify(yield* vault.journal)
      for (const value of [...values, short]) {
        const encoded = encodeURIComponent(value)
        const lowerCase = encoded.replace(/%../g, (code) => code.toLowerCase())
        for (const form of [value, encoded, lowerCase, JSON.stringify(value).slice(1, -1)]) {
          assert.notInclude(text, form)
          assert.notInclude(text, JSON.stringify(form).slice(1, -1))
        }
      }
      assert.notInclude(text, "-and-more")
      const [set] = Journal.filter(yield* vault.journal, { route: "PUT /secrets/:name", outcome: "ok" })
      assert.deepInclude(set, { path: "/secrets/itwin", clientId: vault.clientId })
      assert.deepStrictEqual(JSON.parse(set?.body ?? ""), {
        value: "<redacted>",
        tags: { copy: "it is <redacted>" },
        attributes: {}
      })
    }))

  it("refuses an invalid request, and says what is wrong", (vault) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      for (const [method, target, body, message] of [
        ["GET", "/secrets/itwin", undefined, "The parameter api-version is required."],
        ["GET", "/secrets/under_score?api-version=7.6", undefined, "The request URI contains an invalid name."],
        ["GET", "/secrets?api-version=7.6&maxresults=26", undefined, "maxresults must be an integer from 1 to 25."],
        ["GET", "/secrets?api-version=7.6&maxresults=0", undefined, "maxresults must be an integer from 1 to 25."],
        ["GET", "/secrets?api-version=7.6&$skiptoken=%20", undefined, "$skiptoken is not valid."],
        ["PUT", "/secrets/itwin?api-version=7.6", undefined, "The body is not a JSON object."],
        ["PUT", "/secrets/itwin?api-version=7.6", `[${secret}]`, "The body is not a JSON object."],
        ["PUT", "/secrets/itwin?api-version=7.6", "{}", "These properties are not valid: value."],
        [
          "PUT",
          "/secrets/itwin?api-version=7.6",
          `{"value":1,"tags":{"a":1},"attributes":{"exp":1.5}}`,
          "These properties are not valid: value, attributes, tags."
        ],
        ["PATCH", "/secrets/itwin/?api-version=7.6", `{"attributes":[]}`, "These properties are not valid: attributes."]
      ] as const) {
        const { status, json } = yield* send(vault, method, target, body)
        assert.strictEqual(status, 400, `${method} ${target}`)
        assert.include(json.error.message, message)
        assert.strictEqual(json.error.code, "BadParameter")
      }
      const { status, allow } = yield* send(vault, "POST", "/secrets/itwin?api-version=7.6")
      assert.deepStrictEqual([status, allow], [405, "GET, HEAD, PUT, PATCH, DELETE"])
      assert.strictEqual((yield* send(vault, "GET", "/Secrets/itwin?api-version=7.6")).status, 404)
      assert.strictEqual((yield* send(vault, "GET", "/secrets/itwin/versions/1?api-version=7.6")).status, 404)
    }))

  it("explains a 404 in the journal", (vault) =>
    Effect.gen(function* () {
      yield* vault.setSecret("itwin", secret)
      const explanation = (method: string, target: string) =>
        Effect.andThen(
          send(vault, method, `${target}?api-version=7.6`),
          Effect.map(vault.journal, (entries) => entries.at(-1)?.explanation)
        )
      assert.strictEqual(yield* explanation("GET", "/secrets/itwin/1"), "The secret has no such version.")
      assert.strictEqual(yield* explanation("GET", "/deletedsecrets/itwin"), "The secret is not deleted.")
      yield* vault.deleteSecret("itwin")
      assert.strictEqual(yield* explanation("GET", "/secrets/itwin"), "The secret is deleted, and can be recovered.")
      assert.isUndefined(yield* explanation("GET", "/secrets/absent"))
    }))
}
