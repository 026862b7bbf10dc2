// The journal as server-sent events, for readers that follow it: the page, or `curl -N`.
import { randomUUID } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Admin } from "./admin.ts"
import { group } from "./declare.ts"

export const events = group(
  "events",
  "/__admin",
  "The requests that the fake received, as they arrive.",
  HttpApiEndpoint.get("journalEvents", "/journal/events", {
    query: {
      limit: Schema.optionalKey(
        Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)).annotate({
          description: "Begins with the newest entries only, at most this number."
        })
      )
    },
    success: Schema.String.annotate({
      description:
        "Events: `start` names the process and its time; `entry` is a request that arrived or was answered; `clear` says " +
        "that the journal was cleared; `time` comes at least every 3 s. `Last-Event-ID` continues after that event."
    }).pipe(HttpApiSchema.asText({ contentType: "text/event-stream" }))
  }).annotate(OpenApi.Summary, "Sends the requests as server-sent events, as they arrive and as they are answered")
)

/** Entries that change within this time are sent together, each once. */
const pause = "50 millis"

/** How long the stream is silent at most, so that a reader notices a broken connection. */
const silence = "3 seconds"

interface Position {
  /** The newest change that was sent; `undefined` before the first event. */
  readonly seen: number | undefined
}

const encoder = new TextEncoder()

export const layer = ({ clock, journal }: Admin) => {
  // Tells this process from the next one at the same address, whose changes are counted from 1 again.
  const instance = randomUUID()

  const event = (name: string, change: number, data: unknown): string =>
    `event: ${name}\nid: ${instance}/${change}\ndata: ${JSON.stringify(data)}\n\n`

  const timeEvent = (name: string, change: number): string =>
    event(name, change, { instance, now: clock.currentTimeMillisUnsafe() })

  /** Returns the events after the change `seen`. */
  const eventsAfter = (seen: number, limit: number): readonly [string, number] => {
    const { entries, isCleared, last } = journal.changesSince(seen)
    // An event's id is that of all before it, so only the last event may have the id of the last change.
    const parts = entries.slice(-limit).map((entry) => event("entry", seen, entry))
    return [(isCleared ? event("clear", seen, {}) : "") + parts.join("") + timeEvent("time", last), last]
  }

  const follow = (from: number, limit: number) =>
    Stream.unfold<Position, Uint8Array, never, never>({ seen: undefined }, ({ seen }) =>
      Effect.gen(function* () {
        if (seen === undefined) {
          const [text, last] = eventsAfter(from, limit)
          return [`retry: 1000\n${timeEvent("start", from)}${text}`, last] as const
        }
        yield* Effect.timeoutOption(Effect.andThen(journal.nextChange(seen), Effect.sleep(pause)), silence)
        return eventsAfter(seen, Number.POSITIVE_INFINITY)
      }).pipe(
        Effect.map(([text, seen]) => [encoder.encode(text), { seen }] as const),
        // Real time, because the fake's own clock moves only as the test moves it.
        Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
      )
    )

  return HttpApiBuilder.group(HttpApi.make("fake-ims").add(events), "events", (handlers) =>
    handlers.handle("journalEvents", ({ query: { limit = Number.POSITIVE_INFINITY } }) =>
      Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
        const [process, change] = (headers["last-event-id"] ?? "").split("/")
        const isContinued = process === instance && /^\d{1,15}$/.test(change ?? "")
        return HttpServerResponse.stream(
          follow(isContinued ? Number(change) : 0, isContinued ? Number.POSITIVE_INFINITY : limit),
          { contentType: "text/event-stream", headers: { "cache-control": "no-store", "x-accel-buffering": "no" } }
        )
      })
    )
  )
}
