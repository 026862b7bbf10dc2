import type { Response } from "../../engine/handler.ts"
import type { Writing } from "../../engine/journal.ts"
import { html, page } from "./page.ts"

/** Shows why a request is refused whose answer can't be sent to the client. */
export const errorPage = (entry: Writing, error: string, why: string): Response =>
  page(
    entry,
    400,
    "This request is refused",
    html`<p class="error" role="alert">${why}</p>
<p class="muted">Error <code>${error}</code>, correlation id <code>${entry.correlationId}</code>. You are not sent back to
the app, because the request may come from somebody else.</p>`
  )
