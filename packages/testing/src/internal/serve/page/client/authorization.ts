// Builds the requests of the authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636).
import type { App, Transaction } from "./session.ts"
import type { Request } from "./wire.ts"

const base64Url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "")

const random = (): string => base64Url(crypto.getRandomValues(new Uint8Array(32)))

/** Makes what binds the callback, the id token and the code to one sign-in. */
export const newTransaction = ({ clientId }: App, redirectUri: string): Transaction => ({
  clientId,
  redirectUri,
  state: random(),
  nonce: random(),
  verifier: random()
})

/** Returns the path of the authorization request. */
export const authorizePath = async (
  app: Pick<App, "clientId" | "scopes">,
  { nonce, redirectUri, state, verifier }: Transaction
): Promise<string> => {
  // A page that came over http from another machine has no `subtle`.
  if (typeof crypto.subtle === "undefined") {
    throw new Error("browsers compute the SHA-256 of PKCE only on https and loopback. Open the page at 127.0.0.1.")
  }
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))
  const query = new URLSearchParams({
    response_type: "code",
    client_id: app.clientId,
    redirect_uri: redirectUri,
    scope: app.scopes.join(" "),
    state,
    ...(app.scopes.includes("openid") ? { nonce } : {}),
    code_challenge: base64Url(new Uint8Array(digest)),
    code_challenge_method: "S256"
  })
  return `/connect/authorize?${query}`
}

/** A web app proves who it is with its secret, the others only name themselves. */
const client = ({ clientId, clientSecret }: App): Record<string, string> => ({
  client_id: clientId,
  ...(clientSecret === undefined ? {} : { client_secret: clientSecret })
})

const post = (path: string, app: App, form: Record<string, string>, ...secrets: ReadonlyArray<string>): Request => ({
  method: "POST",
  path,
  form: { ...form, ...client(app) },
  secrets: [app.clientSecret ?? "", ...secrets]
})

/** Exchanges the code for tokens. */
export const codeRequest = (app: App, { redirectUri, verifier }: Transaction, code: string): Request =>
  post("/connect/token", app, {
    grant_type: "authorization_code",
    code,
    redirect_uri: redirectUri,
    code_verifier: verifier
  })

/** Exchanges the refresh token for new tokens. */
export const refreshRequest = (app: App, refreshToken: string): Request =>
  post("/connect/token", app, { grant_type: "refresh_token", refresh_token: refreshToken }, refreshToken)

/** Rejects a token from now on (RFC 7009). With a refresh token, the sign-in ends. */
export const revokeRequest = (app: App, token: string): Request => post("/connect/revocation", app, { token }, token)

/** Returns the path at which the user signs out. */
export const endSessionPath = (app: App, idToken: string | undefined, returnTo: string, state: string): string =>
  `/connect/endsession?${new URLSearchParams({
    client_id: app.clientId,
    ...(idToken === undefined ? {} : { id_token_hint: idToken }),
    post_logout_redirect_uri: returnTo,
    state
  })}`
