// What a store gets to see of a row: its name and sealed text.
//
// Both come from the client secret, by HKDF-SHA256 (RFC 5869): the name of the row, and the key for AES-256-GCM. So a
// rotated secret leads to another row, and a process that can open a row could request a token anyway. The main purpose is that
// a process that can write to the store can't inject a token.
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Hash from "effect/Hash"
import * as Redacted from "effect/Redacted"
import type { ClientCredentials } from "../../ClientCredentials.ts"
import type { Scopes } from "../../Scopes.ts"
import { type Bytes, bytesOf, openWith, sealWith } from "./aead.ts"

export interface Subject {
  readonly endpoint: string
  readonly credentials: ClientCredentials
  readonly scopes: Scopes
}

type Kind = "token" | "setback"

export interface SealedRow {
  readonly name: string
  readonly seal: (kind: Kind, text: string) => Effect.Effect<string>
  /** Returns undefined if the value is not one that was sealed for this row and kind. */
  readonly open: (kind: Kind, value: string) => Effect.Effect<string | undefined>
}

export type Seal = (subject: Subject) => Effect.Effect<SealedRow>

/** Part of the name of each row. Another form of rows gets another version, and does not meet the rows of this one. */
const form = "1"
const nameBytes = 16

const identity = ({ credentials, endpoint, scopes }: Subject, use: string): Bytes =>
  bytesOf(JSON.stringify(["effect-itwin", form, use, endpoint, credentials.clientId, scopes]))

export const makeSeal =
  (additionalKey: Redacted.Redacted | undefined): Seal =>
  (subject) =>
    Effect.gen(function* () {
      const { subtle } = globalThis.crypto
      const salt = bytesOf(additionalKey === undefined ? "" : Redacted.value(additionalKey))
      const derived = (use: string) => ({ name: "HKDF", hash: "SHA-256", salt, info: identity(subject, use) })
      const secret = bytesOf(Redacted.value(subject.credentials.clientSecret))
      const material = yield* Effect.promise(() =>
        subtle.importKey("raw", secret, "HKDF", false, ["deriveBits", "deriveKey"])
      )
      const name = yield* Effect.promise(() => subtle.deriveBits(derived("row"), material, nameBytes * 8))
      const key = yield* Effect.promise(() =>
        subtle.deriveKey(derived("seal"), material, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"])
      )
      return {
        name: `${form}:${Base64Url.encode(new Uint8Array(name))}`,
        seal: (kind, text) => sealWith(key, identity(subject, kind), text),
        open: (kind, value) => openWith(key, identity(subject, kind), value)
      }
    })

/** For a store that never leaves the process. Nothing is sealed, and no name contains the secret. */
export const privateSeal: Seal = ({ credentials, endpoint, scopes }) =>
  Effect.sync(() => ({
    name: JSON.stringify([
      endpoint,
      credentials.clientId,
      Hash.string(Redacted.value(credentials.clientSecret)),
      scopes
    ]),
    seal: (_kind, text) => Effect.succeed(text),
    open: (_kind, value) => Effect.succeed(value)
  }))
