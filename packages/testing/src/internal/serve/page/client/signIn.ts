// Step 2 for applications with users: signs a user in, exchanges the code, refreshes and signs out.
import { showToken } from "./access.ts"
import {
  authorizePath,
  codeRequest,
  endSessionPath,
  newTransaction,
  refreshRequest,
  revokeRequest
} from "./authorization.ts"
import { announce, button, byId, codeBlock, h, tabs } from "./dom.ts"
import { explain, type From, why } from "./explained.ts"
import { admin, send } from "./http.ts"
import { pageAddress } from "./register.ts"
import { type App, save, session, type Tokens, type Transaction } from "./session.ts"
import * as snippets from "./snippets.ts"
import { perform, withAdminToken } from "./task.ts"
import { answer, curl, type Request, type Response } from "./wire.ts"

/** Returns the tokens of an answer of the token endpoint. */
const tokensOf = ({ status, body }: Response, app: App, before: Tokens | undefined): Tokens | undefined => {
  if (status !== 200) return undefined
  const json: Record<string, string | undefined> = JSON.parse(body)
  const { access_token: accessToken, id_token: idToken, refresh_token: refreshToken } = json
  return accessToken === undefined
    ? undefined
    : {
        accessToken,
        refreshToken: refreshToken ?? before?.refreshToken,
        idToken: idToken ?? before?.idToken,
        scopes: app.scopes
      }
}

const secretsIn = (tokens: Tokens | undefined): ReadonlyArray<string> =>
  tokens === undefined ? [] : [tokens.accessToken, tokens.refreshToken ?? "", tokens.idToken ?? ""]

/** The sign-in that returned to this page. Its request stays there to be compared with the callback. */
let sent: Transaction | undefined

/** Shows the address of the authorization request, one parameter in a line. */
const address = (path: string): string => {
  const [endpoint = "", query = ""] = path.split("?")
  const parameters = [...new URLSearchParams(query)].map(([name, value]) => `${name}=${value}`)
  return `GET ${location.origin}${endpoint}\n  ? ${parameters.join("\n  & ")}`
}

/** The fake needs somebody who can sign in. */
const ensureUser = async (): Promise<void> => {
  const users = await admin<ReadonlyArray<object>>("GET /__admin/users")
  if (users.length > 0) return
  await admin("POST /__admin/users", { email: "ada@example.com", givenName: "Ada", surname: "Example" })
}

const showResult = async (
  app: App,
  title: string,
  from: From,
  request: Request,
  response: Response,
  onChange: () => void
): Promise<void> => {
  const tokens = tokensOf(response, app, session.tokens)
  if (tokens !== undefined || from.grant === "authorization_code") save({ tokens })
  await showSignIn(app, onChange)
  const result = byId("sign-in-result")
  if (tokens === undefined) result.append(why(await explain(app, from, app.scopes, response)))
  result.append(
    tabs(title, {
      Answer: codeBlock({
        title: `${title}: answer`,
        language: "json",
        text: answer(response, secretsIn(tokens)),
        secret: "tokens",
        status: response.status
      }),
      curl: codeBlock({ title: `${title}: request`, language: "shell", text: curl(location.origin, request) })
    }),
    ...(tokens === undefined ? [] : showToken(tokens.accessToken))
  )
  onChange()
  announce(`${title}: the token endpoint answered with status ${response.status}.`)
}

/** Exchanges the code of a callback. */
const exchangeCode = async (app: App, query: URLSearchParams, onChange: () => void): Promise<void> => {
  const { transaction } = session
  save({ transaction: undefined })
  const result = () => byId("sign-in-result")
  // Before the state fits, nothing of the callback may be used: another site could have sent the user here.
  if (transaction === undefined || query.get("state") !== transaction.state || transaction.clientId !== app.clientId) {
    result().append(h("p", { class: "error" }, "The callback does not belong to a sign-in of this tab. Sign in again."))
    return
  }
  sent = transaction
  await showSignIn(app, onChange)
  const code = query.get("code")
  if (code === null) {
    const headers = { location: `${transaction.redirectUri}?${query}` }
    const explained = await explain(app, { from: "authorize" }, app.scopes, { status: 302, headers, body: "" })
    result().append(
      why(explained),
      codeBlock({
        title: "Callback",
        language: "text",
        text: [...query].map(([name, value]) => `${name}=${value}`).join("\n")
      })
    )
    announce(explained.message)
    return
  }
  const request = codeRequest(app, transaction, code)
  await showResult(
    app,
    "Code exchange",
    { from: "token", grant: "authorization_code" },
    request,
    await send(request),
    onChange
  )
}

const refresh = async (app: App, onChange: () => void): Promise<void> => {
  const request = refreshRequest(app, session.tokens?.refreshToken ?? "")
  await showResult(app, "Refresh", { from: "token", grant: "refresh_token" }, request, await send(request), onChange)
}

/** Rejects the tokens, forgets them, and ends the session at the fake, which sends the browser back to this page. */
const signOut = async (app: App): Promise<void> => {
  const { tokens } = session
  if (tokens === undefined) return
  await send(revokeRequest(app, tokens.refreshToken ?? tokens.accessToken))
  save({ tokens: undefined })
  location.assign(endSessionPath(app, tokens.idToken, pageAddress, "signed-out"))
}

/** Shows step 2. */
export const showSignIn = async (app: App, onChange: () => void): Promise<void> => {
  const { tokens } = session
  const target = byId("step-2")
  const result = h("div", { class: "step", id: "sign-in-result" })
  document.querySelector("#title-2 .number")?.toggleAttribute("data-done", tokens !== undefined)
  if (!app.redirectUris.includes(pageAddress)) {
    target.replaceChildren(
      h(
        "p",
        { class: "error" },
        `The sign-in can't return to this page. Register an application with the redirect address ${pageAddress}.`
      )
    )
    return
  }
  const shown = sent?.clientId === app.clientId ? sent : newTransaction(app, pageAddress)
  const path = await authorizePath(app, shown).catch((error: unknown) => String(error))
  if (!path.startsWith("/"))
    return target.replaceChildren(h("p", { class: "error" }, `The page can't sign a user in: ${path}`))
  const begin: HTMLButtonElement = button(
    tokens === undefined ? "Sign in" : "Sign in again",
    () =>
      void perform(begin, result, async () => {
        await ensureUser()
        const transaction = shown === sent ? newTransaction(app, pageAddress) : shown
        save({ transaction })
        location.assign(await authorizePath(app, transaction))
      }),
    { class: "primary", id: "sign-in" }
  )
  const renew: HTMLButtonElement = button("Refresh", () => void perform(renew, result, () => refresh(app, onChange)), {
    id: "refresh"
  })
  const leave: HTMLButtonElement = button("Sign out", () => void perform(leave, result, () => signOut(app)), {
    id: "sign-out"
  })
  target.replaceChildren(
    h(
      "p",
      { class: "what" },
      "The application sends the browser to IMS, where the user signs in and consents. The browser returns with a code, which the application exchanges for tokens."
    ),
    tabs("The sign-in", {
      Address: codeBlock({
        title: "Authorization request",
        language: "text",
        text: address(path),
        copied: location.origin + path
      }),
      TypeScript: codeBlock({ title: "signIn.ts", language: "ts", text: snippets.signIn(app, location.origin) })
    }),
    h(
      "div",
      { class: "buttons" },
      begin,
      tokens?.refreshToken === undefined ? undefined : renew,
      tokens === undefined ? undefined : leave
    ),
    result
  )
}

/** Continues a sign-in or a sign-out that returned to this page. Returns whether there was one. */
export const continueSignIn = async (app: App, query: URLSearchParams, onChange: () => void): Promise<void> => {
  if (query.get("state") === "signed-out") {
    byId("sign-in-result").append(h("p", { class: "what" }, "The user is signed out. The tokens are revoked."))
    announce("The user is signed out.")
    return
  }
  await withAdminToken(() => exchangeCode(app, query, onChange))
}
