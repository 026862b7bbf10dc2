// Step 2 for service applications: requests a token with the client credentials grant.
import { announce, button, byId, codeBlock, facts, h, tabs } from "./dom.ts"
import { send } from "./http.ts"
import { parts, remaining } from "./life.ts"
import { type App, save, session } from "./session.ts"
import * as snippets from "./snippets.ts"
import { perform } from "./task.ts"
import { decode } from "./token.ts"
import { answer, curl, maskIn, type Request, type Response } from "./wire.ts"

/** Returns the token request of a service app. */
export const tokenRequest = ({
  clientId,
  clientSecret = "",
  scopes
}: Pick<App, "clientId" | "clientSecret" | "scopes">): Request => ({
  method: "POST",
  path: "/connect/token",
  form: { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret, scope: scopes.join(" ") },
  secrets: [clientSecret]
})

/** Returns the token of the answer, if it has one. */
export const accessTokenOf = ({ status, body }: Response): string | undefined => {
  if (status !== 200) return undefined
  const json: unknown = JSON.parse(body)
  return typeof json === "object" && json !== null && "access_token" in json ? String(json.access_token) : undefined
}

/** Shows a token: a button that copies it, its remaining life, and its parts. */
export const showToken = (token: string): ReadonlyArray<HTMLElement> => {
  const value = maskIn(token, [token]).masked
  const copied = facts([
    { name: "Access token", value, copied: token, note: "Programs send it as Authorization: Bearer." }
  ])
  const decoded = decode(token)
  if (decoded === undefined) return [copied]
  const life = remaining(decoded)
  return [
    copied,
    ...(life === undefined ? [] : [life]),
    h("details", { class: "parts", open: true }, h("summary", {}, "Parts of the token"), parts(decoded))
  ]
}

export const showAccess = (app: App, response: Response | undefined, onChange: () => void): void => {
  const result = h("div", { class: "step" })
  const request = tokenRequest(app)
  const get: HTMLButtonElement = button(
    session.tokens === undefined ? "Get access token" : "Get another token",
    () =>
      void perform(get, result, async () => {
        const received = await send(request)
        const accessToken = accessTokenOf(received)
        save({
          tokens:
            accessToken === undefined
              ? undefined
              : { accessToken, refreshToken: undefined, idToken: undefined, scopes: app.scopes }
        })
        showAccess(app, received, onChange)
        onChange()
        byId("step-2").querySelector<HTMLButtonElement>(".primary")?.focus()
        announce(`The token endpoint answered with status ${received.status}.`)
      }),
    { class: "primary" }
  )
  byId("step-2").replaceChildren(
    h("p", { class: "what" }, "The application sends its id and its secret to the token endpoint of IMS."),
    tabs("The token request", {
      curl: codeBlock({ title: "Request", language: "shell", text: curl(location.origin, request) }),
      TypeScript: codeBlock({ title: "token.ts", language: "ts", text: snippets.token(app) })
    }),
    get,
    result
  )
  const token = session.tokens?.accessToken
  document.querySelector("#title-2 .number")?.toggleAttribute("data-done", token !== undefined)
  if (response !== undefined) {
    result.append(
      codeBlock({
        title: "Answer",
        language: "json",
        text: answer(response, token === undefined ? [] : [token]),
        secret: "token",
        status: response.status
      })
    )
  }
  if (token !== undefined) result.append(...showToken(token))
}
