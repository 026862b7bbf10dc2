import { assert, describe, it } from "@effect/vitest"
import { AccessTokenVerifier } from "@effect-itwin/verify"
import { Effect, Layer } from "effect"
import { clientId, encode, ims, json, outcome } from "./support.ts"
import * as vectors from "./vectors.ts"

const Verifier = AccessTokenVerifier.layer({ clientIds: [clientId] }).pipe(
  Layer.provide(ims(json({ keys: [vectors.jwk] })).layer)
)

describe("the RS256 signature of RFC 7520", () => {
  it.effect("is accepted, so that only the claims are malformed", () =>
    Effect.gen(function* () {
      const jws = `${encode(vectors.header)}.${encode(vectors.payload)}.${vectors.signature}`
      assert.strictEqual(yield* outcome(jws), "Malformed")
    }).pipe(Effect.provide(Verifier))
  )

  it.effect.each(Array.from({ length: 16 }, (_, n) => n * 16))("is rejected when byte %d of it is changed", (at) =>
    Effect.gen(function* () {
      const bytes = Buffer.from(vectors.signature, "base64url")
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      const jws = `${encode(vectors.header)}.${encode(vectors.payload)}.${bytes.toString("base64url")}`
      assert.strictEqual(yield* outcome(jws), "BadSignature")
    }).pipe(Effect.provide(Verifier))
  )

  it.effect("is rejected when the payload is changed", () =>
    Effect.gen(function* () {
      const jws = `${encode(vectors.header)}.${encode(`${vectors.payload} `)}.${vectors.signature}`
      assert.strictEqual(yield* outcome(jws), "BadSignature")
    }).pipe(Effect.provide(Verifier))
  )
})
