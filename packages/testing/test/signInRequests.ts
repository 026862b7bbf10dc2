// The requests of sideBySideUsers.integration.test.ts, and what the fake and oidc-provider answer.
import { Effect } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { type Client, type CodeOptions, type SignInServer, scope } from "./signInServers.ts"
import * as s from "./signingIn.ts"

type Server = SignInServer["Service"]
type Fields = Readonly<Record<string, string | ReadonlyArray<string> | undefined>>

/** Describes what is compared. */
export interface Answer {
  readonly status: number
  /** Where the browser is sent: to the client, to a page of the server, or nowhere. */
  readonly to: "client" | "page" | "nowhere"
  /** The error in the redirect or in a JSON body. */
  readonly error: string | undefined
  /** Which tokens are in the answer. */
  readonly tokens: ReadonlyArray<"access" | "refresh" | "id">
}

export interface Row {
  readonly name: string
  readonly run: (server: Server) => Effect.Effect<Answer, unknown, HttpClient.HttpClient>
  readonly fake: Answer
  /** What oidc-provider answers differently, and why both answers are right, or which one is. */
  readonly peer?: Partial<Answer> & { readonly why: string }
}

const defined = (fields: Fields): ReadonlyArray<readonly [string, string]> =>
  Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((value) => [name, value] as const)
  )

const send = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest, accept = "application/json") {
  const response = yield* HttpClient.execute(HttpClientRequest.setHeader(request, "accept", accept)).pipe(
    Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
  )
  const text = yield* response.text
  const { headers, status } = response
  const json: Record<string, unknown> =
    /json/.test(headers["content-type"] ?? "") && text !== "" ? JSON.parse(text) : {}
  const location = headers.location === undefined ? undefined : new URL(headers.location, request.url)
  const isClient = location !== undefined && [s.callback, s.afterSignOut].includes(location.href.split(/[?#]/)[0] ?? "")
  const parameters = new URLSearchParams(location?.search === "" ? location.hash.slice(1) : location?.search)
  const error = isClient ? (parameters.get("error") ?? undefined) : json.error
  if (isClient && error !== undefined) {
    // RFC 6749 §4.1.2.1 and RFC 9207
    for (const name of ["state", "iss"]) if (!parameters.has(name)) throw new Error(`${name} is missing`)
  }
  const answer: Answer = {
    // RFC 6749 §1.7: any redirect will do.
    status: location === undefined ? status : 302,
    to: isClient ? "client" : location !== undefined || /html/.test(headers["content-type"] ?? "") ? "page" : "nowhere",
    error: typeof error === "string" ? error : undefined,
    tokens: (["access", "refresh", "id"] as const).filter((kind) => `${kind}_token` in json)
  }
  return { answer, json, headers }
})

const authorize =
  (changes: Fields, client: (server: Server) => Client = ({ web }) => web): Row["run"] =>
  (server) => {
    const url = new URL(server.authorization)
    url.search = new URLSearchParams(
      defined({
        response_type: "code",
        client_id: client(server).client_id,
        redirect_uri: s.callback,
        scope,
        state: "state-1",
        code_challenge: s.challengeOf(s.verifier),
        code_challenge_method: "S256",
        ...changes
      }).map(([name, value]) => [name, value])
    ).toString()
    return answerOf(send(HttpClientRequest.get(url), "text/html"))
  }

const form = (url: string, fields: Fields) =>
  send(
    HttpClientRequest.post(url).pipe(
      HttpClientRequest.bodyText(
        new URLSearchParams(defined(fields).map(([name, value]) => [name, value])).toString(),
        "application/x-www-form-urlencoded"
      )
    )
  )

const redeem = (server: Server, client: Client, code: string, changes: Fields = {}) =>
  form(server.token, {
    ...client,
    grant_type: "authorization_code",
    code,
    redirect_uri: s.callback,
    code_verifier: s.verifier,
    ...changes
  })

const refresh = (server: Server, client: Client, token: unknown, changes: Fields = {}) =>
  form(server.token, { ...client, grant_type: "refresh_token", refresh_token: String(token), ...changes })

const answerOf = <E, R>(sent: Effect.Effect<{ readonly answer: Answer }, E, R>) =>
  Effect.map(sent, ({ answer }) => answer)

/** Redeems a fresh code of the web app. */
const withCode =
  (changes: Fields, options: CodeOptions = {}, as: (server: Server) => Client = ({ web }) => web): Row["run"] =>
  (server) =>
    Effect.flatMap(server.codeFor(server.web, options), (code) => answerOf(redeem(server, as(server), code, changes)))

/** Runs the rest with the tokens of a fresh sign-in to the web app. */
const withTokens =
  (
    rest: (
      server: Server,
      tokens: Readonly<Record<string, unknown>>
    ) => Effect.Effect<Answer, unknown, HttpClient.HttpClient>
  ): Row["run"] =>
  (server) =>
    Effect.gen(function* () {
      const { json } = yield* redeem(server, server.web, yield* server.codeFor(server.web))
      return yield* rest(server, json)
    })

const nowhere = (status: number, error?: string): Answer => ({ status, to: "nowhere", error, tokens: [] })
const toClient = (error?: string): Answer => ({ status: 302, to: "client", error, tokens: [] })
const page = (status: number): Answer => ({ status, to: "page", error: undefined, tokens: [] })
const tokens = (...tokens: Answer["tokens"]): Answer => ({ status: 200, to: "nowhere", error: undefined, tokens })

export const rows: ReadonlyArray<Row> = [
  {
    name: "a valid authorization request",
    run: authorize({}),
    fake: page(200),
    peer: { status: 302, why: "it sends the browser to a login page at another address" }
  },
  { name: "an unknown client", run: authorize({ client_id: "web-x" }), fake: page(400) },
  { name: "no client", run: authorize({ client_id: undefined }), fake: page(400) },
  {
    name: "a redirect address that is not registered",
    run: authorize({ redirect_uri: `${s.callback}/` }),
    fake: page(400)
  },
  {
    name: "no redirect address",
    run: authorize({ redirect_uri: undefined }),
    fake: page(400),
    peer: {
      status: 302,
      why: "it takes the only registered address (RFC 6749 §3.1.2.3), which OpenID Connect does not allow"
    }
  },
  {
    name: "a repeated client",
    run: authorize({ client_id: ["web-App", "web-App"] }),
    fake: page(400)
  },
  {
    name: "a repeated redirect address",
    run: authorize({ redirect_uri: [s.callback, s.callback] }),
    fake: page(400),
    peer: {
      status: 302,
      to: "client",
      error: "invalid_request",
      why: "it takes the only registered address; which one is meant is not known"
    }
  },
  { name: "a repeated scope", run: authorize({ scope: [scope, scope] }), fake: toClient("invalid_request") },
  { name: "no response type", run: authorize({ response_type: undefined }), fake: toClient("invalid_request") },
  {
    name: "the implicit flow",
    run: authorize({ response_type: "token" }),
    fake: toClient("unsupported_response_type")
  },
  {
    name: "an unknown response mode",
    run: authorize({ response_mode: "x" }),
    fake: toClient("invalid_request"),
    peer: { error: "unsupported_response_mode", why: "it has an error code of its own, which no RFC defines" }
  },
  {
    name: "a scope that the app may not request",
    run: authorize({ scope: "openid x" }),
    fake: toClient("invalid_scope"),
    peer: {
      to: "page",
      error: undefined,
      why: "it ignores scopes that it does not know (OpenID Connect Core §3.1.2.1), and the platform refuses them"
    }
  },
  {
    name: "no scope",
    run: authorize({ scope: undefined }),
    fake: toClient("invalid_scope"),
    peer: {
      to: "page",
      error: undefined,
      why: "it grants no scope then; a token without a scope is of no use on the platform"
    }
  },
  {
    name: "PKCE by plain",
    run: authorize({ code_challenge_method: "plain", code_challenge: s.verifier }),
    fake: toClient("invalid_request")
  },
  {
    name: "PKCE without a method",
    run: authorize({ code_challenge_method: undefined }),
    fake: toClient("invalid_request")
  },
  { name: "a challenge that is too short", run: authorize({ code_challenge: "x" }), fake: toClient("invalid_request") },
  {
    name: "a method without a challenge",
    run: authorize({ code_challenge: undefined }),
    fake: toClient("invalid_request")
  },
  {
    name: "no PKCE by a native app",
    run: authorize({ code_challenge: undefined, code_challenge_method: undefined }, ({ native }) => native),
    fake: toClient("invalid_request")
  },
  {
    name: "no PKCE by a web app",
    run: authorize({ code_challenge: undefined, code_challenge_method: undefined }),
    fake: page(200),
    peer: { status: 302, why: "it sends the browser to a login page at another address" }
  },
  { name: "prompt=none without a session", run: authorize({ prompt: "none" }), fake: toClient("login_required") },
  { name: "prompt=none with login", run: authorize({ prompt: "none login" }), fake: toClient("invalid_request") },
  { name: "an unknown prompt", run: authorize({ prompt: "x" }), fake: toClient("invalid_request") },
  { name: "a max_age that is not a number", run: authorize({ max_age: "x" }), fake: toClient("invalid_request") },
  { name: "a request object", run: authorize({ request: "x" }), fake: toClient("request_not_supported") },
  {
    name: "a request address",
    run: authorize({ request_uri: "https://a.example" }),
    fake: toClient("request_uri_not_supported")
  },

  { name: "a valid code", run: withCode({}), fake: tokens("access", "refresh", "id") },
  {
    name: "a valid code without openid and offline_access",
    run: withCode({}, { scope: "itwin-platform" }),
    fake: tokens("access")
  },
  { name: "an unknown code", run: withCode({ code: "x" }), fake: nowhere(400, "invalid_grant") },
  { name: "no code", run: withCode({ code: undefined }), fake: nowhere(400, "invalid_request") },
  {
    name: "the code of another app",
    run: withCode({}, {}, ({ otherWeb }) => otherWeb),
    fake: nowhere(400, "invalid_grant")
  },
  {
    name: "another redirect address",
    run: withCode({ redirect_uri: s.afterSignOut }),
    fake: nowhere(400, "invalid_grant")
  },
  {
    name: "a code without a redirect address",
    run: withCode({ redirect_uri: undefined }),
    fake: nowhere(400, "invalid_grant"),
    peer: {
      status: 200,
      error: undefined,
      tokens: ["access", "refresh", "id"],
      why: "it takes the only registered address, although RFC 6749 §4.1.3 requires the parameter"
    }
  },
  { name: "a wrong verifier", run: withCode({ code_verifier: `${s.verifier}x` }), fake: nowhere(400, "invalid_grant") },
  {
    name: "a verifier that is too short",
    run: withCode({ code_verifier: "x" }),
    fake: nowhere(400, "invalid_grant"),
    peer: {
      error: "invalid_request",
      why: "it checks the form of the verifier first; RFC 7636 §4.6 has invalid_grant for each verifier that does not fit"
    }
  },
  { name: "no verifier", run: withCode({ code_verifier: undefined }), fake: nowhere(400, "invalid_grant") },
  {
    name: "a verifier for a code without a challenge",
    run: withCode({}, { withoutChallenge: true }),
    fake: nowhere(400, "invalid_grant")
  },
  {
    name: "a code with a wrong secret",
    run: withCode({ client_secret: "fake-secret-x" }),
    fake: nowhere(401, "invalid_client")
  },
  {
    name: "a code without the secret",
    run: withCode({ client_secret: undefined }),
    fake: nowhere(401, "invalid_client")
  },
  { name: "a repeated code", run: withCode({ code: ["x", "x"] }), fake: nowhere(400, "invalid_request") },
  {
    name: "a code that comes again",
    run: (server) =>
      Effect.gen(function* () {
        const code = yield* server.codeFor(server.web)
        yield* redeem(server, server.web, code)
        return yield* answerOf(redeem(server, server.web, code))
      }),
    fake: nowhere(400, "invalid_grant")
  },
  {
    name: "the access token of a code that came again",
    run: (server) =>
      Effect.gen(function* () {
        const code = yield* server.codeFor(server.web)
        const { json } = yield* redeem(server, server.web, code)
        yield* redeem(server, server.web, code)
        return yield* answerOf(
          send(HttpClientRequest.get(server.userinfo).pipe(HttpClientRequest.bearerToken(String(json.access_token))))
        )
      }),
    fake: nowhere(401, "invalid_token")
  },
  {
    name: "a code of a native app",
    run: (server) =>
      Effect.flatMap(server.codeFor(server.native), (code) => answerOf(redeem(server, server.native, code))),
    fake: tokens("access", "refresh", "id")
  },
  {
    name: "the own grant of a native app",
    run: (server) => answerOf(form(server.token, { ...server.native, grant_type: "client_credentials" })),
    fake: nowhere(400, "unauthorized_client"),
    peer: {
      error: "invalid_request",
      why: "it calls the type of the client a malformed request; RFC 6749 §5.2 has unauthorized_client for it"
    }
  },

  {
    name: "a refresh",
    run: withTokens((server, { refresh_token }) => answerOf(refresh(server, server.web, refresh_token))),
    fake: tokens("access", "refresh", "id")
  },
  {
    name: "a refresh of another app",
    run: withTokens((server, { refresh_token }) => answerOf(refresh(server, server.otherWeb, refresh_token))),
    fake: nowhere(400, "invalid_grant")
  },
  {
    name: "a refresh without the token",
    run: (server) => answerOf(refresh(server, server.web, "")),
    fake: nowhere(400, "invalid_request")
  },
  {
    name: "a refresh with narrower scopes",
    run: withTokens((server, { refresh_token }) =>
      answerOf(refresh(server, server.web, refresh_token, { scope: "openid" }))
    ),
    fake: tokens("access", "refresh", "id")
  },
  {
    name: "a refresh with wider scopes",
    run: withTokens((server, { refresh_token }) =>
      answerOf(refresh(server, server.web, refresh_token, { scope: `${scope} email` }))
    ),
    fake: nowhere(400, "invalid_scope")
  },
  {
    name: "a refresh token that was replaced",
    run: withTokens((server, { refresh_token }) =>
      Effect.andThen(refresh(server, server.web, refresh_token), answerOf(refresh(server, server.web, refresh_token)))
    ),
    fake: nowhere(400, "invalid_grant")
  },
  {
    name: "the new refresh token after the replaced one came again",
    run: withTokens((server, { refresh_token }) =>
      Effect.gen(function* () {
        const { json } = yield* refresh(server, server.web, refresh_token)
        yield* refresh(server, server.web, refresh_token)
        return yield* answerOf(refresh(server, server.web, json.refresh_token))
      })
    ),
    fake: nowhere(400, "invalid_grant")
  },
  {
    name: "a refresh token that was revoked",
    run: withTokens((server, { refresh_token }) =>
      Effect.andThen(
        form(server.revocation, { ...server.web, token: String(refresh_token) }),
        answerOf(refresh(server, server.web, refresh_token))
      )
    ),
    fake: nowhere(400, "invalid_grant")
  },
  {
    name: "the access token after its refresh token was revoked",
    run: withTokens((server, { access_token, refresh_token }) =>
      Effect.andThen(
        form(server.revocation, { ...server.web, token: String(refresh_token) }),
        answerOf(send(HttpClientRequest.get(server.userinfo).pipe(HttpClientRequest.bearerToken(String(access_token)))))
      )
    ),
    fake: nowhere(401, "invalid_token")
  },
  {
    name: "the revocation of another app's refresh token",
    run: withTokens((server, { refresh_token }) =>
      answerOf(form(server.revocation, { ...server.otherWeb, token: String(refresh_token) }))
    ),
    fake: nowhere(400, "invalid_request")
  },
  {
    name: "userinfo",
    run: withTokens((server, { access_token }) =>
      answerOf(send(HttpClientRequest.get(server.userinfo).pipe(HttpClientRequest.bearerToken(String(access_token)))))
    ),
    fake: nowhere(200)
  },
  {
    name: "userinfo with a wrong token",
    run: (server) => answerOf(send(HttpClientRequest.get(server.userinfo).pipe(HttpClientRequest.bearerToken("x")))),
    fake: nowhere(401, "invalid_token")
  },
  {
    name: "userinfo without a token",
    run: (server) => answerOf(send(HttpClientRequest.get(server.userinfo))),
    fake: nowhere(401, "invalid_token")
  },
  {
    name: "userinfo with a token without openid",
    run: (server) =>
      Effect.gen(function* () {
        const { json } = yield* redeem(
          server,
          server.web,
          yield* server.codeFor(server.web, { scope: "itwin-platform" })
        )
        return yield* answerOf(
          send(HttpClientRequest.get(server.userinfo).pipe(HttpClientRequest.bearerToken(String(json.access_token))))
        )
      }),
    fake: nowhere(403, "insufficient_scope")
  }
]
