// Reads the credentials of the app within a time limit. No foreign error leaves, because it may contain the secret.
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ClientCredentials } from "../../ClientCredentials.ts"
import type { SecretProvider } from "../../SecretProvider.ts"
import * as SecretProviderError from "../../SecretProviderError.ts"
import { detached } from "../detached.ts"
import { defectOf } from "../shown/defect.ts"
import { formatDuration } from "../shown/formatDuration.ts"

const fields = { provider: "SecretProvider", secretName: "the credentials of the app" }

const isCredentials: (value: unknown) => value is ClientCredentials = Schema.is(ClientCredentials)

const checkBackend = "Check the status of its backend, and the network path to it."

const providerError = (reason: SecretProviderError.SecretProviderErrorReason) =>
  new SecretProviderError.SecretProviderError({ reason })

export const readCredentials = (
  provider: SecretProvider["Service"],
  limit: Duration.Duration
): Effect.Effect<ClientCredentials, SecretProviderError.SecretProviderError> =>
  detached(Effect.suspend(() => provider.credentials)).pipe(
    Effect.filterOrElse(isCredentials, () => Effect.die(new TypeError())),
    // The defect of the provider may contain the secret. At run time, the provider may also fail with another value.
    Effect.catchCause((cause) => {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (SecretProviderError.isSecretProviderError(error) && !Cause.hasDies(cause)) return Effect.fail(error)
      const defect = defectOf(Option.isSome(Cause.findErrorOption(cause)) ? Cause.die(error) : cause)
      return Effect.fail(providerError(new SecretProviderError.Defect({ ...fields, ...defect })))
    }),
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () => {
        const advice = `The provider did not return within ${formatDuration(limit)}. ${checkBackend}`
        return Effect.fail(providerError(new SecretProviderError.Unavailable({ ...fields, advice })))
      }
    })
  )
