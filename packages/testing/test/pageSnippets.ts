// The programs that the page shows, for apps of each type and for each reason of its failures.
import * as snippets from "../src/internal/serve/page/client/snippets.ts"

const origin = "http://127.0.0.1:8080"

const scopesOfUsers = ["openid", "profile", "email", "itwin-platform"]

export const appOf = (type: snippets.SnippetApp["type"], scopes: ReadonlyArray<string>): snippets.SnippetApp => ({
  type,
  name: "It's “mine” & first",
  clientId: `${type}-Ab12`,
  clientSecret: type === "service" || type === "web" ? "fake-secret-a+b/c='d" : undefined,
  scopes,
  redirectUris: type === "service" ? [] : [`${origin}/`, `${origin}/callback?a=1`]
})

const failures = [
  { error: "TokenError", reason: "InvalidClient" },
  { error: "TokenError", reason: "InvalidScope" },
  { error: "TokenError", reason: "InvalidGrant" },
  { error: "ITwinApiError", reason: "Unauthorized" },
  { error: "ITwinApiError", reason: "Forbidden" }
]

const failuresOfUsers = [
  { error: "SignInError", reason: "Denied" },
  { error: "SignInError", reason: "Refused" }
]

export const pageSnippets = (): ReadonlyArray<{ readonly name: string; readonly source: string }> => [
  ...[["itwin-platform"], ["itwins:read", "users:read"]].flatMap((scopes, index) => {
    const app = appOf("service", scopes)
    return [
      { name: `service-${index}-register`, source: snippets.register(app) },
      { name: `service-${index}-token`, source: snippets.token(app) },
      { name: `service-${index}-call`, source: snippets.call(app) },
      ...failures.map((failure) => ({
        name: `service-${index}-${failure.error}-${failure.reason}`,
        source: snippets.handle(app, failure)
      }))
    ]
  }),
  ...(["web", "native", "spa"] as const).flatMap((type) => {
    const app = appOf(type, scopesOfUsers)
    return [
      { name: `${type}-register`, source: snippets.register(app) },
      { name: `${type}-sign-in`, source: snippets.signIn(app, origin) },
      { name: `${type}-call`, source: snippets.callAsUser(app, origin) },
      ...[...failures, ...failuresOfUsers].map((failure) => ({
        name: `${type}-${failure.error}-${failure.reason}`,
        source: snippets.handle(app, failure)
      }))
    ]
  })
]
