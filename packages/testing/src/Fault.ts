/**
 * Describes faults as data: what a server does instead of its normal answer, and when.
 *
 * A script is a list of {@link Step}s for one route. Each request takes the first step that is not used up. When all are
 * used up, the server behaves normally again. Steps are plain values that can be encoded as JSON, so that a script can be
 * written in a file or sent by a test in another language. Invalid steps are a defect that names the wrong field.
 *
 * **Gotchas**
 *
 * A random fault ({@link chaos}) has a seed, so that the same requests fail in each run.
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

/** Accepts durations from 0 to 10 years. */
const Pause = Schema.DurationFromMillis.check(
  Schema.makeFilter((duration) =>
    Duration.toMillis(duration) >= 0 && Duration.toMillis(duration) <= 315_576_000_000
      ? undefined
      : "Expected a duration of at least 0 and at most 10 years"
  )
)

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

/**
 * Answers with a given response. A body that is not a string is sent as JSON.
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
 * Breaks the connection: before the answer, or after half of its body.
 *
 * @category models
 * @since 0.1.0
 */
export const Reset = Schema.TaggedStruct("Reset", { when: Schema.Literals(["before", "body"]) })

/**
 * Behaves normally and sends half of the body as if it were complete.
 *
 * @category models
 * @since 0.1.0
 */
export const Truncate = Schema.TaggedStruct("Truncate", {})

/**
 * Behaves normally and then changes fields of the JSON answer: values in `set` replace those of the answer, and the names
 * in `omit` are left out.
 *
 * @category models
 * @since 0.1.0
 */
export const Fields = Schema.TaggedStruct("Fields", {
  set: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
  omit: Schema.optionalKey(Schema.Array(Schema.String))
})

/**
 * Grants a token with these claims in addition to the usual ones, or instead of them. For routes that issue tokens
 * (`POST /connect/token`); elsewhere it changes nothing.
 *
 * @category models
 * @since 0.1.0
 */
export const Claims = Schema.TaggedStruct("Claims", { claims: Schema.Record(Schema.String, Schema.Unknown) })

/**
 * Behaves normally and adds headers to the answer.
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
 * Lists every fault but {@link Chaos}.
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
 * Is a fault that a script can contain, but not {@link Chaos}.
 *
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
 * Lists every fault that a script can contain.
 *
 * @category models
 * @since 0.1.0
 */
export const Fault = Schema.Union([...Single.members, Chaos])

/**
 * Is a fault that a script can contain.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = typeof Fault.Type

/**
 * Combines a fault with the requests that it is applied to.
 *
 * @category models
 * @since 0.1.0
 */
export const Step = Schema.Struct({
  fault: Fault,
  /** How many requests are answered normally before the step begins. */
  after: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
  /** How many requests it is applied to. Without `times` and `forDuration` it is applied to all. */
  times: Schema.optionalKey(Count),
  /** How long it is applied, counted from its first request. */
  forDuration: Schema.optionalKey(Pause)
})

/**
 * Is a fault with the requests that it is applied to.
 *
 * @category models
 * @since 0.1.0
 */
export type Step = typeof Step.Type

/**
 * Returns a fault that answers with the given response.
 *
 * @category faults
 * @since 0.1.0
 */
export const respond = (options: {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}): Single => ({ _tag: "Respond", ...options })

/**
 * Returns a fault that answers with an HTML page, as load balancers and maintenance modes do.
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
 * Returns a fault that answers 429 (or another status) with `Retry-After`: seconds, an HTTP date, or any text.
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
 * Returns a fault that redirects to `location`.
 *
 * @category faults
 * @since 0.1.0
 */
export const redirect = (location: string, status = 302): Single => respond({ status, headers: { location } })

/**
 * Returns a fault that waits on the clock and then behaves normally.
 *
 * @category faults
 * @since 0.1.0
 */
export const delay = (duration: Duration.Input): Single => ({
  _tag: "Delay",
  duration: Duration.fromInputUnsafe(duration)
})

/**
 * Never answers.
 *
 * @category faults
 * @since 0.1.0
 */
export const hang: Single = { _tag: "Hang" }

/**
 * Sends half of the answer, and then nothing.
 *
 * @category faults
 * @since 0.1.0
 */
export const stall: Single = { _tag: "Stall" }

/**
 * Breaks the connection before the answer.
 *
 * @category faults
 * @since 0.1.0
 */
export const reset: Single = { _tag: "Reset", when: "before" }

/**
 * Breaks the connection after half of the body.
 *
 * @category faults
 * @since 0.1.0
 */
export const resetAmidBody: Single = { _tag: "Reset", when: "body" }

/**
 * Returns a fault that sends the body one byte at a time, with this pause before each.
 *
 * @category faults
 * @since 0.1.0
 */
export const dribble = (interval: Duration.Input): Single => ({
  _tag: "Dribble",
  interval: Duration.fromInputUnsafe(interval)
})

/**
 * Sends half of the body, and then bytes that are not HTTP.
 *
 * @category faults
 * @since 0.1.0
 */
export const garbage: Single = { _tag: "Garbage" }

/**
 * Returns a fault that applies one of several at random, in proportion to their weights:
 * `chaos("seed", [8, "none"], [1, reset])` resets every ninth request on average.
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
 * Sends half of the body as if it were complete.
 *
 * @category faults
 * @since 0.1.0
 */
export const truncate: Single = { _tag: "Truncate" }

/**
 * Returns a fault that sets fields of the JSON answer.
 *
 * @category faults
 * @since 0.1.0
 */
export const fields = (set: Readonly<Record<string, unknown>>): Single => ({ _tag: "Fields", set })

/**
 * Returns a fault that leaves fields of the JSON answer out.
 *
 * @category faults
 * @since 0.1.0
 */
export const omit = (...names: ReadonlyArray<string>): Single => ({ _tag: "Fields", omit: names })

/**
 * Returns a fault that issues a token with other claims: `claims({ aud: ["elsewhere"] })`.
 *
 * @category faults
 * @since 0.1.0
 */
export const claims = (claims: Readonly<Record<string, unknown>>): Single => ({ _tag: "Claims", claims })

/**
 * Returns a fault that changes the content type of the answer.
 *
 * @category faults
 * @since 0.1.0
 */
export const contentType = (value: string): Single => ({ _tag: "WithHeaders", headers: { "content-type": value } })

/**
 * Returns a step that applies the fault to the next `n` requests.
 *
 * @category steps
 * @since 0.1.0
 */
export const times = (fault: Fault, n: number): Step => ({ fault, times: n })

/**
 * Returns a step that applies the fault to the next request.
 *
 * @category steps
 * @since 0.1.0
 */
export const once = (fault: Fault): Step => times(fault, 1)

/**
 * Returns a step that applies the fault to all further requests.
 *
 * @category steps
 * @since 0.1.0
 */
export const always = (fault: Fault): Step => ({ fault })

/**
 * Returns a step that applies the fault from its first request until the duration has passed on the clock.
 *
 * @category steps
 * @since 0.1.0
 */
export const forDuration = (fault: Fault, duration: Duration.Input): Step => ({
  fault,
  forDuration: Duration.fromInputUnsafe(duration)
})

/**
 * Returns the step, with `n` requests that are answered normally first.
 *
 * @category steps
 * @since 0.1.0
 */
export const after = (step: Step, n: number): Step => ({ ...step, after: n })
