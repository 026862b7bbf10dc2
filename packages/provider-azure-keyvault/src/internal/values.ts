// From what the vault holds to credentials.
import { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Found, Read } from "./reader.ts"
import { isClientId, type Named, nameOf, provider, type Settings } from "./settings.ts"

const invalid = (secretName: string, advice: string) =>
  Effect.fail(
    new SecretProviderError.SecretProviderError({
      reason: new SecretProviderError.InvalidSecret({ provider, secretName, advice })
    })
  )

/** The value without the one newline that files and `echo` leave behind; other white space is a mistake to be told. */
const text = (value: Redacted.Redacted, secretName: string) => {
  const line = Redacted.value(value).replace(/\r?\n$/, "")
  if (line.trim() === "") return invalid(secretName, "It is blank: store the value shown when the app was registered.")
  return line === line.trim()
    ? Effect.succeed(Redacted.make(line))
    : invalid(secretName, "It begins or ends with white space: store it without.")
}

const clientIdOf = Effect.fnUntraced(function* (value: Redacted.Redacted, secretName: string) {
  const id = Redacted.value(yield* text(value, secretName))
  return isClientId(id)
    ? id
    : yield* invalid(secretName, "It holds no client id. Is it the secret, with both names swapped?")
})

const Value = Schema.RedactedFromValue(Schema.String, { disallowEncode: true })
const Both = Schema.fromJsonString(Schema.Struct({ clientId: Value, clientSecret: Value }))
const decodeBoth = Schema.decodeUnknownOption(Both)

type Warn = (secret: string, expiresAt: DateTime.Utc) => Effect.Effect<void>

export const readCredentials = Effect.fnUntraced(function* (settings: Settings, read: Read, warn: Warn) {
  const { host, ids } = settings
  const readOne = Effect.fnUntraced(function* (named: Named) {
    const found = yield* read(named)
    const { expiresAt } = found
    if (expiresAt !== undefined) yield* warn(`${named.secret} (version ${found.version}) in ${host}`, expiresAt)
    return found.value === undefined
      ? yield* new SecretProviderError.SecretProviderError({
          reason: new SecretProviderError.Unavailable({
            provider,
            secretName: nameOf(named),
            advice: `The answer of ${host} holds no value: is there a proxy in between?`
          })
        })
      : { value: found.value, version: found.version, expiresAt }
  })
  const credentials = (
    clientId: string,
    clientSecret: Redacted.Redacted,
    found: Pick<Found, "version">,
    expiresAt?: DateTime.Utc
  ) =>
    new ClientCredentials({
      clientId,
      clientSecret,
      version: found.version,
      expiresAt
    })

  if ("json" in ids) {
    const name = nameOf(ids.json)
    const found = yield* readOne(ids.json)
    const both = decodeBoth(Redacted.value(found.value))
    if (Option.isNone(both)) {
      return yield* invalid(name, 'It must hold JSON: {"clientId":"service-…","clientSecret":"…"}.')
    }
    const clientId = yield* clientIdOf(both.value.clientId, `${name} (clientId)`)
    const clientSecret = yield* text(both.value.clientSecret, `${name} (clientSecret)`)
    return credentials(clientId, clientSecret, found, found.expiresAt)
  }
  const clientId =
    "literal" in ids.clientId
      ? ids.clientId.literal
      : yield* clientIdOf((yield* readOne(ids.clientId)).value, nameOf(ids.clientId))
  const found = yield* readOne(ids.clientSecret)
  const clientSecret = yield* text(found.value, nameOf(ids.clientSecret))
  return credentials(clientId, clientSecret, found, found.expiresAt)
})
