// How a client proves who it is at IMS (RFC 6749 §2.3), at all endpoints that ask for it.

import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as UrlParams from "effect/http/UrlParams"
import type { Fault } from "../Fault.ts"
import { oauthError } from "./answer.ts"
import type { Handle } from "./fake.ts"
import { type Application, type Entry, now, type State } from "./state.ts"

export type Form = Readonly<Record<string, string>>

/** Undoes application/x-www-form-urlencoded of one value (RFC 6749 appendix B). */
const formDecode = (value: string): string => new URLSearchParams(`v=${value}`).get("v") ?? ""

const fromBasic = (header: string) => {
  const match = /^Basic ([A-Za-z0-9+/]+=*)$/i.exec(header)
  // Only the first colon divides: an id can't have one, a secret can (RFC 7617 §2).
  const [, clientId, clientSecret] = /^([^:]*):(.*)$/s.exec(Buffer.from(match?.[1] ?? "", "base64").toString()) ?? []
  return clientId === undefined || clientSecret === undefined
    ? undefined
    : { clientId: formDecode(clientId), clientSecret: formDecode(clientSecret) }
}

/** The app that asks, or the answer that refuses it. */
const authenticate = (
  state: State,
  form: Form,
  header: string | undefined,
  entry: Entry
): Application | HttpServerResponse.HttpServerResponse => {
  const invalid = (description: string) => oauthError(entry, 400, "invalid_request", description)
  if (header !== undefined && form.client_secret !== undefined) {
    return invalid("The request uses more than one way of client authentication.")
  }
  if (header === undefined && form.client_id === undefined) return invalid("The request lacks client_id.")
  const presented =
    header === undefined
      ? { clientId: form.client_id ?? "", clientSecret: form.client_secret ?? "" }
      : state.profile.clientSecretBasic
        ? fromBasic(header)
        : undefined
  if (presented === undefined) return invalid("The Authorization header is not one that IMS understands.")
  if (form.client_id !== undefined && form.client_id !== presented.clientId) {
    return invalid("The client_id in the body is not that in the Authorization header.")
  }
  entry.authentication = header === undefined ? "client_secret_post" : "client_secret_basic"
  entry.clientId = presented.clientId
  const app = state.apps.get(presented.clientId)
  const version = app?.secrets.findIndex(({ value }) => value === presented.clientSecret) ?? -1
  if (version >= 0) entry.secretVersion = version + 1
  const validUntil = app?.secrets[version]?.validUntil ?? Number.NEGATIVE_INFINITY
  return app === undefined || !app.enabled || now(state) >= validUntil
    ? oauthError(entry, state.profile.invalidClientStatus, "invalid_client", "Invalid client or client credentials.")
    : app
}

const secretFields = ["client_secret", "token"]

const readForm = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Form, string> => {
  const contentType = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase()
  if (contentType !== "application/x-www-form-urlencoded") {
    return Effect.fail("The body must be application/x-www-form-urlencoded.")
  }
  return request.urlParamsBody.pipe(
    Effect.mapError(() => "The body could not be read."),
    Effect.flatMap((params) => {
      const form: Record<string, string> = {}
      for (const [name, value] of Object.entries(UrlParams.toRecord(params))) {
        // RFC 6749 §3.2: never twice, and without a value as if it were not there.
        if (typeof value !== "string") return Effect.fail(`The parameter ${name} is repeated.`)
        if (value !== "") form[name] = value
      }
      return Effect.succeed(form)
    })
  )
}

/** An endpoint that takes a form from an authenticated app. */
export const authenticatedForm =
  (
    state: State,
    handle: (
      app: Application,
      form: Form,
      entry: Entry,
      fault: Fault | undefined
    ) => HttpServerResponse.HttpServerResponse
  ): Handle =>
  (request, entry, _params, fault) =>
    Effect.match(readForm(request), {
      onFailure: (why) => oauthError(entry, 400, "invalid_request", why),
      onSuccess: (form) => {
        entry.form = Object.fromEntries(
          Object.entries(form).map(([name, value]) => [name, secretFields.includes(name) ? "<redacted>" : value])
        )
        const app = authenticate(state, form, request.headers.authorization, entry)
        return "clientId" in app ? handle(app, form, entry, fault) : app
      }
    })
