/**
 * What reached the fake: one entry for each request, without secrets and tokens.
 *
 * @since 0.1.0
 */
import { formatInstant } from "./internal/instant.ts"

/**
 * One request. It is filled in while it is served.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** When it came, in epoch milliseconds of the fake's clock. */
  readonly at: number
  /** Method and path: `POST /connect/token`. */
  readonly route: string
  readonly correlationId: string
  /** How many requests were being served when it came, itself included. */
  readonly concurrency: number
  /** The form that was sent, with secrets and tokens as `<redacted>`. */
  readonly form: Readonly<Record<string, string>>
  /** Who asked, if that could be told. */
  readonly clientId: string | undefined
  /** How the client authenticated at IMS. */
  readonly authentication: "client_secret_post" | "client_secret_basic" | undefined
  /** Which secret of the app was shown, counted from 1 as they were made; absent if it is none of them. */
  readonly secretVersion: number | undefined
  /** The status of the answer; absent while there is none. */
  readonly status: number | undefined
  /** `ok`, the error code of the answer, the fault that struck, or `unanswered`. */
  readonly outcome: string
}

const columns: ReadonlyArray<readonly [string, (entry: Entry) => string]> = [
  ["at", (entry) => formatInstant(entry.at)],
  ["request", (entry) => entry.route],
  ["status", (entry) => String(entry.status ?? "-")],
  ["outcome", (entry) => entry.outcome],
  ["client", (entry) => entry.clientId ?? "-"],
  ["scope", (entry) => entry.form.scope ?? "-"],
  ["at once", (entry) => String(entry.concurrency)]
]

/**
 * The journal as a table for a person.
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
