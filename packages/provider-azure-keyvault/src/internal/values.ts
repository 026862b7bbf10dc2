// Turns the values of the vault into credentials.
import { ClientCredentials, clientIdFromText, clientSecretFromText } from "@effect-itwin/core/ClientCredentials"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Read } from "./reader.ts"
import { type Named, nameOf, provider, type Settings } from "./settings.ts"

const invalid = (secretName: string, advice: string) =>
  Effect.fail(
    new SecretProviderError.SecretProviderError({
      reason: new SecretProviderError.InvalidSecret({ provider, secretName, advice })
    })
  )

const orInvalid = <A>(secretName: string, result: Result.Result<A, string>) =>
  Result.match(result, {
    onSuccess: (value) => Effect.succeed(value),
    onFailure: (advice) => invalid(secretName, advice)
  })

const Value = Schema.RedactedFromValue(Schema.String, { disallowEncode: true })
const Both = Schema.fromJsonString(Schema.Struct({ clientId: Value, clientSecret: Value }))
const decodeBoth = Schema.decodeUnknownOption(Both)

type Warn = (secret: string, expiresAt: DateTime.Utc) => Effect.Effect<void>

export const readCredentials = Effect.fnUntraced(function* (settings: Settings, read: Read, warn: Warn) {
  const { host, ids } = settings
  const readOne = Effect.fnUntraced(function* (named: Named) {
    const found = yield* read(named)
    if (found.expiresAt !== undefined) {
      yield* warn(`${named.secret} (version ${found.version}) in ${host}`, found.expiresAt)
    }
    return found
  })

  if ("json" in ids) {
    const name = nameOf(ids.json)
    const { value, version, expiresAt } = yield* readOne(ids.json)
    const both = decodeBoth(Redacted.value(value))
    if (Option.isNone(both)) {
      return yield* invalid(name, 'Store JSON in it: {"clientId":"service-…","clientSecret":"…"}.')
    }
    const { clientId, clientSecret } = both.value
    return new ClientCredentials({
      clientId: yield* orInvalid(`${name} (clientId)`, clientIdFromText(Redacted.value(clientId))),
      clientSecret: yield* orInvalid(`${name} (clientSecret)`, clientSecretFromText(clientSecret)),
      version,
      expiresAt
    })
  }
  const clientId =
    "literal" in ids.clientId
      ? ids.clientId.literal
      : yield* orInvalid(nameOf(ids.clientId), clientIdFromText(Redacted.value((yield* readOne(ids.clientId)).value)))
  const { value, version, expiresAt } = yield* readOne(ids.clientSecret)
  const clientSecret = yield* orInvalid(nameOf(ids.clientSecret), clientSecretFromText(value))
  return new ClientCredentials({ clientId, clientSecret, version, expiresAt })
})
