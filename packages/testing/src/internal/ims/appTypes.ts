// Knows the types of apps that can be registered, and what each may do.
import * as Schema from "effect/Schema"

export type AppType = "service" | "web" | "native" | "spa"

/** Lists the types, as the platform orders them. */
export const appTypes = ["service", "web", "native", "spa"] as const satisfies ReadonlyArray<AppType>

/** Returns whether apps of this type have no secret, because they could not keep one (RFC 6749 §2.1). */
export const isPublic = (type: AppType): boolean => type === "native" || type === "spa"

/** Names the type as a person does. */
export const nameOf: Readonly<Record<AppType, string>> = {
  service: "service app",
  web: "web app",
  native: "native app",
  spa: "single-page app"
}

export type GrantType = "client_credentials" | "authorization_code" | "refresh_token"

/** Lists the grants that apps of a type may use. The platform gives refresh tokens to web and native apps only. */
export const grantsOf: Readonly<Record<AppType, ReadonlyArray<GrantType>>> = {
  service: ["client_credentials"],
  web: ["authorization_code", "refresh_token"],
  native: ["authorization_code", "refresh_token"],
  spa: ["authorization_code"]
}

const usersScopes = ["openid", "email", "profile", "organization", "itwin-platform"]

/** Returns the scopes of an app whose registration names none. */
export const defaultScopes = (type: AppType): ReadonlyArray<string> => {
  if (type === "service") return ["itwin-platform"]
  return grantsOf[type].includes("refresh_token") ? [...usersScopes, "offline_access"] : usersScopes
}

const isLoopback = ({ hostname }: URL): boolean =>
  hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d+){3}$/.test(hostname)

/** Matches schemes that a browser runs or shows itself, so that no program registers them. */
const browsersOwn = /^(?:javascript|data|vbscript|file|blob|about|ftp|wss?):$/

/** Returns what is wrong with a redirect address of an app of this type. */
const redirectProblem = (type: AppType, text: string): string | undefined => {
  const url = URL.parse(text)
  if (url === null || /\s/.test(text)) return "Expected an absolute URL"
  if (text.includes("#")) return "Expected a URL without a fragment (RFC 6749 §3.1.2)"
  if (url.username !== "" || url.password !== "") return "Expected a URL without user info"
  if (url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url))) return undefined
  if (type !== "native" || url.protocol === "http:" || browsersOwn.test(url.protocol)) {
    return type === "native"
      ? "Expected https, http on loopback, or a scheme of the program's own such as com.example.app"
      : "Expected https, or http on loopback (127.0.0.1, [::1], localhost)"
  }
  return undefined
}

interface Typed {
  readonly type: AppType
  readonly scopes: ReadonlyArray<string>
  readonly redirectUris: ReadonlyArray<string>
  readonly postLogoutRedirectUris: ReadonlyArray<string>
  readonly clientSecret: string | undefined
}

/** Checks that an app has what its type demands, and nothing that its type does not have. */
export const fitsType = Schema.makeFilter((app: Typed) => {
  const { clientSecret, postLogoutRedirectUris, redirectUris, scopes, type } = app
  const problems: Array<{ readonly path: ReadonlyArray<PropertyKey>; readonly issue: string }> = []
  const add = (name: keyof Typed, issue: string) => void problems.push({ path: [name], issue })
  const uris = { redirectUris, postLogoutRedirectUris }
  if (type === "service") {
    for (const name of ["redirectUris", "postLogoutRedirectUris"] as const) {
      if (uris[name].length > 0)
        add(name, "Expected none: a service app signs no users in. Give a type: web, native or spa")
    }
    return problems
  }
  if (redirectUris.length === 0) add("redirectUris", `Expected at least one redirect address for a ${nameOf[type]}`)
  for (const name of ["redirectUris", "postLogoutRedirectUris"] as const) {
    uris[name].forEach((uri, index) => {
      const issue = redirectProblem(type, uri)
      if (issue !== undefined) problems.push({ path: [name, index], issue })
    })
  }
  if (isPublic(type) && clientSecret !== undefined)
    add("clientSecret", `Expected none: a ${nameOf[type]} has no secret`)
  if (!grantsOf[type].includes("refresh_token") && scopes.includes("offline_access")) {
    add("scopes", `Expected no offline_access: a ${nameOf[type]} gets no refresh token`)
  }
  return problems
})
