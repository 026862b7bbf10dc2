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

const headerName = /^[!#$%&'*+.^_`|~\w-]+$/
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/

const Headers = Schema.Record(Schema.String, Schema.String).check(
  Schema.makeFilter((headers) =>
    Object.entries(headers).flatMap(([name, value]) => [
      ...(headerName.test(name) ? [] : [{ path: [name], issue: "Expected the name of a header" }]),
      ...(headerValue.test(value) ? [] : [{ path: [name], issue: "Expected the value of a header, on one line" }])
    ])
  )
)

/** At least 0 and at most 10 years. */
const Pause = Schema.DurationFromMillis.check(
  Schema.makeFilter((duration) =>
    Duration.toMillis(duration) >= 0 && Duration.toMillis(duration) <= 315_576_000_000
      ? undefined
      : "Expected a duration of at least 0 and at most 10 years"
  )
)

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

/**
 * Answers with this, whatever was asked. A body that is no string is sent as JSON.
 *
 * @category models
 * @since 0.1.0
 */
export const Respond = Schema.TaggedStruct("Respond", {
  status: Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 })),
  headers: Schema.optionalKey(Headers),
  body: Schema.optionalKey(Schema.Unknown)
})

/**
 * Waits on the clock, then behaves normally.
 *
 * @category models
 * @since 0.1.0
 */
export const Delay = Schema.TaggedStruct("Delay", { duration: Pause })

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
 * Grants a token with these claims on top of, or instead of, the usual ones. For routes that issue tokens
 * (`POST /connect/token`); elsewhere it changes nothing.
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
 * Sends the body of the normal answer one byte at a time, with a pause before each.
 *
 * @category models
 * @since 0.1.0
 */
export const Dribble = Schema.TaggedStruct("Dribble", { interval: Pause })

/**
 * Sends the head and half of the body of the normal answer, then bytes that are not HTTP, and closes the connection.
 *
 * @category models
 * @since 0.1.0
 */
export const Garbage = Schema.TaggedStruct("Garbage", {})

/**
 * Every fault but {@link Chaos}.
 *
 * @category models
 * @since 0.1.0
 */
export const Single = Schema.Union([
  Respond,
  Delay,
  Hang,
  Stall,
  Dribble,
  Garbage,
  Reset,
  Truncate,
  Fields,
  Claims,
  WithHeaders
])

/**
 * @category models
 * @since 0.1.0
 */
export type Single = typeof Single.Type

/**
 * Applies one of several faults to each request, chosen at random in proportion to their weights. The same seed gives
 * the same sequence. An entry without a fault leaves the request alone.
 *
 * @category models
 * @since 0.1.0
 */
export const Chaos = Schema.TaggedStruct("Chaos", {
  seed: Schema.String,
  weights: Schema.NonEmptyArray(
    Schema.Struct({
      weight: Schema.Finite.check(Schema.isGreaterThan(0)),
      fault: Schema.optionalKey(Single)
    })
  )
})

/**
 * Every fault that a script can hold.
 *
 * @category models
 * @since 0.1.0
 */
export const Fault = Schema.Union([...Single.members, Chaos])

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
  after: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  /** Requests that it strikes. Without `times` and `forDuration` it strikes for ever. */
  times: Schema.optionalKey(Count),
  /** How long it strikes, from its first request on. */
  forDuration: Schema.optionalKey(Pause)
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
}): Single => ({ _tag: "Respond", ...options })

/**
 * An HTML page, as load balancers and maintenance modes send it.
 *
 * @category faults
 * @since 0.1.0
 */
export const html = (status: number, title: string): Single =>
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
export const rateLimit = (retryAfter?: string | number, status = 429): Single =>
  respond({
    status,
    ...(retryAfter === undefined ? {} : { headers: { "retry-after": String(retryAfter) } }),
    body: { error: { code: "TooManyRequests", message: "The client sent too many requests." } }
  })

/**
 * @category faults
 * @since 0.1.0
 */
export const redirect = (location: string, status = 302): Single => respond({ status, headers: { location } })

/**
 * @category faults
 * @since 0.1.0
 */
export const delay = (duration: Duration.Input): Single => ({
  _tag: "Delay",
  duration: Duration.fromInputUnsafe(duration)
})

/**
 * @category faults
 * @since 0.1.0
 */
export const hang: Single = { _tag: "Hang" }

/**
 * @category faults
 * @since 0.1.0
 */
export const stall: Single = { _tag: "Stall" }

/**
 * @category faults
 * @since 0.1.0
 */
export const reset: Single = { _tag: "Reset", when: "before" }

/**
 * @category faults
 * @since 0.1.0
 */
export const resetAmidBody: Single = { _tag: "Reset", when: "body" }

/**
 * @category faults
 * @since 0.1.0
 */
export const dribble = (interval: Duration.Input): Single => ({
  _tag: "Dribble",
  interval: Duration.fromInputUnsafe(interval)
})

/**
 * @category faults
 * @since 0.1.0
 */
export const garbage: Single = { _tag: "Garbage" }

/**
 * Applies faults at random, in proportion to their weights: `chaos("seed", [8, "none"], [1, reset])` resets every ninth
 * request on average.
 *
 * @category faults
 * @since 0.1.0
 */
export const chaos = (
  seed: string,
  first: readonly [weight: number, fault: Single | "none"],
  ...others: ReadonlyArray<readonly [weight: number, fault: Single | "none"]>
): Fault => {
  const entry = ([weight, fault]: typeof first) => (fault === "none" ? { weight } : { weight, fault })
  return { _tag: "Chaos", seed, weights: [entry(first), ...others.map(entry)] }
}

/**
 * @category faults
 * @since 0.1.0
 */
export const truncate: Single = { _tag: "Truncate" }

/**
 * @category faults
 * @since 0.1.0
 */
export const fields = (set: Readonly<Record<string, unknown>>): Single => ({ _tag: "Fields", set })

/**
 * @category faults
 * @since 0.1.0
 */
export const omit = (...names: ReadonlyArray<string>): Single => ({ _tag: "Fields", omit: names })

/**
 * @category faults
 * @since 0.1.0
 */
export const claims = (claims: Readonly<Record<string, unknown>>): Single => ({ _tag: "Claims", claims })

/**
 * @category faults
 * @since 0.1.0
 */
export const contentType = (value: string): Single => ({ _tag: "WithHeaders", headers: { "content-type": value } })

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
