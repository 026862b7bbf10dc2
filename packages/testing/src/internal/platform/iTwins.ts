// Serves the iTwins API, which lists the iTwins that the caller is a member of.
import { json } from "../engine/answer.ts"
import type { Route } from "../engine/handler.ts"
import { onApi } from "./bearer.ts"
import { integerIn, pageOf, unprocessable } from "./paging.ts"
import { findMember, type Platform } from "./state.ts"
import { callerOf } from "./users.ts"

/** Limits how many iTwins can be reached by paging, unless the header `X-Max-Return` has another number. */
const defaultMaxReturn = "1000"

/** Serves `GET /itwins`. */
export const listITwins = (platform: Platform): Route =>
  onApi(
    platform,
    { method: "GET", path: "/itwins", scopes: ["itwin-platform", "itwins:read"], version: 1 },
    (caller, call) => {
      const maxReturn = integerIn(call.headers["x-max-return"] ?? defaultMaxReturn, 1, 10_000)
      if (maxReturn === undefined) return unprocessable(call, "X-Max-Return", "an integer from 1 to 10000")
      const visible = [...platform.iTwins.values()]
        .filter((iTwin) => findMember(iTwin, callerOf(caller)) !== undefined)
        .slice(0, maxReturn)
      const page = pageOf(call, visible, `${platform.apiBaseUrl}/itwins`)
      if ("refused" in page) return page.refused
      const iTwins = page.items.map(({ roles: _roles, members: _members, ...facts }) => facts)
      return json(call.entry, 200, { iTwins, _links: page.links }, { "x-max-return": String(maxReturn) })
    }
  )
