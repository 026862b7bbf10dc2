// Builds the pages on which a person signs in and consents.
import type { Response } from "../../engine/handler.ts"
import type { Writing } from "../../engine/journal.ts"
import type { AuthorizationRequest } from "../authorize/request.ts"
import type { User } from "../users.ts"
import { type Html, html, page } from "./page.ts"

/** Is where the forms of both pages are sent. */
export const formPath = "/connect/authorize/sign-in"

/** A list of more users would be longer than typing the e-mail. */
const mostUsers = 8

const form = (request: AuthorizationRequest, content: Html): Html =>
  html`<form method="post" action="${formPath}">
<input type="hidden" name="request" value="${request.text}">
${content}
</form>`

const userButton = ({ displayName, email }: User): Html =>
  html`<li><button name="email" value="${email}">${displayName} <small>${email}</small></button></li>`

const choice = (request: AuthorizationRequest, users: ReadonlyArray<User>): Html | undefined =>
  users.length === 0 || users.length > mostUsers
    ? undefined
    : html`<h2>Choose a user</h2>
${form(request, html`<ul class="users">${users.map(userButton)}</ul>`)}
<h2>Or type an e-mail</h2>`

/** Asks who signs in. There are no passwords. */
export const signInPage = (
  entry: Writing,
  request: AuthorizationRequest,
  users: ReadonlyArray<User>,
  problem?: { readonly email: string; readonly why: string }
): Response =>
  page(
    entry,
    problem === undefined ? 200 : 400,
    "Sign in",
    html`<p><strong>${request.app.name}</strong> asks you to sign in. The fake has no passwords: any of its users may.</p>
${problem && html`<p class="error" role="alert" id="problem">${problem.why}</p>`}
${
  users.length === 0
    ? html`<p class="error" role="alert">The fake has no user. Add one: <code>fake.addUser({ email })</code> in a test,
<code>POST /__admin/users</code> over HTTP, or <code>users</code> in the file of <code>--config</code>.</p>`
    : undefined
}
${choice(request, users)}
${form(
  request,
  html`<label for="email">E-mail</label>
<input id="email" name="email" type="email" autocomplete="username" required value="${problem?.email ?? request.loginHint}"${
    problem && { html: ' aria-invalid="true" aria-describedby="problem"' }
  }>
<button class="main">Sign in</button>`
)}
${form(request, html`<button name="decision" value="deny">Cancel</button>`)}`
  )

const meanings: Readonly<Record<string, string>> = {
  openid: "Know that it is you",
  email: "See your e-mail",
  profile: "See your name and language",
  organization: "See your organization",
  offline_access: "Stay signed in while you are away",
  "itwin-platform": "Use the iTwin Platform as you"
}

const scopeItem = (scope: string): Html =>
  html`<li>${meanings[scope] ?? "Use"} <small><code>${scope}</code></small></li>`

/** Asks the user who signed in whether the app may act for them. */
export const consentPage = (entry: Writing, request: AuthorizationRequest, user: User): Response =>
  page(
    entry,
    200,
    "Allow access?",
    html`<p><strong>${request.app.name}</strong> wants to act for <strong>${user.displayName}</strong> (${user.email}).</p>
<h2>It may then</h2>
<ul class="scopes">${[...request.scopes].map(scopeItem)}</ul>
${form(
  request,
  html`<button class="main" name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button>
<button name="decision" value="switch">Use another user</button>`
)}
<p class="muted">Client id <code>${request.app.clientId}</code></p>`
  )
