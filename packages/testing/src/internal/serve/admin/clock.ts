// The fake's clock.
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { Millis } from "../inputs.ts"
import type { Admin } from "./admin.ts"
import { group } from "./declare.ts"

const Time = Schema.Struct({
  now: Schema.Finite.annotate({ description: "The fake's time, in epoch milliseconds." }),
  offset: Schema.Finite.annotate({ description: "How far it is ahead of the machine's clock, in milliseconds." })
}).annotate({ identifier: "Time" })

const zoned = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})$/

const millisOf = (instant: number | string): number =>
  typeof instant === "number" ? instant : zoned.test(instant) ? Date.parse(instant) : Number.NaN

/** The years that ISO 8601 writes with four digits. */
const isInstant = (millis: number): boolean => millis >= Date.UTC(1970) && millis < Date.UTC(10_000)

const Instant = Schema.Union([Schema.Int, Schema.String]).check(
  Schema.makeFilter((instant) =>
    isInstant(millisOf(instant))
      ? undefined
      : "Expected epoch milliseconds, or ISO 8601 with a time zone such as 2030-01-31T12:00:00Z, from 1970 to 9999"
  )
)

const Move = Schema.Struct({
  advance: Schema.optionalKey(Millis.annotate({ description: "By how many milliseconds to advance the clock." })),
  set: Schema.optionalKey(
    Instant.annotateKey({ description: "The time to set: ISO 8601 with a time zone, or epoch milliseconds." })
  )
}).check(
  Schema.makeFilter(({ advance, set }) =>
    (advance === undefined) === (set === undefined) ? "Expected either advance or set" : undefined
  )
)

export const clock = group(
  "clock",
  "/__admin",
  "The time of the fake. When it moves on, tokens expire and pending delays end.",
  HttpApiEndpoint.get("time", "/clock", { success: Time }).annotate(OpenApi.Summary, "Returns the fake's time"),
  HttpApiEndpoint.post("moveClock", "/clock", { payload: Move, success: Time }).annotate(
    OpenApi.Summary,
    "Moves the fake's time: `advance` by milliseconds, or `set` to ISO 8601 or epoch milliseconds"
  )
)

export const layer = ({ clock: adjustable }: Admin) => {
  const time = Effect.sync(() => ({ now: adjustable.currentTimeMillisUnsafe(), offset: adjustable.offset() }))
  return HttpApiBuilder.group(HttpApi.make("fake-ims").add(clock), "clock", (handlers) =>
    handlers.handleAll({
      time: () => time,
      moveClock: ({ payload: { advance = 0, set } }) =>
        Effect.andThen(
          Effect.sync(() => {
            const by = set === undefined ? advance : millisOf(set) - adjustable.currentTimeMillisUnsafe()
            adjustable.advance(by)
          }),
          time
        )
    })
  )
}
