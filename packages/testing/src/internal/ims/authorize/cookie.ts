// Keeps the id of the browser's session at IMS in a cookie.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Call, Response } from "../../engine/handler.ts"
import { findSession, type Session } from "../signIns.ts"
import type { Ims } from "../state.ts"

const name = "fake-ims-session"

const idOf = ({ headers }: Call): string | undefined =>
  new RegExp(`(?:^|; *)${name}=([^;]*)`).exec(headers.cookie ?? "")?.[1]

const attributes = ({ environment }: Ims) =>
  ({
    path: "/",
    httpOnly: true,
    sameSite: "lax",
    secure: environment.authorizationEndpoint.startsWith("https:")
  }) as const

/** Returns the session of the browser that sent the request. */
export const sessionOf = (ims: Ims, call: Call): Session | undefined => {
  const id = idOf(call)
  return id === undefined ? undefined : findSession(ims, id)
}

const endSession = (ims: Ims, call: Call): void => {
  const id = idOf(call)
  if (id !== undefined) ims.signIns.sessions.delete(id)
}

/** Gives the browser another session; the one that it had has ended. */
export const withSession = (ims: Ims, call: Call, response: Response, id: string): Response => {
  endSession(ims, call)
  return HttpServerResponse.setCookieUnsafe(response, name, id, attributes(ims))
}

/** Ends the session of the browser and removes its cookie. */
export const withoutSession = (ims: Ims, call: Call, response: Response): Response => {
  endSession(ims, call)
  return HttpServerResponse.setCookieUnsafe(response, name, "", { ...attributes(ims), maxAge: 0 })
}
