// Builds the pages of the fake IMS: HTML without scripts, in light and dark, for screens from 320 px on.
import { createHash } from "node:crypto"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Response } from "../../engine/handler.ts"
import type { Writing } from "../../engine/journal.ts"

/** Is text that is HTML already. */
export interface Html {
  readonly html: string
}

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

const escapeText = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => escapes[character] ?? "")

type Part = string | Html | ReadonlyArray<Html> | undefined

const textOf = (part: Part): string => {
  if (part === undefined) return ""
  if (typeof part === "string") return escapeText(part)
  return "html" in part ? part.html : part.map(({ html }) => html).join("")
}

/** Builds HTML from a template. Texts in it are escaped. */
export const html = (strings: TemplateStringsArray, ...parts: ReadonlyArray<Part>): Html => ({
  html: strings.map((text, index) => text + textOf(parts[index])).join("")
})

const style = `:root{color-scheme:light dark;--bg:#fff;--surface:#f6f8fa;--text:#1b1f24;--muted:#57606a;--border:#d0d7de;--accent:#1f5fbf;--on-accent:#fff;--danger:#b42318}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--surface:#1c2126;--text:#e8eaed;--muted:#a3adb8;--border:#3a4149;--accent:#7fb0ff;--on-accent:#14171a;--danger:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;padding:24px 16px;background:var(--bg);color:var(--text);font:16px/1.5 system-ui,sans-serif}
main{max-width:440px;margin:0 auto;padding:24px;background:var(--surface);border:1px solid var(--border);border-radius:8px;overflow-wrap:anywhere}
h1{margin:0 0 12px;font-size:24px;line-height:1.25}
h2{margin:24px 0 8px;font-size:16px}
p{margin:0 0 12px}
main>:last-child{margin-bottom:0}
ul{margin:0 0 16px;padding:0;list-style:none}
ul.scopes{border:1px solid var(--border);border-radius:8px;background:var(--bg)}
ul.scopes li{padding:8px 12px}
ul.scopes li+li{border-top:1px solid var(--border)}
ul.users li+li{margin-top:8px}
code{font:14px/1.4 ui-monospace,monospace}
small,.muted{color:var(--muted);font-size:14px}
label{display:block;margin-bottom:4px;font-weight:600}
input{width:100%;min-height:44px;margin-bottom:12px;padding:8px 12px;font:inherit;color:inherit;background:var(--bg);border:1px solid var(--muted);border-radius:8px}
button{width:100%;min-height:44px;margin-bottom:8px;padding:8px 12px;font:inherit;color:var(--text);text-align:center;background:var(--bg);border:1px solid var(--muted);border-radius:8px;cursor:pointer;overflow-wrap:anywhere}
button.main{font-weight:600;color:var(--on-accent);background:var(--accent);border-color:var(--accent)}
ul.users button{margin:0;text-align:left}
ul.users small{display:block}
button:hover{border-color:var(--text)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.error{padding:8px 12px;color:var(--danger);border:1px solid var(--danger);border-radius:8px}
footer{max-width:440px;margin:12px auto 0;text-align:center}
`

const styleHash = createHash("sha256").update(style).digest("base64")

const headers = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  // Without form-action: Chromium would apply it to all redirects after the form, also to those of the client.
  "content-security-policy": `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; frame-ancestors 'none'`,
  "cross-origin-opener-policy": "same-origin",
  // Not no-referrer, which makes browsers send the forms with the origin null.
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/** Returns the page. */
export const page = (entry: Writing, status: number, title: string, body: Html): Response => {
  const { html: text } = html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} – fake IMS</title>
<style>${{ html: style }}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${body}
</main>
<footer class="muted">A fake IMS for tests. Enter no real password here.</footer>
</body>
</html>
`
  return HttpServerResponse.text(text, {
    status,
    headers: { ...headers, "x-correlation-id": entry.correlationId },
    contentType: headers["content-type"]
  })
}
