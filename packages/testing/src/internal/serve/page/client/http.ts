// Sends requests: the real ones to IMS and the APIs, and those to the admin API.
import { session } from "./session.ts"
import type { Request, Response } from "./wire.ts"

/** The fake did not answer. */
export class Unreachable extends Error {}

/** The admin API rejected the admin token, or there is none. */
export class AdminTokenNeeded extends Error {}

/** The admin API refused what was asked; the message says why. */
export class Refused extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const fetched = (path: string, init: RequestInit): Promise<globalThis.Response> =>
  fetch(path, { cache: "no-store", credentials: "omit", ...init }).catch(() => {
    throw new Unreachable("The fake does not answer. Start it again; this page continues by itself.")
  })

/** Sends the request as a program would. */
export const send = async ({ method, path, headers, form }: Request): Promise<Response> => {
  const response = await fetched(path, {
    method,
    ...(headers === undefined ? {} : { headers }),
    ...(form === undefined ? {} : { body: new URLSearchParams(form) })
  })
  return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() }
}

export interface Json {
  readonly [name: string]: unknown
}

/** Asks the admin API. */
export const admin = async <A extends object = Json>(route: string, body?: object): Promise<A> => {
  const [method = "GET", path = "/"] = route.split(" ")
  const response = await fetched(path, {
    method,
    headers: {
      ...(session.adminToken === undefined ? {} : { authorization: `Bearer ${session.adminToken}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" })
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  if (response.status === 401) throw new AdminTokenNeeded("This fake has an admin token. Enter it to continue.")
  const json: A & { readonly message?: string } = await response.json()
  if (!response.ok) throw new Refused(response.status, json.message ?? `The admin API returned ${response.status}.`)
  return json
}
