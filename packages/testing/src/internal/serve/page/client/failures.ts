// "See why it fails": causes a failure with real requests, and shows the answer with the library's message for it.
import { accessTokenOf, tokenRequest } from "./access.ts"
import { authorizePath, codeRequest, newTransaction, refreshRequest, revokeRequest } from "./authorization.ts"
import { usersMe } from "./call.ts"
import { announce, button, byId, codeBlock, h, tabs } from "./dom.ts"
import { explain, type From, why } from "./explained.ts"
import { admin, send } from "./http.ts"
import { now } from "./life.ts"
import type { App, AppType, Transaction } from "./session.ts"
import * as snippets from "./snippets.ts"
import { perform } from "./task.ts"
import { answer, curl, type Request, type Response } from "./wire.ts"

interface Exchange extends From {
  readonly request: Request
  readonly response: Response
  /** The scopes that were requested; those of the app by default. */
  readonly scopes?: ReadonlyArray<string>
}

interface Failure {
  readonly id: string
  readonly label: string
  readonly types: ReadonlyArray<AppType>
  /** What the page does, in one or two sentences. */
  readonly what: string
  /** Sends the requests, and returns the one that fails. */
  readonly run: (app: App) => Promise<Exchange>
}

const exchange = async (from: From, request: Request): Promise<Exchange> => ({
  ...from,
  request,
  response: await send(request)
})

const withCode: From = { from: "token", grant: "authorization_code" }
const withRefreshToken: From = { from: "token", grant: "refresh_token" }

const otherScope = ({ scopes }: App): string =>
  ["itwins:modify", "imodels:read", "storage:read"].find((scope) => !scopes.includes(scope)) ?? "other:read"

/** Issues a token that the token endpoint would not give now. */
const issue = async (app: App, options: object): Promise<string> =>
  (await admin<{ readonly token: string }>("POST /__admin/tokens", { clientId: app.clientId, ...options })).token

const truncated = (app: App): App => ({ ...app, clientSecret: app.clientSecret?.slice(0, -4) })

interface Decided {
  readonly transaction: Transaction
  readonly path: string
  /** Where the browser is sent. */
  readonly location: string
}

/** Does what the user does on the pages of the sign-in, without showing them. */
const decide = async (app: App, options: { readonly deny?: boolean } = {}): Promise<Decided> => {
  const transaction = newTransaction(app, app.redirectUris[0] ?? "")
  const path = await authorizePath(app, transaction)
  const { location } = await admin<{ readonly location: string }>("POST /__admin/authorize", {
    url: globalThis.location.origin + path,
    ...options
  })
  return { transaction, path, location }
}

/** The answer of the authorization endpoint is the address to which it sends the browser. */
const callbackOf = ({ location, path }: Decided): Exchange => ({
  from: "authorize",
  request: { method: "GET", path, secrets: [] },
  response: { status: 302, headers: { location }, body: "" }
})

const codeOf = ({ location }: Decided): string => new URL(location).searchParams.get("code") ?? ""

const signedIn = async (app: App): Promise<Readonly<Record<string, string | undefined>>> => {
  const decided = await decide(app)
  const { body } = await send(codeRequest(app, decided.transaction, codeOf(decided)))
  return JSON.parse(body)
}

const all: ReadonlyArray<AppType> = ["service", "web", "native", "spa"]
const ofUsers: ReadonlyArray<AppType> = ["web", "native", "spa"]

const failures: ReadonlyArray<Failure> = [
  {
    id: "wrong-secret",
    label: "Wrong secret",
    types: ["service"],
    what: "The secret was truncated when it was copied. Its last four characters are missing.",
    run: (app) => exchange({ from: "token" }, tokenRequest(truncated(app)))
  },
  {
    id: "wrong-secret",
    label: "Wrong secret",
    types: ["web"],
    what: "The secret was truncated when it was copied. The application exchanges a valid code with it.",
    run: async (app) => {
      const decided = await decide(app)
      return exchange(withCode, codeRequest(truncated(app), decided.transaction, codeOf(decided)))
    }
  },
  {
    id: "denied",
    label: "Consent denied",
    types: ofUsers,
    what: "The user signs in, and then denies what the application asks for.",
    run: async (app) => callbackOf(await decide(app, { deny: true }))
  },
  {
    id: "code-twice",
    label: "Code used twice",
    types: ofUsers,
    what: "The application exchanges a code, and then exchanges the same code again.",
    run: async (app) => {
      const decided = await decide(app)
      const request = codeRequest(app, decided.transaction, codeOf(decided))
      await send(request)
      return exchange(withCode, request)
    }
  },
  {
    id: "scope-refused",
    label: "Missing scope",
    types: ["service"],
    what: "The application requests a scope that it was not registered with.",
    run: async (app) => {
      const scopes = [otherScope(app)]
      return { ...(await exchange({ from: "token" }, tokenRequest({ ...app, scopes }))), scopes }
    }
  },
  {
    id: "scope-refused",
    label: "Missing scope",
    types: ofUsers,
    what: "The application asks the user for a scope that it was not registered with.",
    run: async (app) => {
      const scopes = [...app.scopes, otherScope(app)]
      return { ...callbackOf(await decide({ ...app, scopes })), scopes }
    }
  },
  {
    id: "scope-missing",
    label: "Token without the scope",
    types: all,
    what: "The token is valid, but has another scope than the API needs.",
    run: async (app) => {
      const scopes = [otherScope(app)]
      return { ...(await exchange({ from: "api" }, usersMe(await issue(app, { scopes })))), scopes }
    }
  },
  {
    id: "expired",
    label: "Expired token",
    types: all,
    what: "The token was issued two hours ago and lived for one hour.",
    run: async (app) => {
      const iat = Math.floor(now()) - 7200
      return exchange({ from: "api" }, usersMe(await issue(app, { claims: { iat, nbf: iat, exp: iat + 3600 } })))
    }
  },
  {
    id: "revoked",
    label: "Revoked token",
    types: ["service"],
    what: "The application gets a token, revokes it, and then calls the API with it.",
    run: async (app) => {
      const token = accessTokenOf(await send(tokenRequest(app))) ?? ""
      await send(revokeRequest(app, token))
      return exchange({ from: "api" }, usersMe(token))
    }
  },
  {
    id: "revoked",
    label: "Revoked token",
    types: ofUsers,
    what: "The application signs a user in, revokes the access token, and then calls the API with it.",
    run: async (app) => {
      const { access_token: token = "" } = await signedIn(app)
      await send(revokeRequest(app, token))
      return exchange({ from: "api" }, usersMe(token))
    }
  },
  {
    id: "refresh-revoked",
    label: "Refresh after sign-out",
    types: ["web", "native"],
    what: "The application revokes the refresh token, as a sign-out does, and then refreshes with it.",
    run: async (app) => {
      const { refresh_token: token = "" } = await signedIn(app)
      await send(revokeRequest(app, token))
      return exchange(withRefreshToken, refreshRequest(app, token))
    }
  }
]

export const showFailures = (app: App): void => {
  const result = h("div", { class: "step", id: "failure-result" })
  const buttons = failures
    .filter(({ types }) => types.includes(app.type))
    .map((failure) => {
      const element: HTMLButtonElement = button(
        failure.label,
        () =>
          void perform(element, result, async () => {
            const { request, response, scopes = app.scopes, ...from } = await failure.run(app)
            const explained = await explain(app, from, scopes, response)
            for (const other of buttons) other.setAttribute("aria-pressed", String(other === element))
            result.replaceChildren(
              h("p", { class: "what" }, failure.what),
              why(explained),
              tabs("The failing request", {
                Answer: codeBlock({
                  title: "Answer",
                  language: "json",
                  text: answer(response),
                  status: response.status
                }),
                curl: codeBlock({ title: "Request", language: "shell", text: curl(location.origin, request) }),
                TypeScript: codeBlock({
                  title: "handle.ts",
                  language: "ts",
                  text: snippets.handle({ ...app, scopes }, explained)
                })
              })
            )
            announce(`${failure.label}: status ${response.status}. ${explained.message}`)
          }),
        { id: `fail-${failure.id}`, "aria-pressed": "false" }
      )
      return element
    })
  byId("failures").replaceChildren(
    h("p", { class: "what" }, "Each button causes one failure, and shows what the library says about it."),
    h("div", { class: "buttons" }, ...buttons),
    result
  )
}
