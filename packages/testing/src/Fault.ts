/**
 * Faults as data: what a server does instead of its normal answer, and when.
 *
 * A script is a list of {@link Step}s for one route. Each request takes the first step that is not used up; when all
 * are, the normal behaviour is back. Steps are plain values that go through JSON, so that a script can be written in a
 * file or sent by a test in another language.
 *
 * **Example** (Twice 503, then slow once, then normal)
 *
 * ```ts
 * import { Fault } from "@effect-itwin/testing"
 *
 * const script = [
 *   Fault.times(Fault.respond({ status: 503, headers: { "retry-after": "2" } }), 2),
 *   Fault.once(Fault.delay("3 seconds"))
 * ]
 * console.log(script.length) // 2
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

const Headers = Schema.Record(Schema.String, Schema.String)

/**
 * Answers with this, whatever was asked. A body that is no string is sent as JSON.
 *
 * @category models
 * @since 0.1.0
 */
export const Respond = Schema.TaggedStruct("Respond", {
  status: Schema.Int,
  headers: Schema.optionalKey(Headers),
  body: Schema.optionalKey(Schema.Unknown)
})

/**
 * Waits on the clock, then behaves normally.
 *
 * @category models
 * @since 0.1.0
 */
export const Delay = Schema.TaggedStruct("Delay", { duration: Schema.DurationFromMillis })

/**
 * Never answers.
 *
 * @category models
 * @since 0.1.0
 */
export const Hang = Schema.TaggedStruct("Hang", {})

/**
 * Sends the head and the first half of the normal answer, and then nothing.
 *
 * @category models
 * @since 0.1.0
 */
export const Stall = Schema.TaggedStruct("Stall", {})

/**
 * Breaks the connection: before the answer, or amid its body.
 *
 * @category models
 * @since 0.1.0
 */
export const Reset = Schema.TaggedStruct("Reset", { when: Schema.Literals(["before", "body"]) })

/**
 * Behaves normally and sends half of the body, as if it were whole.
 *
 * @category models
 * @since 0.1.0
 */
export const Truncate = Schema.TaggedStruct("Truncate", {})

/**
 * Behaves normally and then changes fields of the JSON answer: a value replaces, `null` stays `null`, and the names in
 * `omit` are left out.
 *
 * @category models
 * @since 0.1.0
 */
export const Fields = Schema.TaggedStruct("Fields", {
  set: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
  omit: Schema.optionalKey(Schema.Array(Schema.String))
})

/**
 * Grants a token with these claims on top of, or instead of, the usual ones. For `POST /connect/token`; elsewhere it
 * changes nothing.
 *
 * @category models
 * @since 0.1.0
 */
export const Claims = Schema.TaggedStruct("Claims", { claims: Schema.Record(Schema.String, Schema.Unknown) })

/**
 * Behaves normally, with these headers on the answer.
 *
 * @category models
 * @since 0.1.0
 */
export const WithHeaders = Schema.TaggedStruct("WithHeaders", { headers: Headers })

/**
 * @category models
 * @since 0.1.0
 */
export const Fault = Schema.Union([Respond, Delay, Hang, Stall, Reset, Truncate, Fields, Claims, WithHeaders])

/**
 * @category models
 * @since 0.1.0
 */
export type Fault = typeof Fault.Type

/**
 * A fault and when it strikes.
 *
 * @category models
 * @since 0.1.0
 */
export const Step = Schema.Struct({
  fault: Fault,
  /** Requests that pass normally before the step begins. */
  after: Schema.optionalKey(Schema.Int),
  /** Requests that it strikes. Without `times` and `forDuration` it strikes for ever. */
  times: Schema.optionalKey(Schema.Int),
  /** How long it strikes, from its first request on. */
  forDuration: Schema.optionalKey(Schema.DurationFromMillis)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Step = typeof Step.Type

/**
 * @category faults
 * @since 0.1.0
 */
export const respond = (options: {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}): Fault => ({ _tag: "Respond", ...options })

/**
 * An HTML page, as load balancers and maintenance modes send it.
 *
 * @category faults
 * @since 0.1.0
 */
export const html = (status: number, title: string): Fault =>
  respond({
    status,
    headers: { "content-type": "text/html" },
    body: `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`
  })

/**
 * 429 (or another status) with `Retry-After`: seconds, an HTTP date, or any text at all.
 *
 * @category faults
 * @since 0.1.0
 */
export const rateLimit = (retryAfter?: string | number, status = 429): Fault =>
  respond({
    status,
    ...(retryAfter === undefined ? {} : { headers: { "retry-after": String(retryAfter) } }),
    body: { error: { code: "TooManyRequests", message: "The client sent too many requests." } }
  })

/**
 * @category faults
 * @since 0.1.0
 */
export const redirect = (location: string, status = 302): Fault => respond({ status, headers: { location } })

/**
 * @category faults
 * @since 0.1.0
 */
export const delay = (duration: Duration.Input): Fault => ({
  _tag: "Delay",
  duration: Duration.fromInputUnsafe(duration)
})

/**
 * @category faults
 * @since 0.1.0
 */
export const hang: Fault = { _tag: "Hang" }

/**
 * @category faults
 * @since 0.1.0
 */
export const stall: Fault = { _tag: "Stall" }

/**
 * @category faults
 * @since 0.1.0
 */
export const reset: Fault = { _tag: "Reset", when: "before" }

/**
 * @category faults
 * @since 0.1.0
 */
export const resetAmidBody: Fault = { _tag: "Reset", when: "body" }

/**
 * @category faults
 * @since 0.1.0
 */
export const truncate: Fault = { _tag: "Truncate" }

/**
 * @category faults
 * @since 0.1.0
 */
export const fields = (set: Readonly<Record<string, unknown>>): Fault => ({ _tag: "Fields", set })

/**
 * @category faults
 * @since 0.1.0
 */
export const omit = (...names: ReadonlyArray<string>): Fault => ({ _tag: "Fields", omit: names })

/**
 * @category faults
 * @since 0.1.0
 */
export const claims = (claims: Readonly<Record<string, unknown>>): Fault => ({ _tag: "Claims", claims })

/**
 * @category faults
 * @since 0.1.0
 */
export const contentType = (value: string): Fault => ({ _tag: "WithHeaders", headers: { "content-type": value } })

/**
 * @category steps
 * @since 0.1.0
 */
export const times = (fault: Fault, n: number): Step => ({ fault, times: n })

/**
 * @category steps
 * @since 0.1.0
 */
export const once = (fault: Fault): Step => times(fault, 1)

/**
 * @category steps
 * @since 0.1.0
 */
export const always = (fault: Fault): Step => ({ fault })

/**
 * Strikes from its first request on until the duration has passed on the clock.
 *
 * @category steps
 * @since 0.1.0
 */
export const forDuration = (fault: Fault, duration: Duration.Input): Step => ({
  fault,
  forDuration: Duration.fromInputUnsafe(duration)
})

/**
 * Lets `n` requests pass normally first.
 *
 * @category steps
 * @since 0.1.0
 */
export const after = (step: Step, n: number): Step => ({ ...step, after: n })
