// What tests of users have in common: apps that sign users in, authorization requests, and requests to the token endpoint.
import { createHash } from "node:crypto"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { post } from "./contract.ts"

export const callback = "http://127.0.0.1:4711/callback"
export const afterSignOut = "http://127.0.0.1:4711/bye"
export const verifier = "a-verifier_of~43.characters-0123456789ABCDEF"

export const challengeOf = (codeVerifier: string) => createHash("sha256").update(codeVerifier).digest("base64url")

type Type = "web" | "native" | "spa"

export const registerUsersApp = (type: Type, more: Partial<FakeIms.Registration> = {}) =>
  Effect.flatMap(FakeIms.FakeIms, (fake) =>
    fake.registerApp({
      name: "Contract",
      ...more,
      type,
      redirectUris: [callback],
      postLogoutRedirectUris: [afterSignOut]
    })
  )

export const allScopes = "openid email profile organization itwin-platform"

export type Parameters = Readonly<Record<string, string | undefined>>

const defined = (parameters: Parameters) =>
  Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as [string, string]]
  )

/** Returns the URL of a valid authorization request, with changes. */
export const authorizeUrl = (app: { readonly credentials: { readonly clientId: string } }, changes: Parameters = {}) =>
  Effect.map(FakeIms.FakeIms, ({ environment }) => {
    const url = new URL("/connect/authorize", environment.tokenEndpoint)
    url.search = new URLSearchParams(
      defined({
        response_type: "code",
        client_id: app.credentials.clientId,
        redirect_uri: callback,
        scope: `${allScopes} offline_access`,
        state: "state-1",
        code_challenge: challengeOf(verifier),
        code_challenge_method: "S256",
        ...changes
      })
    ).toString()
    return url
  })

type AnyApp = FakeIms.App | FakeIms.PublicApp

const clientFields = ({ credentials }: AnyApp): Parameters => ({
  client_id: credentials.clientId,
  client_secret: "clientSecret" in credentials ? Redacted.value(credentials.clientSecret) : undefined
})

/** Sends a form of the app to the token endpoint. */
export const postAs = (app: AnyApp, fields: Parameters) =>
  post(Object.fromEntries(defined({ ...clientFields(app), ...fields })))

export const redeem = (app: AnyApp, code: string, changes: Parameters = {}) =>
  postAs(app, {
    grant_type: "authorization_code",
    code,
    redirect_uri: callback,
    code_verifier: verifier,
    ...changes
  })

export const refresh = (app: AnyApp, refreshToken: unknown, changes: Parameters = {}) =>
  postAs(app, { grant_type: "refresh_token", refresh_token: String(refreshToken), ...changes })

export const email = "ada@example.com"

/** Signs Ada in to the app and returns the code. */
export const codeFor = Effect.fnUntraced(function* (app: AnyApp, changes: Parameters = {}) {
  const fake = yield* FakeIms.FakeIms
  const location = yield* fake.signIn(yield* authorizeUrl(app, changes), { email })
  return String(location.searchParams.get("code"))
})

export const addAda = Effect.flatMap(FakeIms.FakeIms, (fake) =>
  fake.addUser({ email, givenName: "Ada", surname: "Lovelace", organizationName: "Engines" })
)

/** Sends a form of the app to another endpoint of IMS. */
export const sendTo = Effect.fnUntraced(function* (path: string, app: AnyApp, fields: Parameters) {
  const { environment } = yield* FakeIms.FakeIms
  const response = yield* HttpClient.execute(
    HttpClientRequest.post(new URL(path, environment.tokenEndpoint).href).pipe(
      HttpClientRequest.bodyUrlParams(Object.fromEntries(defined({ ...clientFields(app), ...fields })))
    )
  )
  return { status: response.status, body: JSON.parse(yield* response.text) }
})

export const userInfo = Effect.fnUntraced(function* (authorization?: string, method: "GET" | "POST" = "GET") {
  const { environment } = yield* FakeIms.FakeIms
  const response = yield* HttpClient.execute(
    HttpClientRequest.make(method)(new URL("/connect/userinfo", environment.tokenEndpoint).href, {
      headers: authorization === undefined ? {} : { authorization }
    })
  )
  return { status: response.status, headers: response.headers, body: JSON.parse(yield* response.text) }
})

export const claimsIn = (jwt: unknown): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(jwt).split(".")[1] ?? "", "base64url").toString())
