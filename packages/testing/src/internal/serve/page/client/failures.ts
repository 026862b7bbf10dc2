// "See why it fails": causes a failure with real requests, and shows the answer with the library's message for it.
import { accessTokenOf, tokenRequest } from "./access.ts"
import { usersMe } from "./call.ts"
import { announce, button, byId, codeBlock, h, tabs } from "./dom.ts"
import { admin, send } from "./http.ts"
import { now } from "./life.ts"
import type { App, AppType } from "./session.ts"
import * as snippets from "./snippets.ts"
import { perform } from "./task.ts"
import { answer, curl, type Request, type Response } from "./wire.ts"

interface Exchange {
  readonly request: Request
  readonly response: Response
}

interface Explained {
  readonly error: string
  readonly reason: string
  readonly message: string
}

interface Failure {
  readonly id: string
  readonly label: string
  readonly types: ReadonlyArray<AppType>
  /** What the page does, in one sentence. */
  readonly what: string
  readonly from: "token" | "api"
  /** Sends the requests; the last one fails. */
  readonly run: (app: App) => Promise<Exchange>
  /** The scopes of the failing request; those of the app by default. */
  readonly scopes?: (app: App) => ReadonlyArray<string>
}

const exchange = async (request: Request): Promise<Exchange> => ({ request, response: await send(request) })

const otherScope = ({ scopes }: App): string =>
  ["itwins:modify", "imodels:read", "storage:read"].find((scope) => !scopes.includes(scope)) ?? "other:read"

/** Issues a token that the token endpoint would not give now. */
const issue = async (app: App, options: object): Promise<string> =>
  (await admin<{ readonly token: string }>("POST /__admin/tokens", { clientId: app.clientId, ...options })).token

const all: ReadonlyArray<AppType> = ["service", "web", "native", "spa"]

export const failures: ReadonlyArray<Failure> = [
  {
    id: "wrong-secret",
    label: "Wrong secret",
    types: ["service"],
    what: "The secret was truncated when it was copied: its last four characters are missing.",
    from: "token",
    run: (app) => exchange(tokenRequest({ ...app, clientSecret: app.clientSecret?.slice(0, -4) }))
  },
  {
    id: "scope-refused",
    label: "Scope not granted",
    types: ["service"],
    what: "The application requests a scope that it was not registered with.",
    from: "token",
    run: (app) => exchange(tokenRequest({ ...app, scopes: [otherScope(app)] })),
    scopes: (app) => [otherScope(app)]
  },
  {
    id: "scope-missing",
    label: "Token without the scope",
    types: all,
    what: "The token is valid, but has another scope than the API needs.",
    from: "api",
    run: async (app) => exchange(usersMe(await issue(app, { scopes: [otherScope(app)] }))),
    scopes: (app) => [otherScope(app)]
  },
  {
    id: "expired",
    label: "Expired token",
    types: all,
    what: "The token was issued two hours ago and lived for one hour.",
    from: "api",
    run: async (app) => {
      const iat = Math.floor(now()) - 7200
      return exchange(usersMe(await issue(app, { claims: { iat, nbf: iat, exp: iat + 3600 } })))
    }
  },
  {
    id: "revoked",
    label: "Revoked token",
    types: ["service"],
    what: "The application gets a token, revokes it, and then calls the API with it.",
    from: "api",
    run: async (app) => {
      const token = accessTokenOf(await send(tokenRequest(app))) ?? ""
      const { clientId, clientSecret = "" } = app
      await send({
        method: "POST",
        path: "/connect/revocation",
        form: { token, client_id: clientId, client_secret: clientSecret },
        secrets: []
      })
      return exchange(usersMe(token))
    }
  }
]

const errorsPage = "https://github.com/effect-itwin/effect-itwin/blob/main/docs/errors.md"

/** Shows the library's message; its end, which names the paragraph, becomes a link. */
const why = ({ error, reason, message }: Explained): HTMLElement => {
  const [, text = message, paragraph] = /^([\s\S]*) See docs\/errors\.md#([\w-]+)$/.exec(message) ?? []
  return h(
    "div",
    { class: "why" },
    h("h3", {}, "The library's message"),
    h("b", {}, `${error}: ${reason}`),
    h(
      "p",
      { id: "library-message" },
      text,
      ...(paragraph === undefined
        ? []
        : [" See ", h("a", { href: `${errorsPage}#${paragraph}`, rel: "noreferrer" }, `docs/errors.md#${paragraph}`)])
    )
  )
}

export const showFailures = (app: App): void => {
  const result = h("div", { class: "step", id: "failure-result" })
  const buttons = failures
    .filter(({ types }) => types.includes(app.type))
    .map((failure) => {
      const element: HTMLButtonElement = button(
        failure.label,
        () =>
          void perform(element, result, async () => {
            const { request, response } = await failure.run(app)
            const explained = await admin<Explained>("POST /__admin/explain", {
              from: failure.from,
              clientId: app.clientId,
              scopes: failure.scopes?.(app) ?? app.scopes,
              ...response
            })
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
                Request: codeBlock({ title: "Request", language: "shell", text: curl(location.origin, request) }),
                TypeScript: codeBlock({ title: "handle.ts", language: "ts", text: snippets.handle(app, explained) })
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
