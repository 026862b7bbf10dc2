// The journal: of IMS with the platform, and of the vault.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { FakeIms } from "../../../FakeIms.ts"
import * as Journal from "../../../Journal.ts"
import { noRoute } from "../../engine/journal.ts"
import type { Admin } from "./admin.ts"
import { asDone, Done, group, orAbsent } from "./declare.ts"
import { Conflict, NotFound, orNotFound } from "./errors.ts"

const Texts = Schema.Record(Schema.String, Schema.String)

const Entry = Schema.Struct({
  number: Schema.Int.annotate({ description: "The position among all requests, from 1." }),
  at: Schema.Finite.annotate({
    description: "When the request arrived, in epoch milliseconds of the fake's clock."
  }),
  route: Schema.String.annotate({ description: "The route that served it, or `none`." }),
  method: Schema.String,
  path: Schema.String,
  query: Texts,
  headers: Texts,
  form: Texts,
  body: orAbsent(Schema.String),
  correlationId: Schema.String,
  concurrency: Schema.Int.annotate({
    description: "How many requests were served when it arrived, itself included."
  }),
  clientId: orAbsent(Schema.String),
  authentication: orAbsent(Schema.Literals(["client_secret_post", "client_secret_basic", "none"])),
  secretVersion: orAbsent(Schema.Int),
  fault: orAbsent(Schema.String),
  status: orAbsent(Schema.Int),
  outcome: Schema.String.annotate({
    description: "`ok`, the error code of the answer, `fault` (the script answered), or `unanswered`."
  }),
  explanation: orAbsent(Schema.String)
}).annotate({ identifier: "JournalEntry", description: "One request. Secrets and tokens in it are `<redacted>`." })

const Summary = Schema.Struct({
  dropped: Schema.Int.annotate({ description: "How many entries the journal dropped, because it was full." }),
  maxConcurrent: Schema.Int.annotate({ description: "The largest number of requests served at the same time." }),
  requests: Schema.Int.annotate({ description: "How many requests arrived; with `route`, those to this route." })
}).annotate({ identifier: "JournalSummary" })

const integerFrom = (minimum: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(minimum))

const route = Schema.optionalKey(Schema.String.annotate({ description: "For example `POST /connect/token`." }))

/** In milliseconds. Proxies and clients end requests that take longer. */
const longestWait = 60_000

/** The endpoints for any fake. */
export const journalEndpoints = [
  HttpApiEndpoint.get("journal", "/journal", {
    query: {
      route,
      outcome: Schema.optionalKey(Schema.String),
      clientId: Schema.optionalKey(Schema.String),
      since: Schema.optionalKey(integerFrom(0).annotate({ description: "The `number` after which to begin." })),
      limit: Schema.optionalKey(integerFrom(1).annotate({ description: "Returns the newest ones only." }))
    },
    success: Schema.Array(Entry),
    error: NotFound
  }).annotate(
    OpenApi.Summary,
    "Returns the requests, oldest first, without secrets; filters: `route`, `outcome`, `clientId`, `since`, `limit`"
  ),
  HttpApiEndpoint.delete("clearJournal", "/journal", { success: Done }).annotate(
    OpenApi.Summary,
    "Forgets the journal; numbers begin at 1 again"
  ),
  HttpApiEndpoint.get("journalSummary", "/journal/summary", {
    query: { route },
    success: Summary,
    error: NotFound
  }).annotate(
    OpenApi.Summary,
    "Counts the requests (of a `route`) and the dropped entries, and returns the largest concurrency"
  ),
  HttpApiEndpoint.get("awaitRequest", "/journal/wait", {
    query: {
      route: Schema.String,
      n: Schema.optionalKey(integerFrom(1).annotate({ description: "1 by default." })),
      timeout: Schema.optionalKey(
        Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: longestWait })).annotate({
          description: "In milliseconds of real time; 10000 by default, at most 60000."
        })
      )
    },
    success: Entry,
    error: [NotFound, Conflict]
  }).annotate(
    OpenApi.Summary,
    "Waits for the `n`-th request to a `route`, at most `timeout` milliseconds; 409 if it did not arrive"
  )
] as const

type Controls = Pick<
  FakeIms["Service"],
  "journal" | "clearJournal" | "droppedEntries" | "countRequests" | "maxConcurrent" | "awaitRequest"
>

interface Query<A> {
  readonly query: A
}

export const journalHandlers = (controls: Controls) => {
  /** Fails if the fake does not have the route, so that a misspelled one does not look like one without requests. */
  const check = (route: string | undefined) =>
    route === undefined || route === noRoute ? Effect.void : orNotFound(controls.countRequests(route))

  return {
    journal: ({ query: { limit, ...filter } }: Query<Journal.Filter & { readonly limit?: number | undefined }>) =>
      Effect.andThen(
        check(filter.route),
        Effect.map(controls.journal, (entries) => {
          const selected = Journal.filter(entries, filter)
          return limit === undefined ? selected : selected.slice(-limit)
        })
      ),
    clearJournal: () => asDone(controls.clearJournal),
    journalSummary: Effect.fnUntraced(function* ({ query }: Query<{ readonly route?: string | undefined }>) {
      yield* check(query.route)
      const [dropped, maxConcurrent, entries] = yield* Effect.all([
        controls.droppedEntries,
        controls.maxConcurrent,
        controls.journal
      ])
      const requests =
        query.route === undefined || query.route === noRoute
          ? Journal.filter(entries, query).length + (query.route === undefined ? dropped : 0)
          : yield* controls.countRequests(query.route)
      return { dropped, maxConcurrent, requests }
    }),
    awaitRequest: Effect.fnUntraced(function* ({
      query: { n = 1, route, timeout = 10_000 }
    }: Query<{ readonly route: string; readonly n?: number; readonly timeout?: number }>) {
      // Real time, because the fake's own clock moves only as the test moves it.
      const waited = yield* orNotFound(controls.awaitRequest(route, n)).pipe(
        Effect.timeoutOption(timeout),
        Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
      )
      if (Option.isSome(waited)) return waited.value
      return yield* new Conflict({ message: `Request ${n} to ${route} did not arrive within ${timeout} ms.` })
    })
  }
}

export const journal = group("journal", "/__admin", "The requests that the fake received.", ...journalEndpoints)

export const layer = ({ ims }: Admin) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(journal), "journal", (handlers) =>
    handlers.handleAll(journalHandlers(ims))
  )
