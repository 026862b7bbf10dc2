// Builds the pages on which a person signs out of IMS.
import type { Response } from "../../engine/handler.ts"
import type { Writing } from "../../engine/journal.ts"
import type { User } from "../users.ts"
import { html, page } from "./page.ts"

/** Asks whether to sign out, because the request does not prove that the app knows the user. */
export const signOutPage = (entry: Writing, request: URLSearchParams, user: User): Response =>
  page(
    entry,
    200,
    "Sign out?",
    html`<p>You are signed in as <strong>${user.displayName}</strong> (${user.email}).</p>
<form method="post" action="/connect/endsession">
${[...request].map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}
<button class="main" name="confirm" value="yes">Sign out</button>
</form>
<p class="muted">To stay signed in, close this page.</p>`
  )

export const signedOutPage = (entry: Writing): Response =>
  page(entry, 200, "Signed out", html`<p>You are signed out of the fake IMS. You can close this page.</p>`)
