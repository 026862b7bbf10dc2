// The session of a request: its cookie, and how a browser keeps and loses it.
import * as SessionStore from "@effect-itwin/core/SessionStore"
import type { SessionInfo } from "@effect-itwin/core/UserTokens"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { cookiesOf, removeCookie, sessionCookie, setCookie } from "./cookies.ts"

/** Returns the id in the cookie of the request. */
export const sessionIdOf = (headers: Headers.Headers): Option.Option<SessionStore.SessionId> =>
  Option.flatMap(Option.fromUndefinedOr(cookiesOf(headers).get(sessionCookie)), SessionStore.parseId)

/** Gives the browser the session, for as long as it lasts. */
export const setSession = (id: SessionStore.SessionId, { expiresAt }: SessionInfo, now: DateTime.Utc) =>
  setCookie(sessionCookie, Redacted.value(id), Duration.max(DateTime.distance(now, expiresAt), Duration.zero))

/** Takes the session from the browser. */
export const removeSession = removeCookie(sessionCookie)
