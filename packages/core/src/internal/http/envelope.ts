// The error format of the platform: {"error":{"code","message","details"}}; the gateway returns {"statusCode","message"}.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ServerText } from "../shown/serverText.ts"

export const Detail = Schema.Struct({
  code: Schema.optionalKey(Schema.String),
  message: Schema.optionalKey(Schema.String),
  target: Schema.optionalKey(Schema.NullOr(Schema.String))
})

export interface Fields {
  readonly code?: string | undefined
  readonly detail?: string | undefined
  readonly details?: ReadonlyArray<typeof Detail.Type> | undefined
}

const Envelope = Schema.Struct({
  error: Schema.Struct({
    code: Schema.optionalKey(Schema.String),
    message: Schema.optionalKey(Schema.String),
    details: Schema.optionalKey(Schema.NullOr(Schema.Array(Detail)))
  })
})
const GatewayEnvelope = Schema.Struct({ message: Schema.String })

const decodeEnvelope = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Union([Envelope, GatewayEnvelope])))

/** Puts the text under the key; leaves out the key if there is no text to show. */
const shownAs = <K extends string>(
  key: K,
  text: string | null | undefined,
  show: (text: string) => string | undefined
) => {
  const shown = text === null || text === undefined ? undefined : show(text)
  return shown === undefined ? {} : { [key]: shown }
}

/** Returns what the envelope says, as far as it may be shown: a gateway may quote the token. */
export const fieldsOf = (body: string, { show, showCode }: ServerText): Fields => {
  const envelope = decodeEnvelope(body)
  if (Result.isFailure(envelope)) return {}
  if (!("error" in envelope.success)) return shownAs("detail", envelope.success.message, show)
  const { code, message, details } = envelope.success.error
  return {
    ...shownAs("code", code, showCode),
    ...shownAs("detail", message, show),
    ...(details === undefined || details === null
      ? {}
      : {
          details: details.slice(0, 20).map((detail) => ({
            ...shownAs("code", detail.code, showCode),
            ...shownAs("message", detail.message, show),
            ...shownAs("target", detail.target, show)
          }))
        })
  }
}
