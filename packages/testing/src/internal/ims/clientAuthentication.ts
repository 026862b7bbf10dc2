// Authenticates a client at all endpoints of IMS that demand it (RFC 6749 §2.3).
import * as Effect from "effect/Effect"
import type { Call, Response, Route } from "../engine/handler.ts"
import { isPublic, nameOf } from "./appTypes.ts"
import type { Application } from "./clients.ts"
import { type Form, readForm } from "./form.ts"
import { invalidRequest, oauthError } from "./oauthError.ts"
import { explainRejection, formDecode, type Presented } from "./rejectedClient.ts"
import { type Ims, now } from "./state.ts"

const fromBasic = (header: string, read: (value: string) => string, isDecoded: boolean): Presented | undefined => {
  const encoded = /^Basic +([A-Za-z0-9+/]+=*)$/i.exec(header)?.[1]
  // Only the first colon divides: an id can't contain one, a secret can (RFC 7617 §2).
  const [, clientId, clientSecret] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded ?? "", "base64").toString()) ?? []
  if (clientId === undefined || clientSecret === undefined) return undefined
  return {
    method: "client_secret_basic",
    clientId: read(clientId),
    clientSecret: read(clientSecret),
    raw: { clientId, clientSecret },
    isDecoded
  }
}

const fromForm = ({ values, raw }: Form): Presented => ({
  method: "client_secret_post",
  clientId: values.client_id ?? "",
  clientSecret: values.client_secret ?? "",
  raw: { clientId: raw("client_id"), clientSecret: raw("client_secret") },
  isDecoded: true
})

/** Returns the credentials of the request, once for each way in which the profile reads them; empty if none are readable. */
const presentedBy = ({ profile }: Ims, header: string | undefined, form: Form): ReadonlyArray<Presented> => {
  if (header === undefined) return form.values.client_id === undefined ? [] : [fromForm(form)]
  if (!profile.clientSecretBasic) return []
  const decoded = profile.basicEncoding === "raw" ? undefined : fromBasic(header, formDecode, true)
  const raw = profile.basicEncoding === "form" ? undefined : fromBasic(header, (value) => value, false)
  return [decoded, raw].filter((presented) => presented !== undefined)
}

/** Returns the app, if its secret is accepted now, or if it has none. Notes in the entry which secret was sent. */
const verify = (ims: Ims, { entry }: Call, presented: Presented): Application | undefined => {
  const { clientId, clientSecret, method } = presented
  const app = ims.apps.get(clientId)
  if (app !== undefined && isPublic(app.type)) {
    if (method === "client_secret_basic" || clientSecret !== "") return undefined
    entry.authentication = "none"
    return app.isEnabled ? app : undefined
  }
  const version = app?.secrets.findIndex(({ value }) => value === clientSecret) ?? -1
  if (version >= 0) entry.secretVersion = version + 1
  const validUntil = app?.secrets[version]?.validUntil ?? Number.NEGATIVE_INFINITY
  return app?.isEnabled === true && now(ims) < validUntil ? app : undefined
}

const invalidClient = ({ profile }: Ims, call: Call, explanation: string): Effect.Effect<Response> => {
  const { entry } = call
  const isChallenged = call.headers.authorization !== undefined && profile.basicChallenge
  entry.explanation = explanation
  const response = oauthError(
    entry,
    isChallenged ? 401 : profile.invalidClientStatus,
    "invalid_client",
    "Invalid client or client credentials.",
    isChallenged ? { "www-authenticate": 'Basic realm="IMS"' } : {}
  )
  const client = entry.clientId === undefined ? "a client" : `client ${entry.clientId}`
  return Effect.as(
    Effect.logInfo(`The fake IMS rejected ${client}: ${explanation} [correlation id ${entry.correlationId}]`),
    response
  )
}

const nothingPresented = ({ profile }: Ims, header: string | undefined): string => {
  if (header === undefined) return "The request contains no client credentials."
  return profile.clientSecretBasic
    ? "The Authorization header is not a well-formed Basic header."
    : "This profile does not accept the Authorization header. Send client_id and client_secret in the form."
}

/** Says for which clients an endpoint is. */
type Clients = "confidential" | "confidential and public"

/** Returns the app that sent the request, or the answer that refuses it. */
const authenticate = (
  ims: Ims,
  clients: Clients,
  form: Form,
  call: Call
): Application | Response | Effect.Effect<Response> => {
  const { authorization } = call.headers
  if (authorization !== undefined && form.values.client_secret !== undefined) {
    return invalidRequest(call.entry, "The request uses more than one way of client authentication.")
  }
  const readings = presentedBy(ims, authorization, form)
  const [presented] = readings
  if (presented === undefined) return invalidClient(ims, call, nothingPresented(ims, authorization))
  if (form.values.client_id !== undefined && readings.every(({ clientId }) => clientId !== form.values.client_id)) {
    return invalidRequest(call.entry, "The client_id in the body differs from that in the Authorization header.")
  }
  call.entry.authentication = presented.method
  for (const reading of readings) {
    const app = verify(ims, call, reading)
    if (app === undefined) continue
    return clients === "confidential" && isPublic(app.type)
      ? invalidClient(ims, call, `This endpoint requires a secret, and a ${nameOf[app.type]} has none.`)
      : app
  }
  return invalidClient(ims, call, explainRejection(ims, presented))
}

/**
 * Notes in the entry which client sent the request, before a fault can answer it. A value that is not a registered client
 * id may be a secret.
 */
const noteClient =
  (ims: Ims) =>
  (call: Call): undefined => {
    const form = readForm(call)
    const presented =
      "problem" in form
        ? []
        : presentedBy(ims, call.headers.authorization, form).toSorted(
            (a, b) => Number(ims.apps.has(b.clientId)) - Number(ims.apps.has(a.clientId))
          )
    const clientId = presented[0]?.clientId
    call.entry.clientId = clientId === undefined ? undefined : ims.redact(clientId)
  }

/** Builds an endpoint that takes a form from an authenticated app. A public client only names itself. */
export const authenticatedForm = (
  ims: Ims,
  clients: Clients,
  handle: (app: Application, form: Form["values"], call: Call) => Response
): Pick<Route, "gate" | "serve"> => ({
  gate: noteClient(ims),
  serve: (call) => {
    const form = readForm(call)
    if ("problem" in form) return invalidRequest(call.entry, form.problem)
    const app = authenticate(ims, clients, form, call)
    return "secrets" in app ? handle(app, form.values, call) : app
  }
})
