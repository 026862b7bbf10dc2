// What a store that is not private gets to see, and what it can't do with it. WebCrypto needs real time.

import { assert, describe, it } from "@effect/vitest"
import { Environment, Scopes, TokenStore } from "@effect-itwin/core"
import { Effect, Redacted } from "effect"
import { makeSeal } from "../src/internal/store/seal.ts"
import { credentialsOf, json, makeWorld, refused, replica, textOf } from "./storeSupport.ts"

interface Remote {
  readonly rows: Set<string>
  readonly values: Array<string>
  /** Changes the values that the store returns. */
  tamper: (value: string) => string
  readonly store: TokenStore.Service
}

/** A store in memory that is treated as a remote one, with everything that it was given. */
const makeRemote = Effect.map(TokenStore.makeMemory, (memory) => {
  const self: Remote = {
    rows: new Set(),
    values: [],
    tamper: (value) => value,
    store: {
      ...memory,
      name: "remote",
      isPrivate: false,
      claim: (row, claim) => {
        self.rows.add(row)
        return Effect.map(memory.claim(row, claim), (claimed) =>
          "value" in claimed ? { ...claimed, value: self.tamper(claimed.value) } : claimed
        )
      },
      publish: (row, publication) => {
        self.values.push(publication.value)
        return memory.publish(row, publication)
      },
      release: (row, owner, setback) => {
        if (setback !== undefined) self.values.push(setback.value)
        return memory.release(row, owner, setback)
      }
    }
  }
  return self
})

const subject = {
  endpoint: Environment.production.tokenEndpoint,
  credentials: credentialsOf("fake-secret-1+/="),
  scopes: Scopes.itwinPlatform
}

const warnings = (logs: ReadonlyArray<string>) => logs.filter((line) => line.startsWith("Warn"))

describe("the seal", () => {
  it.live("opens what it sealed, and seals the same text differently each time", () =>
    Effect.gen(function* () {
      const row = yield* makeSeal(undefined)(subject)
      const again = yield* makeSeal(undefined)(subject)
      const [first, second] = [yield* row.seal("token", "text ä"), yield* row.seal("token", "text ä")]
      assert.notStrictEqual(first, second)
      assert.strictEqual(row.name, again.name)
      assert.strictEqual(yield* again.open("token", first), "text ä")
    })
  )

  it.live("opens nothing in which a byte was changed, added or removed", () =>
    Effect.gen(function* () {
      const row = yield* makeSeal(undefined)(subject)
      const value = yield* row.seal("token", "text")
      for (let i = 0; i < value.length; i++) {
        for (const changed of [
          value.slice(0, i) + (value[i] === "A" ? "B" : "A") + value.slice(i + 1),
          value.slice(0, i) + value.slice(i + 1),
          `${value.slice(0, i)}A${value.slice(i)}`,
          value.slice(0, i)
        ]) {
          if (changed !== value) assert.isUndefined(yield* row.open("token", changed), `changed at ${i}`)
        }
      }
      for (const other of [`${value}=`, ` ${value}`, `${value}\n`, "", "{}"]) {
        assert.isUndefined(yield* row.open("token", other))
      }
    })
  )

  for (const [what, other, additionalKey] of [
    ["another secret", { ...subject, credentials: credentialsOf("fake-secret-2+/=") }, undefined],
    ["another endpoint", { ...subject, endpoint: Environment.qa.tokenEndpoint }, undefined],
    ["other scopes", { ...subject, scopes: Scopes.make("other") }, undefined],
    ["an additional key", subject, Redacted.make("fake-secret-key+/=")]
  ] as const) {
    it.live(`has another row for ${what}, and opens nothing of it`, () =>
      Effect.gen(function* () {
        const row = yield* makeSeal(undefined)(subject)
        const another = yield* makeSeal(additionalKey)(other)
        assert.notStrictEqual(another.name, row.name)
        assert.isUndefined(yield* row.open("token", yield* another.seal("token", "text")))
      })
    )
  }

  it.effect("throws when the additional key is empty", () =>
    Effect.map(TokenStore.makeMemory, (store) =>
      assert.throws(() => TokenStore.make(store, { additionalKey: Redacted.make("") }), RangeError)
    )
  )

  it.live("does not open a failure as a token", () =>
    Effect.gen(function* () {
      const row = yield* makeSeal(undefined)(subject)
      assert.isUndefined(yield* row.open("token", yield* row.seal("setback", "text")))
    })
  )
})

describe("a store that is not private", () => {
  it.live("gets neither the token nor the secret, and shares the token", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const remote = yield* makeRemote
      const token = yield* (yield* replica(world, remote.store)).get()
      assert.strictEqual(textOf(yield* (yield* replica(world, remote.store)).get()), textOf(token))
      assert.strictEqual(world.requests, 1)
      world.answer = () => refused()
      world.secret = "fake-secret-2+/="
      const cache = yield* replica(world, remote.store)
      const first = yield* Effect.flip(cache.get())
      const held = yield* Effect.flip((yield* replica(world, remote.store)).get())
      assert.strictEqual(held.reason._tag, first.reason._tag)
      assert.isDefined(held.nextAttemptIn)
      assert.strictEqual(remote.rows.size, 2)
      assert.strictEqual(remote.values.length, 2)
      const given = [...remote.rows, ...remote.values].join("\n")
      for (const secret of ["fake-secret", "token-1", "invalid_client", "service-fleet", "itwin-platform"]) {
        assert.notInclude(given, secret)
        assert.notInclude(Buffer.from(given, "base64url").toString("latin1"), secret)
      }
      assert.notInclude(world.logs.join("\n"), "token-1")
    })
  )

  for (const [what, tamper] of Object.entries({
    "was changed": (value: string) => `${value.slice(0, -3)}AAA`,
    "is text of somebody without the secret": () => JSON.stringify({ value: "injected", scopes: "a", expiresAt: 9e15 }),
    "is empty": () => ""
  })) {
    it.live(`is not believed when a value ${what}: one warning, and a token from IMS`, () =>
      Effect.gen(function* () {
        const world = makeWorld()
        const remote = yield* makeRemote
        const first = yield* replica(world, remote.store)
        yield* first.get()
        yield* first.get(Scopes.make("other"))
        remote.tamper = tamper
        const cache = yield* replica(world, remote.store)
        assert.strictEqual(textOf(yield* cache.get()), "token-3")
        assert.strictEqual(textOf(yield* cache.get(Scopes.make("other"))), "token-4")
        assert.strictEqual(warnings(world.logs).length, 1)
        assert.notInclude(world.logs.join(), "injected")
      })
    )

    it.live(`holds no replica with a failure that ${what}`, () =>
      Effect.gen(function* () {
        const world = makeWorld()
        world.answer = () => Effect.sync(() => json({}, 429, { "retry-after": "600" }))
        const remote = yield* makeRemote
        yield* Effect.flip((yield* replica(world, remote.store)).get())
        world.answer = Effect.sync
        remote.tamper = tamper
        assert.strictEqual(textOf(yield* (yield* replica(world, remote.store)).get()), "token-2")
        assert.strictEqual(warnings(world.logs).length, 1)
      })
    )
  }

  it.live("can't sell an expired token as a fresh one", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.life = 6
      const remote = yield* makeRemote
      yield* (yield* replica(world, remote.store)).get()
      yield* Effect.sleep("1200 millis")
      const [value = ""] = remote.values
      const store: TokenStore.Service = {
        ...remote.store,
        claim: (row, claim) =>
          Effect.map(
            remote.store.claim(row, claim),
            (claimed): TokenStore.Claimed =>
              claim.known === "old" ? claimed : { _tag: "Token", value, version: "old", age: 0, left: 3_600_000 }
          )
      }
      world.life = 3600
      assert.strictEqual(textOf(yield* (yield* replica(world, store)).get()), "token-2")
      assert.strictEqual(warnings(world.logs).length, 1)
    })
  )

  it.live("can't prolong a failure that has ended", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      world.answer = () => refused()
      const remote = yield* makeRemote
      yield* Effect.flip((yield* replica(world, remote.store)).get())
      const [value = ""] = remote.values
      yield* Effect.sleep("1100 millis")
      world.answer = Effect.sync
      const store: TokenStore.Service = {
        ...remote.store,
        claim: () => Effect.succeed({ _tag: "Held", value, left: 600_000 })
      }
      assert.strictEqual(textOf(yield* (yield* replica(world, store)).get()), "token-2")
    })
  )

  it.live("is left alone when this machine has no WebCrypto", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const remote = yield* makeRemote
      const cache = yield* replica(world, remote.store)
      const { subtle } = globalThis.crypto
      yield* Effect.acquireUseRelease(
        Effect.sync(() => Object.defineProperty(globalThis.crypto, "subtle", { value: undefined, configurable: true })),
        () => Effect.map(cache.get(), (token) => assert.strictEqual(textOf(token), "token-1")),
        () =>
          Effect.sync(() => Object.defineProperty(globalThis.crypto, "subtle", { value: subtle, configurable: true }))
      )
      assert.strictEqual(warnings(world.logs).length, 1)
    })
  )
})
