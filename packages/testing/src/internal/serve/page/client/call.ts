// Step 3: calls an API with the token.
import { announce, button, byId, codeBlock, h, tabs } from "./dom.ts"
import { send } from "./http.ts"
import { type App, session } from "./session.ts"
import * as snippets from "./snippets.ts"
import { perform } from "./task.ts"
import { answer, curl, type Request } from "./wire.ts"

export const usersMe = (token: string): Request => ({
  method: "GET",
  path: "/users/me",
  headers: { accept: "application/vnd.bentley.itwin-platform.v1+json", authorization: `Bearer ${token}` },
  secrets: [token]
})

export const showCall = (app: App, token: string): void => {
  const result = h("div", { class: "step" })
  const request = usersMe(token)
  const number = document.querySelector("#title-3 .number")
  number?.removeAttribute("data-done")
  const call: HTMLButtonElement = button(
    "Call /users/me",
    () =>
      void perform(call, result, async () => {
        const received = await send(usersMe(session.tokens?.accessToken ?? token))
        number?.toggleAttribute("data-done", received.status === 200)
        result.replaceChildren(
          codeBlock({ title: "Answer", language: "json", text: answer(received), status: received.status })
        )
        announce(`The API answered with status ${received.status}.`)
      }),
    { class: "primary" }
  )
  byId("step-3").replaceChildren(
    h(
      "p",
      { class: "what" },
      app.type === "service"
        ? "The API answers with the identity that the platform gives the application."
        : "The API answers with the user who signed in."
    ),
    tabs("The call", {
      curl: codeBlock({ title: "Request", language: "shell", text: curl(location.origin, request), secret: "token" }),
      TypeScript: codeBlock({
        title: "call.ts",
        language: "ts",
        text: app.type === "service" ? snippets.call(app) : snippets.callAsUser(app, location.origin)
      })
    }),
    call,
    result
  )
}
