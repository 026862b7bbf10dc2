/**
 * Describes the requests that a fake received: one entry for each, without secrets and tokens.
 *
 * Both fakes keep the same kind of journal. A journal keeps the newest 10,000 entries (`journalLimit`); {@link Entry}
 * `number` shows how many came before.
 *
 * **Example** (Which versions of an API did the program ask for?)
 *
 * ```ts
 * import { FakeIms, Journal } from "@effect-itwin/testing"
 * import { Effect } from "effect"
 *
 * const accepted = Effect.gen(function* () {
 *   const fake = yield* FakeIms.FakeIms
 *   const entries = yield* fake.journal
 *   console.log(Journal.format(entries))
 *   return entries.map((entry) => entry.headers.accept)
 * })
 * console.log(Effect.isEffect(accepted)) // true
 * ```
 *
 * @since 0.1.0
 */
import { formatInstant } from "./internal/engine/instant.ts"

/**
 * Describes one request. It is filled in while the request is served.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** The position of the request among all that the fake received, counted from 1. */
  readonly number: number
  /** When the request arrived, in epoch milliseconds of the fake's clock. */
  readonly at: number
  /** The route that served it: `POST /connect/token`, `GET /accesscontrol/itwins/:id/roles`; `none` if no route did. */
  readonly route: string
  readonly method: string
  /** The path as it was sent. */
  readonly path: string
  /** The parameters of the query. Values that are not known to be harmless are `<redacted>`. */
  readonly query: Readonly<Record<string, string>>
  /**
   * The headers, names in lower case. Credentials are `<redacted>`; of `authorization` the scheme is shown. Headers of
   * tracers are `<trace>`, because they differ in each run.
   */
  readonly headers: Readonly<Record<string, string>>
  /** The form that was sent. Values that are not known to be harmless are `<redacted>`. */
  readonly form: Readonly<Record<string, string>>
  /** Any other body, at most 16,384 characters. Secrets and tokens in it are `<redacted>`. */
  readonly body: string | undefined
  readonly correlationId: string
  /** How many requests were served when it arrived, itself included. */
  readonly concurrency: number
  /** The client that sent it, if that is known. */
  readonly clientId: string | undefined
  /** How the client authenticated at IMS. */
  readonly authentication: "client_secret_post" | "client_secret_basic" | "none" | undefined
  /** Which secret of the app was sent, counted from 1 in the order of creation; absent if it is not one of them. */
  readonly secretVersion: number | undefined
  /** The tag of the fault that was applied to it. */
  readonly fault: string | undefined
  /** The status of the answer; absent until there is one. */
  readonly status: number | undefined
  /** `ok`, the error code of the answer, `fault` (the script answered), or `unanswered`. */
  readonly outcome: string
  /** Why it was refused, in more words than the answer has: "The secret belongs to another app." */
  readonly explanation: string | undefined
}

/**
 * Selects entries. All that is given must apply.
 *
 * @category models
 * @since 0.1.0
 */
export interface Filter {
  readonly route?: string | undefined
  readonly outcome?: string | undefined
  readonly clientId?: string | undefined
  /** The `number` after which to begin. */
  readonly since?: number | undefined
}

/**
 * Returns the entries that the filter selects.
 *
 * @category filtering
 * @since 0.1.0
 */
export const filter = (entries: ReadonlyArray<Entry>, by: Filter): ReadonlyArray<Entry> =>
  entries.filter(
    (entry) =>
      (by.route === undefined || entry.route === by.route) &&
      (by.outcome === undefined || entry.outcome === by.outcome) &&
      (by.clientId === undefined || entry.clientId === by.clientId) &&
      (by.since === undefined || entry.number > by.since)
  )

const columns: ReadonlyArray<readonly [string, (entry: Entry) => string]> = [
  ["#", (entry) => String(entry.number)],
  ["at", (entry) => formatInstant(entry.at)],
  ["request", (entry) => (entry.route === "none" ? `${entry.method} ${entry.path}` : entry.route)],
  ["status", (entry) => String(entry.status ?? "-")],
  ["outcome", (entry) => entry.outcome],
  ["client", (entry) => entry.clientId ?? "-"],
  ["scope", (entry) => entry.form.scope ?? "-"],
  ["concurrency", (entry) => String(entry.concurrency)],
  ["explanation", (entry) => entry.explanation ?? ""]
]

/**
 * Returns the entries as a table.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (entries: ReadonlyArray<Entry>): string => {
  const rows = [columns.map(([title]) => title), ...entries.map((entry) => columns.map(([, cell]) => cell(entry)))]
  const widths = columns.map((_, column) => rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}
