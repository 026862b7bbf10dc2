// Reads authorization requests (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core 1.0 §3.1.2.1).
import { grantsOf, isPublic, nameOf } from "../appTypes.ts"
import type { Application } from "../clients.ts"
import type { Ims } from "../state.ts"

const prompts = ["none", "login", "consent", "select_account"] as const

type Prompt = (typeof prompts)[number]

/** Describes a valid request. */
export interface AuthorizationRequest {
  readonly app: Application
  readonly redirectUri: string
  readonly state: string | undefined
  readonly scopes: ReadonlySet<string>
  readonly prompts: ReadonlySet<Prompt>
  readonly loginHint: string | undefined
  /** In seconds. */
  readonly maxAge: number | undefined
  readonly codeChallenge: string | undefined
  readonly nonce: string | undefined
  /** The request as it was sent, for the form of a page. */
  readonly text: string
}

/** Refuses a request whose answer can't be sent to the client: the client or its address is not known to be right. */
export interface Shown {
  readonly _tag: "Shown"
  readonly error: string
  readonly why: string
}

/** Refuses a request at the client's own address. */
export interface Redirected {
  readonly _tag: "Redirected"
  readonly redirectUri: string
  readonly state: string | undefined
  readonly error: string
  readonly why: string
}

/** Lists the parameters of requests that are passed in other ways. The fake supports none of them. */
const otherWays = {
  request: "request_not_supported",
  request_uri: "request_uri_not_supported",
  registration: "registration_not_supported"
} as const

const isPrompt = (text: string): text is Prompt => prompts.some((prompt) => prompt === text)

const repeated = (params: URLSearchParams): string | undefined =>
  [...params.keys()].find((name) => params.getAll(name).length > 1)

interface Refusal {
  readonly error: string
  readonly why: string
}

const invalid = (why: string): Refusal => ({ error: "invalid_request", why })

const wrongResponse = (value: (name: string) => string | undefined): Refusal | undefined => {
  const type = value("response_type")
  if (type === undefined) return invalid("The request lacks response_type.")
  if (type !== "code") {
    return { error: "unsupported_response_type", why: `The response_type must be code, not ${type}.` }
  }
  const mode = value("response_mode")
  return mode === undefined || mode === "query" ? undefined : invalid(`The response_mode must be query, not ${mode}.`)
}

const wrongScope = (app: Application, scope: string | undefined): Refusal | undefined => {
  const invalidScope = (why: string) => ({ error: "invalid_scope", why })
  if (scope === undefined) return invalidScope("The request lacks scope.")
  const refused = scope.split(" ").filter((token) => !app.scopes.has(token))
  return refused.length === 0 ? undefined : invalidScope(`The app may not request these scopes: ${refused.join(", ")}.`)
}

const wrongChallenge = (app: Application, value: (name: string) => string | undefined): Refusal | undefined => {
  const challenge = value("code_challenge")
  const method = value("code_challenge_method")
  if (challenge === undefined) {
    if (method !== undefined) return invalid("The request has code_challenge_method without code_challenge.")
    return isPublic(app.type)
      ? invalid(`The request lacks code_challenge, which a ${nameOf[app.type]} must send (RFC 7636).`)
      : undefined
  }
  // RFC 7636 §4.3: plain is the default.
  if (method !== "S256") return invalid("The code_challenge_method must be S256.")
  return /^[\w-]{43}$/.test(challenge)
    ? undefined
    : invalid("The code_challenge is not a SHA-256 digest in base64url: 43 characters without padding (RFC 7636 §4.2).")
}

const wrongPrompt = (prompt: ReadonlyArray<string>): Refusal | undefined => {
  const unknown = prompt.filter((text) => !isPrompt(text))
  if (unknown.length > 0) return invalid(`The prompt must be one of ${prompts.join(", ")}.`)
  return prompt.includes("none") && prompt.length > 1 ? invalid("The prompt none stands alone.") : undefined
}

const wrongMaxAge = (text: string | undefined): Refusal | undefined =>
  text === undefined || /^\d{1,9}$/.test(text) ? undefined : invalid("The max_age must be a number of seconds.")

/** Reads the request. Client and redirect address are checked first, because every other error is sent there. */
export const readRequest = ({ apps }: Ims, params: URLSearchParams): AuthorizationRequest | Shown | Redirected => {
  const shown = (error: string, why: string): Shown => ({ _tag: "Shown", error, why })
  /** Parameters without a value count as omitted (RFC 6749 §3.1). */
  const value = (name: string) => params.get(name) || undefined

  for (const name of ["client_id", "redirect_uri"]) {
    if (params.getAll(name).length > 1) return shown("invalid_request", `The parameter ${name} is repeated.`)
  }
  const clientId = value("client_id")
  if (clientId === undefined) return shown("invalid_request", "The request lacks client_id.")
  const app = apps.get(clientId)
  if (app === undefined) return shown("invalid_request", "The client_id is not registered.")
  if (!app.isEnabled) return shown("unauthorized_client", "The app is disabled.")
  if (!grantsOf[app.type].includes("authorization_code")) {
    return shown("unauthorized_client", `A ${nameOf[app.type]} has no redirect address and can't sign users in.`)
  }
  const redirectUri = value("redirect_uri")
  if (redirectUri === undefined) return shown("invalid_request", "The request lacks redirect_uri.")
  if (!app.redirectUris.includes(redirectUri)) {
    const registered = app.redirectUris.join(", ")
    return shown(
      "invalid_request",
      `The redirect_uri ${redirectUri} is not registered for this app. Addresses are compared as text. Registered: ${registered}.`
    )
  }

  const state = params.getAll("state").length > 1 ? undefined : value("state")
  const redirected = ({ error, why }: Refusal): Redirected => ({
    _tag: "Redirected",
    redirectUri,
    state,
    error,
    why
  })
  const twice = repeated(params)
  if (twice !== undefined) {
    return redirected(
      invalid(/^\w{1,50}$/.test(twice) ? `The parameter ${twice} is repeated.` : "A parameter is repeated.")
    )
  }
  for (const [name, error] of Object.entries(otherWays)) {
    if (params.has(name)) return redirected({ error, why: `The parameter ${name} is not supported.` })
  }
  const prompt = value("prompt")?.split(" ") ?? []
  const refusal =
    wrongResponse(value) ??
    wrongScope(app, value("scope")) ??
    wrongChallenge(app, value) ??
    wrongPrompt(prompt) ??
    wrongMaxAge(value("max_age"))
  if (refusal !== undefined) return redirected(refusal)
  const maxAge = value("max_age")
  return {
    app,
    redirectUri,
    state,
    scopes: new Set(value("scope")?.split(" ")),
    prompts: new Set(prompt.filter(isPrompt)),
    loginHint: value("login_hint"),
    maxAge: maxAge === undefined ? undefined : Number(maxAge),
    codeChallenge: value("code_challenge"),
    nonce: value("nonce"),
    text: params.toString()
  }
}
