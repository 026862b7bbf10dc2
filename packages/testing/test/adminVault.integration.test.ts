// The vault of `fake-ims --vault`, with its controls in another process.
import { assert, describe, it } from "@effect/vitest"
import { FakeKeyVault, FakeKeyVaultServer } from "@effect-itwin/testing"
import { Effect } from "effect"
import { afterAll, beforeAll } from "vitest"
import { type Bin, call, start } from "./bin.ts"
import { layerRemoteVault } from "./remote.ts"
import { wiring } from "./socketWiring.ts"
import { makeVaultTest, vaultContract } from "./vaultContract.ts"
import { vaultOperations } from "./vaultOperations.ts"

describe("the vault of fake-ims", () => {
  let bin: Bin
  beforeAll(async () => {
    bin = await start(["--vault"])
  })
  afterAll(async () => {
    bin.kill("SIGTERM")
    await bin.exited
  })

  const remote = layerRemoteVault(() => bin.facts)

  describe("is the same over the admin API as in process", () => {
    const test = makeVaultTest(it.live, remote, wiring)
    vaultContract(test)
    vaultOperations(test)
  })

  it.live("lists secrets and versions, and counts requests", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      const { url } = yield* FakeKeyVaultServer.Endpoint
      assert.strictEqual(vault.vaultUrl, url)
      const first = yield* vault.setSecret("b", "fake-secret-1+/=", { contentType: "text/plain" })
      const second = yield* vault.setSecret("b", "fake-secret-2+/=", { enabled: false, tags: { a: "1" } })
      yield* vault.setSecret("a", "fake-secret-3+/=")
      assert.deepStrictEqual(yield* vault.secretNames, ["a", "b"])
      assert.deepStrictEqual(
        (yield* vault.versions("b")).map(({ contentType, enabled, id, tags }) => [id, enabled, contentType, tags]),
        [
          [first, true, "text/plain", {}],
          [second, false, undefined, { a: "1" }]
        ]
      )
      assert.strictEqual(yield* vault.countRequests("GET /secrets/:name"), 0)
      assert.strictEqual(yield* vault.droppedEntries, 0)
      assert.include(String(yield* Effect.exit(vault.countRequests("GET /no"))), "GET /secrets/:name")
      assert.include(String(yield* Effect.exit(vault.versions("none"))), '"none"')
    }).pipe(Effect.provide(remote))
  )

  it.live("is on the same clock as IMS: a deleted secret is purged when the clock is advanced by 90 days", () =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      for (const _ of [1, 2]) {
        yield* vault.setSecret("itwin", "fake-secret-a+b/c=")
        yield* vault.deleteSecret("itwin")
        const set = Effect.exit(vault.setSecret("itwin", "fake-secret-d+e/f="))
        assert.include(String(yield* set), "is deleted")
        yield* call(bin.facts.url, "POST /__admin/clock", { json: { advance: 90 * 24 * 60 * 60 * 1000 } })
        assert.include(String(yield* set), "Success")
        yield* vault.reset
        yield* call(bin.facts.url, "POST /__admin/reset")
      }
    }).pipe(Effect.provide(remote))
  )
})
