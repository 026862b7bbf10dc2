import { assert, describe, it } from "@effect/vitest"
import { AccessTokenVerifier } from "@effect-itwin/verify"
import { DateTime, Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { makeDigest } from "../src/internal/digest.ts"
import { makeRecent } from "../src/internal/recent.ts"
import { clientId, ims, json, keySet, outcome, rsaKey, token, verify } from "./support.ts"

const key = rsaKey("key-1")

const verifier = () =>
  AccessTokenVerifier.layer({ clientIds: [clientId] }).pipe(Layer.provide(ims(json(keySet(key))).layer))

describe("the result of a verification", () => {
  it.effect("has what the token says", () =>
    Effect.gen(function* () {
      const text = token(key, { sub: "fake-user", client_id: clientId })
      const verified = yield* verify(text)
      assert.strictEqual(verified.clientId, clientId)
      assert.strictEqual(verified.subject, "fake-user")
      assert.deepStrictEqual(verified.scopes, ["itwin-platform"])
      assert.deepStrictEqual(verified.expiresAt, DateTime.makeUnsafe(3_600_000))
      assert.strictEqual(Redacted.value(verified.value), text)
      assert.isTrue(verified.hasScope("itwin-platform"))
      assert.isFalse(verified.hasScope("itwin"))
    }).pipe(Effect.provide(verifier()))
  )

  it.effect.each<readonly [kind: string, client: string, subject: string | undefined]>([
    ["service", "service-Ab12", "service-Ab12"],
    ["service", "service-Ab12", "0b9b1c1e-3f43-4f0e-8f0d-0d3c2d1f7c11"],
    ["service", "spa-Ab12", undefined],
    ["service", "spa-Ab12", "spa-Ab12"],
    ["user", "spa-Ab12", "0b9b1c1e-3f43-4f0e-8f0d-0d3c2d1f7c11"]
  ])("is of a %s when the client is %s and the subject is %s", ([kind, client, sub]) =>
    Effect.gen(function* () {
      const verified = yield* verify(token(key, { client_id: client, sub }))
      assert.strictEqual(verified.kind, kind)
    }).pipe(
      Effect.provide(
        AccessTokenVerifier.layer({ clientIds: ["service-Ab12", "spa-Ab12"] }).pipe(
          Layer.provide(ims(json(keySet(key))).layer)
        )
      )
    )
  )

  it.effect("is kept, and belongs to this token only", () =>
    Effect.gen(function* () {
      const first = yield* verify(token(key))
      assert.strictEqual(yield* verify(token(key)), first)
      const [head, payload, signature = ""] = token(key).split(".")
      assert.strictEqual(yield* outcome(`${head}.${payload}.${signature.slice(0, -4)}AAAA`), "BadSignature")
      assert.notStrictEqual(yield* verify(token(key, { jti: "fake-other" })), first)
    }).pipe(Effect.provide(verifier()))
  )

  it.effect("is kept until exp and tolerance have passed", () =>
    Effect.gen(function* () {
      const first = yield* verify(token(key))
      yield* TestClock.setTime(3_629_999)
      assert.strictEqual(yield* verify(token(key)), first)
      yield* TestClock.setTime(3_630_000)
      assert.strictEqual(yield* outcome(token(key)), "Expired")
    }).pipe(Effect.provide(verifier()))
  )

  it.effect("is not used when the clock was set back to before nbf", () =>
    Effect.gen(function* () {
      const text = token(key, { nbf: 1000 })
      yield* TestClock.setTime(1_000_000)
      yield* verify(text)
      yield* TestClock.setTime(969_000)
      assert.strictEqual(yield* outcome(text), "NotYetValid")
      yield* TestClock.setTime(970_000)
      assert.strictEqual(yield* outcome(text), "accepted")
    }).pipe(Effect.provide(verifier()))
  )
})

describe("makeRecent", () => {
  it("returns the newest value of a key", () => {
    const recent = makeRecent<number>(10)
    for (let n = 0; n < 30; n++) {
      recent.set("a", n)
      assert.strictEqual(recent.get("a"), n)
      recent.set(`b${n}`, n)
      assert.strictEqual(recent.get("a"), n)
    }
  })

  it("keeps at most as many values as allowed, and those that are used", () => {
    const recent = makeRecent<number>(100)
    recent.set("used", 0)
    for (let n = 0; n < 1000; n++) {
      recent.set(String(n), n)
      assert.strictEqual(recent.get("used"), 0)
    }
    const kept = Array.from({ length: 1000 }, (_, n) => recent.get(String(n))).filter((value) => value !== undefined)
    assert.isAtLeast(kept.length, 49)
    assert.isAtMost(kept.length, 100)
  })
})

describe("makeDigest", () => {
  it.live("returns the SHA-256 digest with and without Node's crypto", () =>
    Effect.gen(function* () {
      const expected = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
      assert.strictEqual(yield* makeDigest()("abc"), expected)
      const { getBuiltinModule } = process
      const withoutNode = yield* Effect.acquireUseRelease(
        Effect.sync(() => Object.assign(process, { getBuiltinModule: undefined })),
        () => Effect.sync(makeDigest),
        () => Effect.sync(() => Object.assign(process, { getBuiltinModule }))
      )
      assert.strictEqual(yield* withoutNode("abc"), expected)
    })
  )
})
