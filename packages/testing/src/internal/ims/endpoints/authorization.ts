// Serves the authorization endpoint (RFC 6749 §3.1), and the forms of its pages.
import type { Call, Response, Route } from "../../engine/handler.ts"
import { refuse, sendCode, show } from "../authorize/answers.ts"
import { sessionOf, withSession } from "../authorize/cookie.ts"
import { type AuthorizationRequest, readRequest } from "../authorize/request.ts"
import { isSameOrigin } from "../authorize/sameOrigin.ts"
import { readForm } from "../form.ts"
import { host } from "../oauthError.ts"
import { consentPage, formPath, signInPage } from "../pages/signInPages.ts"
import { openSession, type Session } from "../signIns.ts"
import { type Ims, now, pathsOf } from "../state.ts"
import { findUser } from "../users.ts"

const askWho = (ims: Ims, call: Call, request: AuthorizationRequest): Response => {
  call.entry.outcome = "sign_in"
  return signInPage(call.entry, request, [...ims.users.values()])
}

const askConsent = (call: Call, request: AuthorizationRequest, session: Session): Response => {
  call.entry.outcome = "consent"
  return consentPage(call.entry, request, session.user)
}

const needsConsent = ({ app, prompts, scopes }: AuthorizationRequest, { user }: Session): boolean =>
  prompts.has("consent") || [...scopes].some((scope) => user.consents.get(app.clientId)?.has(scope) !== true)

/** Returns whether the session is not enough for the request, so that the user must sign in again. */
const isTooOld = (ims: Ims, { loginHint, maxAge }: AuthorizationRequest, { authTime, user }: Session): boolean =>
  (maxAge !== undefined && now(ims) / 1000 - authTime > maxAge) ||
  (loginHint !== undefined && findUser(ims, loginHint) !== user)

/** Signs a user in without a page: that of the hint, that of the session, or the first one. */
const signInAtOnce = (ims: Ims, call: Call, request: AuthorizationRequest): Response => {
  const [first] = ims.users.values()
  const hinted = request.loginHint === undefined ? undefined : findUser(ims, request.loginHint)
  const user = hinted ?? sessionOf(ims, call)?.user ?? first
  if (user === undefined) {
    return show(ims, call, { error: "server_error", why: "The profile says signIn: auto, and the fake has no user." })
  }
  const { id, session } = openSession(ims, user)
  return withSession(ims, call, sendCode(ims, call, request, session), id)
}

/** Answers a valid request: with the code if nothing must be asked, else with a page. */
const authorize = (ims: Ims, call: Call, request: AuthorizationRequest): Response => {
  const { prompts } = request
  if (ims.profile.signIn === "auto") return signInAtOnce(ims, call, request)
  const known = sessionOf(ims, call)
  const session = known === undefined || isTooOld(ims, request, known) ? undefined : known
  if (prompts.has("none")) {
    const required = (error: string, why: string) => refuse(ims, call, { ...request, error, why })
    if (session === undefined)
      return required("login_required", "The user must sign in, and prompt=none forbids a page.")
    return needsConsent(request, session)
      ? required("consent_required", "The user must consent, and prompt=none forbids a page.")
      : sendCode(ims, call, request, session)
  }
  if (session === undefined || prompts.has("login") || prompts.has("select_account")) return askWho(ims, call, request)
  return needsConsent(request, session) ? askConsent(call, request, session) : sendCode(ims, call, request, session)
}

/** Reads the request, and answers what a request that is not valid gets. */
const withRequest = (
  ims: Ims,
  call: Call,
  params: URLSearchParams,
  answer: (request: AuthorizationRequest) => Response
): Response => {
  const request = readRequest(ims, params)
  call.entry.clientId = ims.apps.get(params.get("client_id") ?? "")?.clientId
  if (!("_tag" in request)) return answer(request)
  return request._tag === "Shown" ? show(ims, call, request) : refuse(ims, call, request)
}

const isForm = ({ headers }: Call): boolean =>
  headers["content-type"]?.split(";")[0]?.trim().toLowerCase() === "application/x-www-form-urlencoded"

/** Answers what the person decided on a page. */
const decide = (
  ims: Ims,
  call: Call,
  request: AuthorizationRequest,
  form: Readonly<Record<string, string | undefined>>
) => {
  const { decision, email } = form
  if (decision === "deny") {
    return refuse(ims, call, { ...request, error: "access_denied", why: "The user denied the request." })
  }
  if (email === undefined) {
    const session = sessionOf(ims, call)
    return session === undefined || decision !== "allow"
      ? askWho(ims, call, request)
      : sendCode(ims, call, request, session)
  }
  const user = findUser(ims, email)
  if (user === undefined) {
    call.entry.outcome = "unknown_user"
    call.entry.explanation = `The fake has no user ${email}.`
    return signInPage(call.entry, request, [...ims.users.values()], { email, why: call.entry.explanation })
  }
  const { id, session } = openSession(ims, user)
  const answer =
    decision === "allow" || !needsConsent(request, session)
      ? sendCode(ims, call, request, session)
      : askConsent(call, request, session)
  return withSession(ims, call, answer, id)
}

const notAForm = { error: "invalid_request", why: "The body must be application/x-www-form-urlencoded." }

export const authorization = (ims: Ims): ReadonlyArray<Route> => [
  {
    host,
    method: "GET",
    paths: pathsOf("/connect/authorize", ims.environment.authorizationEndpoint),
    serve: (call) => withRequest(ims, call, call.query, (request) => authorize(ims, call, request))
  },
  {
    host,
    method: "POST",
    paths: pathsOf("/connect/authorize", ims.environment.authorizationEndpoint),
    serve: (call) =>
      isForm(call)
        ? withRequest(ims, call, new URLSearchParams(call.body), (request) => authorize(ims, call, request))
        : show(ims, call, notAForm)
  },
  {
    host,
    method: "POST",
    paths: [formPath],
    serve: (call) => {
      if (!isSameOrigin(ims, call)) {
        return show(ims, call, { error: "invalid_request", why: "The form was sent by a page of another site." })
      }
      const form = readForm(call)
      if ("problem" in form) return show(ims, call, { error: "invalid_request", why: form.problem })
      const { request: text = "" } = form.values
      return withRequest(ims, call, new URLSearchParams(text), (request) => decide(ims, call, request, form.values))
    }
  }
]
