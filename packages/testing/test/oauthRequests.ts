// The requests of sideBySide.integration.test.ts, and what the fake and oidc-provider answer.
import type { ClientCredentials } from "@effect-itwin/core"
import { Redacted } from "effect"
import { HttpClientRequest, type HttpMethod } from "effect/http"

/** Describes a server: its URL, its two apps, and a token of each app. */
export interface Server {
  readonly token: string
  readonly introspection: string
  readonly revocation: string
  readonly authorization: string
  readonly keys: string
  readonly issuer: string
  readonly app: ClientCredentials.ClientCredentials
  readonly otherApp: ClientCredentials.ClientCredentials
  readonly ownToken: string
  readonly othersToken: string
}

/** Describes what is compared. */
export interface Answer {
  readonly status: number
  /** The member `error` of a JSON body, if it is a string as OAuth has it. */
  readonly error: string | undefined
  /** The scheme of `WWW-Authenticate`. */
  readonly challenge: string | undefined
  readonly allow: string | undefined
  readonly noStore: boolean
}

export interface Row {
  readonly name: string
  readonly request: (server: Server) => HttpClientRequest.HttpClientRequest
  readonly fake: Answer
  /** What oidc-provider answers differently, and why both answers are right, or which one is. */
  readonly peer?: Partial<Answer> & { readonly why: string }
}

type Credentials = ClientCredentials.ClientCredentials
type Fields = ReadonlyArray<readonly [string, string]>
type Change = (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest

const secretOf = ({ clientSecret }: Credentials) => Redacted.value(clientSecret)
const encode = (text: string) => new URLSearchParams({ "": text }).toString().slice(1)
const idOf = (app: Credentials): Fields => [["client_id", app.clientId]]
const credentials = (app: Credentials, change: (secret: string) => string = (secret) => secret): Fields => [
  ...idOf(app),
  ["client_secret", change(secretOf(app))]
]
const basic = (app: Credentials, change: (secret: string) => string = encode, scheme = "Basic"): Change =>
  HttpClientRequest.setHeader("authorization", `${scheme} ${btoa(`${encode(app.clientId)}:${change(secretOf(app))}`)}`)
const authorization = (value: string): Change => HttpClientRequest.setHeader("authorization", value)

const grantType: Fields = [["grant_type", "client_credentials"]]
const grant: Fields = [...grantType, ["scope", "itwin-platform"]]
const form = (fields: Fields) => fields.map(([name, value]) => `${name}=${encode(value)}`).join("&")
const urlEncoded = "application/x-www-form-urlencoded"

const post = (url: string, fields: Fields, change: Change = (request) => request) =>
  change(HttpClientRequest.post(url).pipe(HttpClientRequest.bodyText(form(fields), urlEncoded)))

const text = (url: string, body: string, contentType: string) =>
  HttpClientRequest.post(url).pipe(HttpClientRequest.bodyText(body, contentType))

const toToken =
  (fields: (server: Server) => Fields, change: (server: Server) => Change = () => (request) => request) =>
  (server: Server) =>
    post(server.token, fields(server), change(server))

const method = (method: HttpMethod.HttpMethod, url: (server: Server) => string) => (server: Server) =>
  HttpClientRequest.make(method)(url(server))

const answer = (status: number, error?: string, more: Partial<Answer> = {}): Answer => ({
  status,
  error,
  challenge: undefined,
  allow: undefined,
  noStore: true,
  ...more
})

const ok = answer(200)
const invalidClient = answer(401, "invalid_client")
const challenged = answer(401, "invalid_client", { challenge: "Basic" })
const invalidRequest = answer(400, "invalid_request")
const unsupported = answer(400, "unsupported_grant_type")
const invalidScope = answer(400, "invalid_scope")
const wrongMethod = answer(405, "invalid_request", { allow: "POST" })
const document = answer(200, undefined, { noStore: false })

const noClient = {
  status: 400,
  error: "invalid_request",
  why: "RFC 6749 §5.2 names a request without client authentication as a case of invalid_client"
}

const malformedHeader = {
  status: 400,
  error: "invalid_request",
  challenge: undefined,
  why: "RFC 6749 §5.2: a client that used Authorization gets 401 with a challenge; a malformed request also fits"
}

const noRoute = {
  status: 404,
  error: undefined,
  allow: undefined,
  noStore: false,
  why: "its routes have one method; RFC 9110 §15.5.6 has 405 with Allow for a known resource"
}

const looseRoute = {
  status: 200,
  noStore: true,
  why: "its router ignores case and a slash at the end, which the platform's gateway and the RFCs do not promise"
}

const mayBeStored = { noStore: false, why: "no RFC demands it; nothing about a token should be stored" }

export const rows: ReadonlyArray<Row> = [
  { name: "credentials in the form", request: toToken(({ app }) => [...grant, ...credentials(app)]), fake: ok },
  {
    name: "credentials by HTTP Basic",
    request: toToken(
      () => grant,
      ({ app }) => basic(app)
    ),
    fake: ok
  },
  {
    name: "the scheme of HTTP Basic in lower case",
    request: toToken(
      () => grant,
      ({ app }) => basic(app, encode, "basic")
    ),
    fake: ok
  },
  {
    name: "the same client_id in header and form",
    request: toToken(
      ({ app }) => [...grant, ...idOf(app)],
      ({ app }) => basic(app)
    ),
    fake: ok
  },
  { name: "no scope", request: toToken(({ app }) => [...grantType, ...credentials(app)]), fake: ok },
  {
    name: "an empty scope",
    request: toToken(({ app }) => [...grantType, ...credentials(app), ["scope", ""]]),
    fake: ok
  },
  {
    name: "two scopes",
    request: toToken(({ app }) => [...grantType, ...credentials(app), ["scope", "itwin-platform itwins:read"]]),
    fake: ok
  },
  {
    name: "the same scope twice",
    request: toToken(({ app }) => [...grantType, ...credentials(app), ["scope", "itwins:read itwins:read"]]),
    fake: ok
  },
  {
    name: "an unknown parameter",
    request: toToken(({ app }) => [...grant, ...credentials(app), ["flavor", "mild"]]),
    fake: ok
  },
  {
    name: "an unknown parameter in the query",
    request: (server) => post(`${server.token}?flavor=mild`, [...grant, ...credentials(server.app)]),
    fake: ok
  },
  {
    name: "a charset in the content type",
    request: ({ app, token }) => text(token, form([...grant, ...credentials(app)]), `${urlEncoded}; charset=UTF-8`),
    fake: ok
  },
  {
    name: "a content type in capitals",
    request: ({ app, token }) => text(token, form([...grant, ...credentials(app)]), urlEncoded.toUpperCase()),
    fake: ok
  },
  {
    name: "percent-encoding in lower case",
    request: ({ app, token }) =>
      text(
        token,
        form([...grant, ...credentials(app)]).replaceAll(/%../g, (code) => code.toLowerCase()),
        urlEncoded
      ),
    fake: ok
  },

  {
    name: "a wrong secret in the form",
    request: toToken(({ app }) => [...grant, ...credentials(app, () => "fake-secret-w+r/o=")]),
    fake: invalidClient
  },
  {
    name: "a wrong secret by HTTP Basic",
    request: toToken(
      () => grant,
      ({ app }) => basic(app, () => encode("fake-secret-w+r/o="))
    ),
    fake: challenged
  },
  {
    name: "the right secret with more after a colon",
    request: toToken(
      () => grant,
      ({ app }) => basic(app, (secret) => `${encode(secret)}:x`)
    ),
    fake: challenged
  },
  {
    name: "an unknown client in the form",
    request: toToken(({ app }) => [...grant, ["client_id", "service-Nobody"], ["client_secret", secretOf(app)]]),
    fake: invalidClient
  },
  {
    name: "an unknown client by HTTP Basic",
    request: toToken(
      () => grant,
      () => authorization(`Basic ${btoa("service-Nobody:fake-secret-x")}`)
    ),
    fake: challenged
  },
  {
    name: "a client id in another case",
    request: toToken(({ app }) => [
      ...grant,
      ["client_id", app.clientId.toUpperCase()],
      ["client_secret", secretOf(app)]
    ]),
    fake: invalidClient
  },
  { name: "no secret", request: toToken(({ app }) => [...grant, ...idOf(app)]), fake: invalidClient },
  {
    name: "an empty secret",
    request: toToken(({ app }) => [...grant, ...credentials(app, () => "")]),
    fake: invalidClient
  },
  { name: "no client", request: toToken(() => grant), fake: invalidClient, peer: noClient },
  {
    name: "an empty client_id",
    request: toToken(() => [...grant, ["client_id", ""]]),
    fake: invalidClient,
    peer: noClient
  },
  {
    name: "a secret of another app",
    request: toToken(({ app, otherApp }) => [...grant, ...idOf(app), ["client_secret", secretOf(otherApp)]]),
    fake: invalidClient
  },
  {
    name: "a secret with a line break at its end",
    request: toToken(({ app }) => [...grant, ...credentials(app, (secret) => `${secret}\n`)]),
    fake: invalidClient
  },
  {
    name: "a secret with + that is not form-encoded",
    request: ({ otherApp, token }) =>
      text(token, `${form([...grant, ...idOf(otherApp)])}&client_secret=${secretOf(otherApp)}`, urlEncoded),
    fake: invalidClient
  },
  {
    name: "a secret that is form-encoded twice",
    request: toToken(({ otherApp }) => [...grant, ...credentials(otherApp, encode)]),
    fake: invalidClient
  },
  {
    name: "a secret with + in HTTP Basic that is not form-encoded",
    request: toToken(
      () => grant,
      ({ otherApp }) => basic(otherApp, (secret) => secret)
    ),
    fake: challenged
  },
  {
    name: "a secret in HTTP Basic that is form-encoded twice",
    request: toToken(
      () => grant,
      ({ otherApp }) => basic(otherApp, (secret) => encode(encode(secret)))
    ),
    fake: challenged
  },
  {
    name: "HTTP Basic that is not base64",
    request: toToken(
      () => grant,
      () => authorization("Basic !!!")
    ),
    fake: challenged,
    peer: malformedHeader
  },
  {
    name: "HTTP Basic without a colon",
    request: toToken(
      () => grant,
      () => authorization(`Basic ${btoa("service-App")}`)
    ),
    fake: challenged,
    peer: malformedHeader
  },
  {
    name: "HTTP Basic without credentials",
    request: toToken(
      () => grant,
      () => authorization("Basic")
    ),
    fake: challenged,
    peer: malformedHeader
  },
  {
    name: "HTTP Basic with broken percent-encoding",
    request: toToken(
      () => grant,
      () => authorization(`Basic ${btoa("service-App:fake-secret-%zz")}`)
    ),
    fake: challenged,
    peer: malformedHeader
  },
  {
    name: "a bearer token in place of credentials",
    request: toToken(
      () => grant,
      () => authorization("Bearer fake")
    ),
    fake: challenged,
    peer: malformedHeader
  },
  {
    name: "an unknown scheme",
    request: toToken(
      () => grant,
      () => authorization("Digest fake")
    ),
    fake: challenged,
    peer: malformedHeader
  },

  {
    name: "credentials in the query only",
    request: ({ app, token }) => post(`${token}?${form(credentials(app))}`, grant),
    fake: invalidRequest
  },
  {
    name: "a secret in the query and in the form",
    request: ({ app, token }) => post(`${token}?${form(credentials(app))}`, [...grant, ...credentials(app)]),
    fake: invalidRequest,
    peer: {
      status: 200,
      error: undefined,
      why: "it ignores the query; RFC 6749 §2.3.1 forbids credentials there, so the fake reports the leak"
    }
  },
  {
    name: "credentials in the header and in the form",
    request: toToken(
      ({ app }) => [...grant, ...credentials(app)],
      ({ app }) => basic(app)
    ),
    fake: invalidRequest
  },
  {
    name: "another client_id in the form than in the header",
    request: toToken(
      ({ otherApp }) => [...grant, ...idOf(otherApp)],
      ({ app }) => basic(app)
    ),
    fake: invalidRequest
  },
  {
    name: "no grant_type",
    request: toToken(({ app }) => [...credentials(app), ["scope", "itwin-platform"]]),
    fake: invalidRequest
  },
  {
    name: "an empty grant_type",
    request: toToken(({ app }) => [...credentials(app), ["grant_type", ""]]),
    fake: invalidRequest
  },
  {
    name: "a repeated scope",
    request: toToken(({ app }) => [...grant, ...credentials(app), ["scope", "itwins:read"]]),
    fake: invalidRequest
  },
  {
    name: "a repeated client_id",
    request: toToken(({ app }) => [...grant, ...credentials(app), ...idOf(app)]),
    fake: invalidRequest
  },
  {
    name: "a repeated grant_type",
    request: toToken(({ app }) => [...grant, ...grantType, ...credentials(app)]),
    fake: invalidRequest
  },
  {
    name: "a repeated unknown parameter",
    request: toToken(({ app }) => [...grant, ...credentials(app), ["flavor", "mild"], ["flavor", "hot"]]),
    fake: invalidRequest,
    peer: {
      status: 200,
      error: undefined,
      why: "RFC 6749 §3.2 forbids to repeat a parameter; it checks those that it knows"
    }
  },
  {
    name: "a body of JSON",
    request: ({ app, token }) =>
      text(token, JSON.stringify(Object.fromEntries([...grant, ...credentials(app)])), "application/json"),
    fake: invalidRequest
  },
  {
    name: "a form with the content type of text",
    request: ({ app, token }) => text(token, form([...grant, ...credentials(app)]), "text/plain"),
    fake: invalidRequest
  },
  { name: "no body", request: method("POST", ({ token }) => token), fake: invalidRequest },

  {
    name: "the grant password",
    request: toToken(({ app }) => [...credentials(app), ["grant_type", "password"]]),
    fake: unsupported
  },
  {
    name: "the grant in another case",
    request: toToken(({ app }) => [...credentials(app), ["grant_type", "Client_Credentials"]]),
    fake: unsupported
  },
  {
    name: "the grant authorization_code",
    request: toToken(({ app }) => [...credentials(app), ["grant_type", "authorization_code"], ["code", "fake"]]),
    fake: answer(400, "unauthorized_client"),
    peer: { error: "invalid_request", why: "it misses parameters before it looks whether the client may use the grant" }
  },
  {
    name: "the name of a property of each object as the grant",
    request: toToken(({ app }) => [...credentials(app), ["grant_type", "constructor"]]),
    fake: unsupported
  },

  {
    name: "a scope that the app was not granted",
    request: toToken(({ app }) => [...grantType, ...credentials(app), ["scope", "itwin-platform users:read"]]),
    fake: invalidScope
  },
  {
    name: "a scope with a character that is not allowed",
    request: toToken(({ app }) => [...grantType, ...credentials(app), ["scope", 'itwin"platform']]),
    fake: invalidScope
  },
  {
    name: "an unknown scope",
    request: toToken(({ app }) => [...grantType, ...credentials(app), ["scope", "itwin-platform nonsense"]]),
    fake: invalidScope,
    peer: {
      status: 200,
      error: undefined,
      why: "RFC 6749 §3.3 leaves scopes to the server; it leaves unknown ones to the API"
    }
  },
  {
    name: "two spaces between scopes",
    request: toToken(({ app }) => [...grantType, ...credentials(app), ["scope", "itwin-platform  itwins:read"]]),
    fake: invalidScope
  },

  { name: "GET at the token endpoint", request: method("GET", ({ token }) => token), fake: wrongMethod, peer: noRoute },
  {
    name: "HEAD at the token endpoint",
    request: method("HEAD", ({ token }) => token),
    fake: answer(405, undefined, { allow: "POST" }),
    peer: noRoute
  },
  { name: "PUT at the token endpoint", request: method("PUT", ({ token }) => token), fake: wrongMethod, peer: noRoute },
  {
    name: "DELETE at the token endpoint",
    request: method("DELETE", ({ token }) => token),
    fake: wrongMethod,
    peer: noRoute
  },
  {
    name: "a slash after the path",
    request: ({ app, token }) => post(`${token}/`, [...grant, ...credentials(app)]),
    fake: answer(404, undefined, { noStore: false }),
    peer: looseRoute
  },
  {
    name: "the path in capitals",
    request: ({ app, token }) => {
      const url = new URL(token)
      return post(`${url.origin}${url.pathname.toUpperCase()}`, [...grant, ...credentials(app)])
    },
    fake: answer(404, undefined, { noStore: false }),
    peer: looseRoute
  },

  {
    name: "introspection of a valid token",
    request: ({ app, introspection, ownToken }) => post(introspection, [...credentials(app), ["token", ownToken]]),
    fake: ok
  },
  {
    name: "introspection of an unknown token",
    request: ({ app, introspection }) => post(introspection, [...credentials(app), ["token", "fake"]]),
    fake: ok
  },
  {
    name: "introspection without a token",
    request: ({ app, introspection }) => post(introspection, credentials(app)),
    fake: invalidRequest
  },
  {
    name: "introspection with a wrong secret",
    request: ({ app, introspection, ownToken }) =>
      post(introspection, [...credentials(app, () => "fake-secret-x"), ["token", ownToken]]),
    fake: invalidClient
  },
  {
    name: "introspection without a client",
    request: ({ introspection, ownToken }) => post(introspection, [["token", ownToken]]),
    fake: invalidClient,
    peer: noClient
  },
  {
    name: "GET at introspection",
    request: method("GET", ({ introspection }) => introspection),
    fake: wrongMethod,
    peer: noRoute
  },

  {
    name: "revocation of another app's token",
    request: ({ app, othersToken, revocation }) => post(revocation, [...credentials(app), ["token", othersToken]]),
    fake: invalidRequest,
    peer: mayBeStored
  },
  {
    name: "revocation of an own token",
    request: ({ app, ownToken, revocation }) => post(revocation, [...credentials(app), ["token", ownToken]]),
    fake: ok,
    peer: mayBeStored
  },
  {
    name: "revocation of an unknown token",
    request: ({ app, revocation }) => post(revocation, [...credentials(app), ["token", "fake"]]),
    fake: ok,
    peer: mayBeStored
  },
  {
    name: "revocation without a token",
    request: ({ app, revocation }) => post(revocation, credentials(app)),
    fake: invalidRequest,
    peer: mayBeStored
  },
  {
    name: "revocation with a wrong secret by HTTP Basic",
    request: ({ app, othersToken, revocation }) =>
      post(
        revocation,
        [["token", othersToken]],
        basic(app, () => "fake-secret-x")
      ),
    fake: challenged,
    peer: mayBeStored
  },
  {
    name: "GET at revocation",
    request: method("GET", ({ revocation }) => revocation),
    fake: wrongMethod,
    peer: noRoute
  },

  {
    name: "the metadata of OpenID Connect",
    request: method("GET", ({ issuer }) => `${issuer}/.well-known/openid-configuration`),
    fake: document
  },
  {
    name: "the metadata of RFC 8414",
    request: method("GET", ({ issuer }) => `${issuer}/.well-known/oauth-authorization-server`),
    fake: document
  },
  {
    name: "HEAD at the metadata",
    request: method("HEAD", ({ issuer }) => `${issuer}/.well-known/openid-configuration`),
    fake: document
  },
  {
    name: "POST at the metadata",
    request: method("POST", ({ issuer }) => `${issuer}/.well-known/openid-configuration`),
    fake: answer(405, "invalid_request", { allow: "GET, HEAD" }),
    peer: noRoute
  },
  { name: "the public keys", request: method("GET", ({ keys }) => keys), fake: document },
  {
    name: "the authorization endpoint for a service app",
    request: ({ app, authorization }) =>
      HttpClientRequest.get(`${authorization}?response_type=code&client_id=${app.clientId}`),
    fake: answer(400, "unauthorized_client"),
    peer: { error: undefined, why: "it shows a page to the person at the browser; the fake names the error in JSON" }
  },
  {
    name: "the authorization endpoint without a client",
    request: method("GET", ({ authorization }) => authorization),
    fake: invalidRequest,
    peer: { error: undefined, why: "it shows a page to the person at the browser; the fake names the error in JSON" }
  }
]
