// The store in memory. `TokenStoreContract` holds every store to the same rules; here are those that need hours, or a
// clock that is set back.

import { assert, describe, it } from "@effect/vitest"
import { AccessToken, Environment, Scopes, TokenStore } from "@effect-itwin/core"
import { TokenStoreContract } from "@effect-itwin/testing"
import { DateTime, Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as row from "../src/internal/store/row.ts"
import { textOfToken, tokenOfText } from "../src/internal/store/values.ts"
import { credentialsOf } from "./storeSupport.ts"

const claim = { owner: "b", lease: 3_000, forget: "none", minLeft: 5_000, level: 1 } as const

describe("the contract", () => {
  for (const { name, run } of TokenStoreContract.cases({
    open: Effect.map(TokenStore.makeMemory, Effect.succeed),
    wait: (millis) => TestClock.adjust(millis)
  })) {
    it.effect(name, () => run)
  }

  it.effect("finds a store that breaks each rule", () =>
    Effect.gen(function* () {
      const broken: Readonly<Record<string, (store: TokenStore.Service) => Partial<TokenStore.Service>>> = {
        "grants every lease": () => ({ claim: () => Effect.succeed({ _tag: "Lease" }) }),
        "grants no lease": () => ({ claim: () => Effect.succeed({ _tag: "Busy", left: 1 }) }),
        "publishes nothing": () => ({ publish: () => Effect.void }),
        "releases nothing": () => ({ release: () => Effect.void }),
        "drops nothing": () => ({ drop: () => Effect.void }),
        "ignores the level": (store) => ({ claim: (name, options) => store.claim(name, { ...options, level: 1 }) }),
        "ignores what is known": (store) => ({
          claim: (name, { known: _, ...options }) => store.claim(name, options)
        }),
        "ignores what to forget": (store) => ({
          claim: (name, options) => store.claim(name, { ...options, forget: "none" })
        }),
        "ignores the time left": (store) => ({
          claim: (name, options) => store.claim(name, { ...options, minLeft: 0 })
        }),
        "ignores the age": (store) => ({
          publish: (name, publication) => store.publish(name, { ...publication, age: 0 })
        }),
        "ignores the owner": (store) => ({
          publish: (name, publication) => store.publish(name, { ...publication, owner: "same" })
        }),
        "cuts values": (store) => ({
          publish: (name, publication) =>
            store.publish(name, { ...publication, value: publication.value.slice(0, 1000) })
        }),
        "has one row": (store) => ({
          claim: (_, options) => store.claim("row", options),
          publish: (_, publication) => store.publish("row", publication)
        }),
        fails: () => ({
          claim: () =>
            Effect.fail(new TokenStore.TokenStoreError({ store: "broken", kind: "unavailable", detail: "gone." }))
        })
      }
      for (const [what, change] of Object.entries(broken)) {
        const results = yield* Effect.forEach(
          TokenStoreContract.cases({
            open: Effect.map(TokenStore.makeMemory, (store) => Effect.succeed({ ...store, ...change(store) })),
            wait: (millis) => TestClock.adjust(millis)
          }),
          ({ run }) => Effect.exit(run)
        )
        assert.isTrue(
          results.some(({ _tag }) => _tag === "Failure"),
          `no case fails for a store that ${what}`
        )
      }
    })
  )
})

describe("the store in memory", () => {
  it.effect("forgets a setback a minute after it has ended", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.makeMemory
      yield* store.release("row", "a", { value: "refused", left: 1_000, level: 2 })
      yield* TestClock.adjust(60_999)
      assert.deepEqual(yield* store.claim("row", claim), { _tag: "Lease", previous: "refused" })
      yield* TestClock.adjust(1)
      assert.deepEqual(yield* store.claim("row", claim), { _tag: "Lease", previous: undefined })
    })
  )

  it("lets nothing last longer when the clock is set back", () => {
    const hour = 3_600_000
    const [, leased] = row.claim({}, hour, claim)
    const state = row.release(leased, hour, "c", { value: "stated", left: 60_000, level: 3 })
    assert.isDefined(row.current(leased, hour))
    assert.isDefined(row.current(state, hour))
    // Otherwise both would last until the clock has caught up.
    assert.isUndefined(row.current(leased, hour - 1))
    assert.isUndefined(row.current(state, hour - 1))
  })

  it("keeps a row only as long as something in it lasts", () => {
    const published = row.publish({}, 0, { owner: "a", value: "value", age: 0, left: 10_000 })
    assert.isDefined(row.current(published, 9_999))
    assert.isUndefined(row.current(published, 10_000))
  })
})

describe("a token from the store", () => {
  it("is as old on both clocks of this process as it is in the store", () => {
    const minute = 60_000
    const issuedAt = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
    const subject = {
      endpoint: Environment.production.tokenEndpoint,
      credentials: credentialsOf("fake-secret-1+/="),
      scopes: Scopes.itwinPlatform
    }
    const text = textOfToken(
      new AccessToken.AccessToken({
        value: Redacted.make("token"),
        tokenType: "Bearer",
        scopes: subject.scopes,
        requestedScopes: subject.scopes,
        clientId: subject.credentials.clientId,
        issuedAt,
        expiresAt: DateTime.add(issuedAt, { hours: 1 })
      })
    )
    const claimed = { _tag: "Token", value: "", version: "a", age: 10 * minute, left: 50 * minute } as const
    const askedAt = { wall: issuedAt.epochMilliseconds + 10 * minute, monotonic: 70 * minute }
    const acquired = tokenOfText(text, claimed, subject, askedAt, 5_000)
    assert.strictEqual(acquired?.bornAt, 60 * minute)
    assert.deepEqual(acquired?.token.issuedAt, issuedAt)
    for (const wrong of [
      { age: Number.NaN },
      { left: Number.NaN },
      { age: Number.POSITIVE_INFINITY },
      { left: 4_999 }
    ]) {
      assert.isUndefined(tokenOfText(text, { ...claimed, ...wrong }, subject, askedAt, 5_000))
    }
    assert.isUndefined(tokenOfText("{}", claimed, subject, askedAt, 5_000))
  })
})
