// Divides a list into pages: `$skip`, `$top`, and the links to this page, the previous one and the next one.
import type { Call, Response } from "../engine/handler.ts"
import { apiError } from "./apiError.ts"

const defaultTop = 100
const maxTop = 1000

/** Returns the number; `undefined` if the text is not an integer within the limits. */
export const integerIn = (text: string, from: number, to: number): number | undefined => {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  return number >= from && number <= to ? number : undefined
}

/** Answers 422 for a parameter of a list. */
export const unprocessable = ({ entry }: Call, target: string, expected: string): Response =>
  apiError(entry, 422, "InvalidRequest", "The request is invalid.", {
    details: [{ code: "InvalidParameter", message: `${target} must be ${expected}.`, target }]
  })

/** Returns the page of the items that the request names, or the answer that refuses the request. */
export const pageOf = <A>(
  call: Call,
  items: ReadonlyArray<A>,
  /** The URL in the links, without a query. */
  url: string
): { readonly items: ReadonlyArray<A>; readonly links: object } | { readonly refused: Response } => {
  const skip = integerIn(call.query.get("$skip") ?? "0", 0, 999_999_999)
  const top = integerIn(call.query.get("$top") ?? String(defaultTop), 1, maxTop)
  if (skip === undefined) return { refused: unprocessable(call, "$skip", "an integer of at least 0") }
  if (top === undefined) return { refused: unprocessable(call, "$top", `an integer from 1 to ${maxTop}`) }
  const linkTo = (skip: number) => ({ href: `${url}?$skip=${skip}&$top=${top}` })
  return {
    items: items.slice(skip, skip + top),
    links: {
      self: linkTo(skip),
      ...(skip > 0 ? { prev: linkTo(Math.max(0, skip - top)) } : {}),
      ...(skip + top < items.length ? { next: linkTo(skip + top) } : {})
    }
  }
}
