// Divides a list into pages: `maxresults` items, and a link to the next page.
import type { Call } from "../engine/handler.ts"

const mostResults = 25

export interface Page {
  readonly value: ReadonlyArray<unknown>
  readonly nextLink: string | null
}

/** Reads how many items the page has and the key after which it begins, or says why the query is not valid. */
const readQuery = (query: URLSearchParams): { readonly size: number; readonly after: string | undefined } | string => {
  const given = query.get("maxresults") ?? String(mostResults)
  const size = /^\d{1,3}$/.test(given) ? Number(given) : 0
  if (size < 1 || size > mostResults) return `maxresults must be an integer from 1 to ${mostResults}.`
  const token = query.get("$skiptoken")
  if (token === null) return { size, after: undefined }
  return /^[\w-]+$/.test(token)
    ? { size, after: Buffer.from(token, "base64url").toString() }
    : "$skiptoken is not valid."
}

/**
 * Returns a page of the items, or why the query is not valid. The items are in the order of their keys. A link names
 * the last key of its page, so that a change of the list between two pages neither repeats nor hides another item.
 */
export const pageOf = (
  url: string,
  { path, query }: Call,
  items: ReadonlyArray<readonly [key: string, item: unknown]>
): Page | string => {
  const asked = readQuery(query)
  if (typeof asked === "string") return asked
  const { size, after } = asked
  const left = after === undefined ? items : items.filter(([key]) => key > after)
  const shown = left.slice(0, size)
  const last = shown.at(-1)
  const next = new URLSearchParams({
    "api-version": query.get("api-version") ?? "",
    $skiptoken: Buffer.from(last?.[0] ?? "").toString("base64url"),
    maxresults: String(size)
  })
  return {
    value: shown.map(([, item]) => item),
    nextLink: left.length > size ? `${url}${path}?${next}` : null
  }
}
