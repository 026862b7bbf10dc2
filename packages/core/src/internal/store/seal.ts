// What a store gets to see of a row: its name and sealed text.
//
// Both come from the client secret, by HKDF-SHA256 (RFC 5869): the name of the row, and the key for AES-256-GCM. So a
// rotated secret leads to another row, and a process that can open a row could request a token anyway. The main purpose is that
// a process that can write to the store can't inject a token.
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Hash from "effect/Hash"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { ClientCredentials } from "../../ClientCredentials.ts"
import type { Scopes } from "../../Scopes.ts"

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
const ivBytes = 12

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)

const identity = ({ credentials, endpoint, scopes }: Subject, use: string): Uint8Array<ArrayBuffer> =>
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
      const algorithm = (iv: Uint8Array<ArrayBuffer>, kind: Kind) => ({
        name: "AES-GCM",
        iv,
        additionalData: identity(subject, kind)
      })
      return {
        name: `${form}:${Base64Url.encode(new Uint8Array(name))}`,
        seal: Effect.fnUntraced(function* (kind, text) {
          const iv = globalThis.crypto.getRandomValues(new Uint8Array(ivBytes))
          const sealed = yield* Effect.promise(() => subtle.encrypt(algorithm(iv, kind), key, bytesOf(text)))
          const value = new Uint8Array(ivBytes + sealed.byteLength)
          value.set(iv)
          value.set(new Uint8Array(sealed), ivBytes)
          return Base64Url.encode(value)
        }),
        open: Effect.fnUntraced(function* (kind, value) {
          const bytes = Result.getOrUndefined(Base64Url.decode(value))
          // More than one spelling decodes to the same bytes. Only the one that `seal` returns is accepted.
          if (bytes === undefined || Base64Url.encode(bytes) !== value) return undefined
          const copy = new Uint8Array(bytes)
          const opened = yield* Effect.option(
            Effect.tryPromise(() =>
              subtle.decrypt(algorithm(copy.subarray(0, ivBytes), kind), key, copy.subarray(ivBytes))
            )
          )
          return opened._tag === "None" ? undefined : new TextDecoder().decode(opened.value)
        })
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
